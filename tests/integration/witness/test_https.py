"""Bounds of an exchange, against sockets that keep to no protocol."""

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.https import Client, tls_context
from cji_core.sessions import session as session_of
from tests.support.authority import Authority, private_pem


def bounded_session(ca_file: str, **bounds: Any) -> requests.Session:
    return session_of(Client(tls_context(ca_file=ca_file), keep=True, **bounds))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(name="test")


@contextlib.contextmanager
def answering(folder: Path, authority: Authority, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """A server that reads one request on each connection, and then does as it likes."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "tls.pem").write_text(authority.issue("127.0.0.1", key.public_key()))
    (folder / "tls.key").write_bytes(private_pem(key))
    (folder / "ca.pem").write_text(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as sock:
                    sock.settimeout(60)
                    sock.recv(65536)
                    answer(sock)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def drip(head: bytes) -> Callable[[ssl.SSLSocket], None]:
    """Send this, then a byte at a time for as long as anybody reads."""
    stop = threading.Event()

    def answer(sock: ssl.SSLSocket) -> None:
        sock.sendall(head)
        while not stop.wait(0.02):
            sock.sendall(b"x")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"HTTP/1.1 200 OK\r\nX: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        lambda sock: sock.recv(1),
    ],
    ids=["header", "body", "silence"],
)
def test_a_slow_answer_ends_at_the_deadline(
    tmp_path: Path, authority: Authority, answer: Callable[[ssl.SSLSocket], None]
) -> None:
    with (
        answering(tmp_path, authority, answer) as url,
        bounded_session(str(tmp_path / "ca.pem"), seconds=0.3) as session,
        pytest.raises(requests.RequestException),
    ):
        session.get(url, timeout=(5, 60))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + bytes(1001),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + bytes(4095) + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1001),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(100_000)),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx",
        b"not HTTP\r\n\r\n",
    ],
    ids=["length", "chunked", "until the end", "compressed", "cut", "garbage"],
)
def test_an_answer_that_is_not_acceptable(tmp_path: Path, authority: Authority, answer: bytes) -> None:
    with answering(tmp_path, authority, lambda sock: sock.sendall(answer)) as url:
        made = bounded_session(str(tmp_path / "ca.pem"), limit=1000)
        with pytest.raises(requests.RequestException):
            made.get(url, timeout=60)


def test_an_ordinary_answer(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cookie is kept, no proxy is used, no other scheme is spoken, no other authority is trusted."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    answer = OK + b"Set-Cookie: a=b\r\nConnection: close\r\n\r\nok"
    with answering(tmp_path, authority, lambda sock: sock.sendall(answer)) as url:
        with bounded_session(str(tmp_path / "ca.pem")) as session:
            for _ in range(2):
                assert session.get(url, timeout=60).content == b"ok"
            assert not session.cookies
            with pytest.raises(requests.exceptions.InvalidSchema):
                session.get(url.replace("https", "http"), timeout=60)
        (tmp_path / "ca.pem").write_text(Authority(name="stranger").pem)
        with bounded_session(str(tmp_path / "ca.pem")) as session, pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=60)
    with pytest.raises(FileNotFoundError):
        bounded_session(str(tmp_path / "absent"))
