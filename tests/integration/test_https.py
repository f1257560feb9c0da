"""The HTTPS client's exchange, on loopback: what is a whole reply, what is refused, and when a connection is kept."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from cji_core.https import Client, ExchangeError

LIMIT = 10
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n{}"


@dataclass
class Service:
    """Answers each request with the next reply, and keeps every connection open until it is given up."""

    replies: list[bytes]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    requests: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self.listener.accept()[0])
                threading.Thread(target=self.serve, args=(self.connections[-1],), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError, IndexError):
            while request := connection.recv(65_536):
                self.requests.append(request)
                reply = self.replies.pop(0)
                connection.sendall(reply)
                if b"\r\nX-Ends: here" in reply:
                    connection.shutdown(socket.SHUT_WR)


@contextmanager
def service(*replies: bytes) -> Iterator[Service]:
    found = Service(list(replies))
    accepting = threading.Thread(target=found.accept, daemon=True)
    accepting.start()
    try:
        yield found
    finally:
        found.listener.shutdown(socket.SHUT_RDWR)
        found.listener.close()
        for connection in found.connections:
            connection.close()
        accepting.join(5)


def client(*, keep: bool = False, seconds: float = 5.0) -> Client:
    return Client(None, limit=LIMIT, plain=True, keep=keep, seconds=seconds)


@pytest.mark.parametrize(
    ("method", "reply", "body"),
    [
        ("GET", WHOLE, b"{}"),
        ("GET", OK + b"Content-Length: 10\r\n\r\n0123456789", b"0123456789"),
        ("GET", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        ("GET", OK + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        ("GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}"),
        ("GET", OK + b"X-Ends: here\r\n\r\n{}", b"{}"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("HEAD", OK + b"Content-Length: 999\r\n\r\n", b""),
    ],
    ids=["length", "the limit", "one length twice", "identity", "chunks", "the end", "no content", "HEAD"],
)
def test_a_whole_reply(method: str, reply: bytes, body: bytes) -> None:
    with service(reply) as at, client() as found:
        assert found.exchange(method, at.url).body == body


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (OK + b"Content-Length: 11\r\n\r\n", "the reply has too many bytes"),
        (OK + b"X-Ends: here\r\n\r\n01234567890", "the reply has too many bytes"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", "the reply has too many bytes"),
        (OK + (b"X: " + b"y" * 1000 + b"\r\n") * 90, "the connection failed (OSError)"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "the reply is compressed"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "the reply has no one length"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "the reply has no one length"),
        (OK + b"Content-Length: +2\r\nX-Ends: here\r\n\r\n{}", "the reply has no one length"),
        (OK + b"Content-Length: \xb2\r\nX-Ends: here\r\n\r\n{}", "the reply has no one length"),
        (OK + b"Transfer-Encoding: gzip\r\nX-Ends: here\r\n\r\n{}", "the reply has no one length"),
        (OK + b"Content-Length: 3\r\nX-Ends: here\r\n\r\n{}", "the reply is cut off"),
        (b"", "the service did not finish in time"),
    ],
    ids=[
        "length above the limit", "body above the limit", "chunks above the limit", "a header without end", "gzip",
        "two lengths", "length and chunks", "a signed length", "a length in superscript", "another encoding", "cut off",
        "silence",
    ],
)  # fmt: skip
def test_a_reply_that_is_refused(reply: bytes, reason: str) -> None:
    with service(reply) as at, client(seconds=5.0 if reply else 0.2) as found:
        with pytest.raises(ExchangeError) as caught:
            found.exchange("GET", at.url)
        assert (str(caught.value), caught.value.sent) == (reason, True)


def test_what_fails_before_a_request_is_not_sent() -> None:
    with service(WHOLE) as at, client() as found:
        before = at.url
        for url, seconds, reason in (
            (at.url, 0.0, "the service did not finish in time"),
            (at.url.replace("http:", "https:"), 5.0, "the client has no roots for https"),
            (f"{at.url}#part", 5.0, "the address is not one of a service"),
            ("http://192.0.2.1/", 5.0, "the address is not https"),
        ):
            with pytest.raises(ExchangeError) as caught:
                found.exchange("GET", url, seconds=seconds)
            assert (str(caught.value), caught.value.sent) == (reason, False)
    with client() as found, pytest.raises(ExchangeError) as caught:
        found.exchange("GET", before)  # nobody listens any more
    assert (str(caught.value), caught.value.sent) == ("the connection failed (ConnectionRefusedError)", False)


def test_headers_are_sent_and_joined() -> None:
    reply = OK + b"Content-Length: 0\r\nX-One: a\r\nx-one: b\r\nRetry-After: 7\r\n\r\n"
    with service(reply) as at, client() as found:
        answer = found.exchange("POST", f"{at.url}/path?a=b", headers={"X-Mine": "mine", "User-Agent": "me"}, body=b"x")
    request = b"".join(at.requests)
    assert request.startswith(b"POST /path?a=b HTTP/1.1\r\n")
    assert b"\r\nX-Mine: mine\r\n" in request
    assert request.count(b"User-Agent") == 1
    assert (answer.headers["x-one"], answer.retry_after) == ("a, b", 7.0)


@pytest.mark.parametrize(
    ("keep", "reply", "connections"),
    [(True, WHOLE, 1), (False, WHOLE, 2), (True, WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 2)],
    ids=["kept", "not kept", "the service ends it"],
)
def test_a_connection_is_kept(keep: bool, reply: bytes, connections: int) -> None:
    with service(reply, reply) as at, client(keep=keep) as found:
        for _ in range(2):
            assert found.exchange("GET", at.url).body == b"{}"
        assert len(at.connections) == connections
