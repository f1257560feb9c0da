"""The bounds of the server of logs and witnesses, plain and over TLS."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.tlog.http_server import Answer, Request, Server
from cji_core.errors import StartupError
from cji_core.tlog.submissions import MAX_SUBMISSION_BYTES
from cji_simulator.certificates import authority, leaf, pem, private_pem
from tests.support.tlog_site import serving


def echo(request: Request) -> Answer:
    return Answer(status=200, body=request.body or request.path.encode())


@pytest.fixture
def tls(tmp_path: Path) -> tuple[str, str]:
    root = authority("Root", ec.generate_private_key(ec.SECP384R1()))
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "chain.pem").write_bytes(pem(leaf("log", key, root, hosts=["127.0.0.1"]).certificate))
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    return str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")


@contextmanager
def connected(server: Server, roots: Path | None = None) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        if roots is None:
            yield plain
            return
        context = ssl.create_default_context(cafile=str(roots))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            yield secure


def asked(server: Server, text: bytes, roots: Path | None = None) -> bytes:
    with connected(server, roots) as sock:
        sock.sendall(text)
        found = b""
        while part := sock.recv(65536):
            found += part
    return found


def post(length: str, body: bytes, more: str = "") -> bytes:
    return f"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}{length}\r\n".encode() + body


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (post("Content-Length: 3\r\n", b"abc"), 200),
        (post("", b""), 411),
        (post("Content-Length: -1\r\n", b""), 411),
        (post("Content-Length: 1\r\nContent-Length: 1\r\n", b"a"), 411),
        (post(f"Content-Length: {MAX_SUBMISSION_BYTES + 1}\r\n", b""), 413),
        (post("Content-Length: 99999999999999999999\r\n", b""), 413),
        (post("Content-Length: 1\r\n", b"a", "Transfer-Encoding: chunked\r\n"), 413),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n", 414),
        (b"PUT /x HTTP/1.1\r\nConnection: close\r\n\r\n", 501),
        (b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
    ],
)
def test_a_request_is_within_its_limits(text: bytes, status: int) -> None:
    with serving(echo) as server:
        assert asked(server, text).startswith(f"HTTP/1.1 {status} ".encode())


def test_tls_serves(tls: tuple[str, str], tmp_path: Path) -> None:
    with serving(echo, tls=tls) as server:
        answer = asked(server, post("Content-Length: 3\r\n", b"abc"), tmp_path / "root.pem")
        assert answer.endswith(b"\r\n\r\nabc")
        assert asked(server, b"GET / HTTP/1.1\r\n\r\n" * 5) == b""  # not TLS


@pytest.mark.parametrize("secure", [False, True])
def test_a_slow_peer_is_cut(tls: tuple[str, str], tmp_path: Path, *, secure: bool) -> None:
    with serving(echo, tls=tls if secure else None, seconds=0.5) as server:
        begun = time.monotonic()
        with connected(server, tmp_path / "root.pem" if secure else None) as sock:
            try:
                while True:
                    sock.sendall(b"G")
                    time.sleep(0.05)
                    if time.monotonic() - begun > 15:
                        pytest.fail("the server waits")
            except OSError:
                pass
        assert time.monotonic() - begun < 10


def test_a_slow_handshake_is_cut(tls: tuple[str, str]) -> None:
    with serving(echo, tls=tls, seconds=0.5) as server:
        begun = time.monotonic()
        assert asked(server, b"\x16\x03\x01") == b""
        assert time.monotonic() - begun < 10


def test_one_connection_too_many_is_closed() -> None:
    with serving(echo, max_connections=1) as server:
        with connected(server) as first:
            first.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert first.recv(100).startswith(b"HTTP/1.1 200")
            with contextlib.suppress(ConnectionError):
                assert asked(server, b"GET /x HTTP/1.1\r\n\r\n") == b""
        deadline = time.monotonic() + 10
        while not _answers(server):
            assert time.monotonic() < deadline


def test_one_address_cannot_shut_others_out(tls: tuple[str, str]) -> None:
    with serving(echo, tls=tls, per_address=2, max_connections=3) as server, contextlib.ExitStack() as stack:

        def opened(source: str) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(source, 0))
            return stack.enter_context(made)

        greedy = [opened("127.0.0.2") for _ in range(6)]
        closed = [each for each in greedy[2:] if _is_closed(each)]
        assert len(closed) == 4
        context = ssl.create_default_context(cafile=str(Path(tls[0]).with_name("root.pem")))
        with context.wrap_socket(opened("127.0.0.3"), server_hostname="127.0.0.1") as other:
            other.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def test_a_share_is_given_back(tls: tuple[str, str], tmp_path: Path) -> None:
    with serving(echo, tls=tls, per_address=1) as server:
        for _ in range(3):
            deadline = time.monotonic() + 10
            while not _served(server, tmp_path / "root.pem"):
                assert time.monotonic() < deadline


def test_a_proxy_has_all_connections() -> None:
    with serving(echo, per_address=1, max_connections=2) as server, connected(server) as first:
        first.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        assert first.recv(100).startswith(b"HTTP/1.1 200")
        assert _answers(server)


def _served(server: Server, roots: Path) -> bool:
    try:
        return asked(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", roots).startswith(b"HTTP/1.1 200")
    except OSError:  # closed in the handshake: the last connection still ends
        return False


def _answers(server: Server) -> bool:
    try:
        return asked(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_a_fault_ends_one_request_alone() -> None:
    def fails(request: Request) -> Answer:
        if request.path == "/fail":
            raise RuntimeError("canary")
        return echo(request)

    with serving(fails) as server:
        answer = asked(server, b"GET /fail HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"canary" not in answer
        assert _answers(server)


def test_plain_http_is_for_loopback_alone() -> None:
    with pytest.raises(StartupError, match="loopback"):
        Server(echo, host="0.0.0.0", port=0, max_body=1)
