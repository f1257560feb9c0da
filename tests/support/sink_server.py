"""An HTTPS endpoint of Azure Monitor and Event Hubs that fails in every way, from a script, on loopback.

It reads a request as the services document it, keeps the events that it accepted, and writes each of its deeds as one
JSON line to a file that another process reads. A connection has one request.
"""

import contextlib
import gzip
import json
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem
from cji_simulator.ports import free_port

__all__ = ["FAULTS", "TOKEN", "Certificates", "SinkServer", "script"]

TOKEN: Final = "a-token-of-the-identity"
_STATUSES: Final = (200, 202, 400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504)
FAULTS: Final = (
    "refused",
    "reset-at-hello",
    "closed-at-hello",
    "wrong-name",
    "wrong-authority",
    "reset-unread",
    "reset-half-read",
    "reset-read",
    "answer-lost",
    "answer-late",
    "silent",
    "not-http",
    "half-a-status",
    "endless-body",
    "endless-headers",
    "accepted-half-a-body",
    "redirect",
    *(f"status-{status}" for status in _STATUSES),
)
"""Each once in a script of this length. Those after which the events were accepted all the same are `_ACCEPTING`."""
_ACCEPTING: Final = frozenset({"answer-lost", "answer-late", "accepted-half-a-body"})
_CLOSED_S: Final = 0.06
_RST: Final = struct.pack("ii", 1, 0)
_MAX_BODY: Final = 2 << 20


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """An authority that the client trusts, a server's certificate below it, and two that it must refuse."""

    roots: Path
    server: ssl.SSLContext
    wrong_name: ssl.SSLContext
    wrong_authority: ssl.SSLContext

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        """New ones, with their files in `folder`."""
        root, stranger = (authority(name, ec.generate_private_key(ec.SECP256R1())) for name in ("sinks", "stranger"))
        (folder / "roots.pem").write_bytes(pem(root.certificate))
        return cls(
            roots=folder / "roots.pem",
            server=_context(folder / "server", root, "localhost"),
            wrong_name=_context(folder / "name", root, "elsewhere.example"),
            wrong_authority=_context(folder / "stranger", stranger, "localhost"),
        )


def _context(stem: Path, issuer: Credential, host: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    stem.with_suffix(".pem").write_bytes(pem(leaf(host, key, issuer, hosts=[host]).certificate) + private_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stem.with_suffix(".pem"))
    return context


class SinkServer:
    """Serves until its process ends."""

    def __init__(self, certificates: Certificates, deeds: Path, *, next_fault: Callable[[], str | None]) -> None:
        """`next_fault` is asked once for each connection; None serves it well."""
        self._certificates, self._deeds, self._next = certificates, deeds.open("a", buffering=1), next_fault
        self._lock = threading.Lock()
        self.port = free_port()  # no outgoing connection gets it, or nobody could be refused
        self._listener = self._listen(self.port)
        self.url = f"https://localhost:{self.port}"

    def leave(self) -> None:
        """In a process that does not serve: give up the listener, which would otherwise stay open there."""
        self._listener.close()

    def serve(self) -> None:
        """Accept connections, each in a thread of its own."""
        while True:
            connection, _ = self._listener.accept()
            with self._lock:
                fault = self._next()
            if fault == "refused":
                # this one is reset, and the ones after it find nobody for a moment
                self._listener.close()
                _reset(connection)
                time.sleep(_CLOSED_S)
                self._listener = self._listen(self.port)
                self._note(fault=fault)
                continue
            threading.Thread(target=self._connection, args=(connection, fault), daemon=True).start()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        while True:
            with contextlib.suppress(OSError):
                return socket.create_server(("127.0.0.1", port), backlog=64)
            time.sleep(0.01)

    def _note(self, **deed: Any) -> None:
        with self._lock:
            self._deeds.write(json.dumps(deed) + "\n")

    def _connection(self, raw: socket.socket, fault: str | None) -> None:
        if fault is not None:
            self._note(fault=fault)
        if fault in {"reset-at-hello", "closed-at-hello"}:
            _reset(raw) if fault == "reset-at-hello" else raw.close()
            return
        kind = {"wrong-name": "wrong_name", "wrong-authority": "wrong_authority"}.get(fault or "", "server")
        with contextlib.suppress(OSError):
            raw.settimeout(20)
            tls = getattr(self._certificates, kind).wrap_socket(raw, server_side=True)
            try:
                self._exchange(tls, fault)
            finally:
                tls.close()

    def _exchange(self, tls: ssl.SSLSocket, fault: str | None) -> None:
        if fault == "reset-unread":
            _reset(tls)
            return
        head = _until_blank_line(tls)
        if fault == "reset-half-read":
            _reset(tls)
            return
        path, headers, body = _request(tls, head)
        status = 201 if path.endswith("/messages") else 204
        if fault is None or fault in _ACCEPTING:
            self._note(path=path, ids=_ids(path, headers, body))
        self._answer(tls, fault, status)

    def _answer(self, tls: ssl.SSLSocket, fault: str | None, status: int) -> None:
        match fault:
            case None:
                tls.sendall(f"HTTP/1.1 {status} Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            case "reset-read" | "answer-lost":
                _reset(tls)
            case "answer-late" | "silent":
                time.sleep(1.0)  # longer than the client waits
                _reset(tls)
            case "not-http":
                tls.sendall(b"\x00\x01garbage\r\n\r\n")
            case "half-a-status":
                tls.sendall(f"HTTP/1.1 {status // 10}".encode())
            case "endless-body":
                tls.sendall(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\n")
                while True:  # until the client hangs up
                    tls.sendall(b"x" * 65536)
            case "endless-headers":
                tls.sendall(b"HTTP/1.1 500 Oops\r\n")
                for number in range(1000):
                    tls.sendall(b"X-%d: y\r\n" % number)
            case "accepted-half-a-body":
                tls.sendall(f"HTTP/1.1 {status} Accepted\r\nContent-Length: 4096\r\n\r\nhalf".encode())
            case "redirect":
                place = f"Location: {self.url}/elsewhere\r\n"
                tls.sendall(f"HTTP/1.1 307 Go\r\n{place}Content-Length: 0\r\n\r\n".encode())
            case _:
                code = fault.removeprefix("status-")
                after = "Retry-After: 2\r\n" if code == "429" else ""
                body = '{"error":{"code":"Broken","message":"a text of the peer"}}'
                tls.sendall(f"HTTP/1.1 {code} No\r\n{after}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    connection.close()


def _until_blank_line(tls: ssl.SSLSocket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := tls.recv(4096)):
            raise ConnectionResetError
        data += more
    return data


def _request(tls: ssl.SSLSocket, head: bytes) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body; asserts what both services require."""
    text, _, body = head.partition(b"\r\n\r\n")
    first, *lines = text.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers["content-length"])
    assert method == "POST"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert length <= _MAX_BODY
    while len(body) < length:
        if not (more := tls.recv(65536)):
            raise ConnectionResetError
        body += more
    return urlsplit(target).path, headers, body


def _ids(path: str, headers: dict[str, str], body: bytes) -> list[Any]:
    """The ids of the events in a request; rows without one are as they are."""
    if path.endswith("/messages"):
        assert headers["content-type"].startswith("application/cloudevents-batch+json")
        assert len(body) <= 256 << 10
        return [event["id"] for event in json.loads(body)]
    assert headers["content-encoding"] == "gzip"
    rows = gzip.decompress(body)
    assert len(rows) <= 1_000_000
    return [row.get("event_id", row) for row in json.loads(rows)]


def script(count: int, *, seed: int, share: float = 0.7) -> Callable[[], str | None]:
    """Faults for `count` connections among others that are served well; every kind comes before any comes again."""
    chance = random.Random(seed)
    left: list[str] = []
    while len(left) < count:
        kinds = list(FAULTS)
        chance.shuffle(kinds)
        left += kinds
    left = left[:count]

    def next_fault() -> str | None:
        return left.pop() if left and chance.random() < share else None

    return next_fault
