"""The small server: what it answers, what it refuses, and that no client holds anything."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cji_worker.console import http
from cji_worker.console.http import MAX_CLIENTS, MAX_HEAD_BYTES, Document, RequestRefused, Server, request_path

GOOD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nAccept: */*\r\n\r\n"


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    server = Server({"/": lambda: Document(content_type="text/plain", body=b"hello")})
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


def with_field(field: str) -> bytes:
    return GOOD.replace(b"Accept: */*", field.encode("latin-1"))


async def test_a_document_is_answered_with_its_protections() -> None:
    async with served() as port:
        head, _, body = (await answer(port, GOOD)).partition(b"\r\n\r\n")
    assert body == b"hello"
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {
        "Cache-Control: no-store",
        "Connection: close",
        "Content-Length: 5",
        "Content-Security-Policy: frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy: same-origin",
        "X-Content-Type-Options: nosniff",
    } <= set(lines)
    assert not any(line.startswith(("Server:", "Access-Control")) for line in lines)


REFUSED = {
    b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET /? HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET // HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
    b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n": 400,
    b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n": 400,
    b"GET / HTTP/1.1\nHost: localhost\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 64 + b"\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n": 431,
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.items(), ids=lambda each: repr(each)[:40])
async def test_anything_else_is_refused(request_: bytes, status: int) -> None:
    async with served() as port:
        found = await answer(port, request_)
    assert found.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"hello" not in found
    assert (b"Allow: GET" in found) is (status == 405)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]:9464", "[::1]"])
def test_names_of_loopback_are_served(host: str) -> None:
    assert request_path(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == "/metrics"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.", "localhost@evil", "127.0.0.2", "10.0.0.4:9464", "",
     "localhost:999999", "[::1].evil", "0.0.0.0", "2130706433"],
)  # fmt: skip
def test_another_name_gets_nothing(host: str) -> None:
    """DNS rebinding: the page of another site whose name leads here."""
    with pytest.raises(RequestRefused) as refused:
        request_path(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert refused.value.status is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_request_from_another_site_gets_nothing(site: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        request_path(with_field(f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Dest: script"))
    assert refused.value.status is HTTPStatus.FORBIDDEN
    for field in ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"):
        assert request_path(with_field(field)) == "/"
    assert request_path(with_field(f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Dest: document")) == "/"


LINE = re.compile(rb"GET (/[!-~]{0,1024}) HTTP/1\.[01]")
TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def slow_twin(head: bytes) -> str | None:
    """The path of an acceptable request, byte by byte as RFC 9112 has it; None for any other."""
    lines = head[:-4].split(b"\r\n")
    first = LINE.fullmatch(lines[0])
    hosts = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or any(byte not in TOKEN for byte in name):
            return None
        if any(byte != 9 and not 32 <= byte < 127 for byte in value):
            return None
        value = value.strip(b" \t")
        match name.lower():
            case b"host":
                hosts.append(value.decode().lower())
            case b"transfer-encoding" | b"content-length" | b"sec-fetch-site":
                return None
    if first is None or len(lines) > 65 or len(hosts) != 1:
        return None
    host = re.sub(r":[0-9]{1,5}\Z", "", hosts[0])
    return first[1].decode() if host in ("localhost", "127.0.0.1", "[::1]") else None


def heads() -> st.SearchStrategy[bytes]:
    piece = st.sampled_from(
        [b"GET", b"POST", b" ", b"/", b"/metrics", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host: localhost",
         b"host:[::1]:1", b"A: b", b"\t", b"\0", b"\x7f", b"\xe4", b":", b"Host: evil"]
    )  # fmt: skip
    begin = st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
    return st.tuples(begin, st.lists(piece, max_size=8)).map(lambda each: each[0] + b"".join(each[1]) + b"\r\n\r\n")


@given(heads())
@example(GOOD)
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
def test_the_parser_agrees_with_a_slow_twin(head: bytes) -> None:
    if b"\r\n\r\n" in head[:-4]:  # the reader stops at the first end
        return
    try:
        found: str | None = request_path(head)
    except RequestRefused:
        found = None
    assert found == slow_twin(head)


async def test_a_crowd_of_silent_clients_shuts_nobody_out() -> None:
    async with served() as port:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MAX_CLIENTS)]
        assert (await answer(port, GOOD)).endswith(b"hello")
        left = [reader for reader, _ in crowd[: 2 * MAX_CLIENTS]]
        assert await asyncio.wait_for(asyncio.gather(*(each.read() for each in left), return_exceptions=True), 5)
        for _, writer in crowd:
            writer.transport.abort()


async def test_a_slow_client_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CLIENT_S", 0.2)
    async with served() as port:
        assert await answer(port, GOOD[:-1]) == b""


@pytest.fixture
def no_task_failed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.message for record in caplog.records if "never retrieved" in record.message] == []


@pytest.mark.usefixtures("no_task_failed")
async def test_a_document_that_fails_costs_one_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Document:
        raise ValueError("a label")

    server = Server({"/": broken, "/ok": lambda: Document(content_type="text/plain", body=b"fine")})
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
    port = listener.sockets[0].getsockname()[1]
    assert await answer(port, GOOD) == b""
    assert (await answer(port, GOOD.replace(b"GET / ", b"GET /ok "))).endswith(b"fine")
    listener.close()
    assert '"error": "ValueError"' in capsys.readouterr().err
