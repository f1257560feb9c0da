"""A server on loopback that keeps to no protocol: each behaviour by its name, with TLS and without."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.authority import Authority, private_pem

__all__ = ["BEHAVIOURS", "Hostile", "hostile"]

_GAP_S: Final = 0.02
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_Send = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Hostile:
    """Where the server listens, and the file of the authority of its certificate."""

    port: int
    ca_file: str


def _drip(send: _Send, stop: threading.Event, head: bytes, piece: bytes) -> None:
    """Send this, then a piece at a time for as long as anybody reads."""
    send(head)
    while not stop.wait(_GAP_S):
        send(piece)


def _pour(send: _Send, stop: threading.Event, head: bytes, piece: bytes) -> None:
    send(head)
    while not stop.is_set():
        send(piece)


def _slowly(send: _Send, stop: threading.Event, data: bytes) -> None:
    """A whole and good reply, a byte at a time: twelve seconds for one that is usual."""
    for number in range(len(data)):
        if stop.wait(0.1):
            return
        send(data[number : number + 1])


_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_WHOLE: Final = _OK + b"Content-Length: 2\r\nX-Padding: " + b"x" * 40 + b"\r\n\r\n{}"
BEHAVIOURS: Final[dict[str, Callable[[_Send, threading.Event], object]]] = {
    "header by the byte": lambda send, stop: _slowly(send, stop, _WHOLE),
    "body by the byte": lambda send, stop: _drip(send, stop, _OK + b"Content-Length: 4000\r\n\r\n", b" "),
    "endless status": lambda send, stop: _drip(send, stop, b"HTTP/1.1 ", b"2"),
    "endless header": lambda send, stop: _drip(send, stop, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "endless continue": lambda send, stop: _pour(send, stop, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless body": lambda send, stop: _pour(send, stop, _OK + b"\r\n", bytes(65_536)),
    "endless chunks": lambda send, stop: _drip(send, stop, _CHUNKED, b"1\r\n \r\n"),
    "endless trailer": lambda send, stop: _pour(send, stop, _CHUNKED + b"0\r\n", b"X: y\r\n" * 100),
    "silence": lambda send, stop: stop.wait(),
    "redirect": lambda send, _: send(b"HTTP/1.1 307 T\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    "refusal that is no JSON": lambda send, _: send(b"HTTP/1.1 403 F\r\nContent-Length: 6\r\n\r\n<html>"),
    "too large": lambda send, _: send(_OK + b"Content-Length: 999999999999\r\n\r\n"),
    "cut": lambda send, _: send(_OK + b"Content-Length: 9\r\n\r\n{}"),
    "chunk that lies": lambda send, _: send(_CHUNKED + b"ffffff\r\n{}\r\n0\r\n\r\n"),
    "chunk without a length": lambda send, _: send(_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
    "two lengths": lambda send, _: send(_OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    "length and chunks": lambda send, _: send(_CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "compressed": lambda send, _: send(_OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "garbage": lambda send, _: send(b"not HTTP\r\n\r\n"),
}  # fmt: skip
"""What the server does after it has read a request; "slow handshake", which needs none, is made by `hostile`."""


@contextlib.contextmanager
def hostile(folder: Path, behaviour: str, *, tls: bool) -> Iterator[Hostile]:
    """Serve one behaviour to every connection."""
    authority, key = Authority(name="hostile"), ec.generate_private_key(ec.SECP256R1())
    (folder / "tls.pem").write_text(authority.issue("127.0.0.1", key.public_key()))
    (folder / "tls.key").write_bytes(private_pem(key))
    (folder / "ca.pem").write_text(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    listener, stop, threads = socket.create_server(("127.0.0.1", 0)), threading.Event(), list[threading.Thread]()
    taken = list[socket.socket]()

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(60)
            if behaviour == "slow handshake":
                _drip(plain.sendall, stop, b"\x16\x03\x03\x40\x00", b"\x02")
            sock = context.wrap_socket(plain, server_side=True) if tls else plain
            with sock:
                sock.recv(65_536)
                BEHAVIOURS[behaviour](sock.sendall, stop)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65_536):  # a request half read would end the connection before its answer is read
                    pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                taken.append(plain.dup())  # TLS will take the other one
                threads.append(threading.Thread(target=serve, args=(plain,), daemon=True))
                threads[-1].start()

    threads.append(threading.Thread(target=accept, daemon=True))
    threads[0].start()
    try:
        yield Hostile(listener.getsockname()[1], str(folder / "ca.pem"))
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        threads[0].join(60)
        for each in taken:  # a caller may keep its connection for the next request
            with contextlib.suppress(OSError), each:
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)
