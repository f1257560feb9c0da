"""A small HTTP/1.1 server for logs and witnesses: bounded in connections, bytes and time, over TLS or on loopback.

Contract and invariants
* At most `MAX_CONNECTIONS` at once, and a share of them from one address; one more is closed. Without a certificate all
  come from a proxy on this machine, which counts its peers itself. A connection ends after `CONNECTION_SECONDS`,
  whatever its peer does, and a request that needs more than `READ_SECONDS` for a read ends it too.
* A body has a Content-Length within the limit of its path, or is refused before it is read.
* Without a certificate the server listens on loopback alone.
* Nothing that a peer wrote comes into the log.
"""

import http.server
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cji_core.errors import StartupError
from cji_core.hosts import is_loopback
from cji_core.log import log

MAX_CONNECTIONS: Final = 128
CONNECTIONS_PER_ADDRESS: Final = 16
CONNECTION_SECONDS: Final = 120.0
READ_SECONDS: Final = 15.0
_MAX_PATH: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose body is within its limit."""

    method: str
    path: str
    body: bytes
    authorization: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handle = Callable[[Request], Answer]


class Server:
    """Serves until it is stopped. `handle` runs in a thread of each connection."""

    def __init__(
        self,
        handle: Handle,
        *,
        host: str,
        port: int,
        max_body: int,
        tls: tuple[str, str] | None = None,
        max_connections: int = MAX_CONNECTIONS,
        per_address: int = CONNECTIONS_PER_ADDRESS,
        seconds: float = CONNECTION_SECONDS,
    ) -> None:
        """Listen. `tls` are the files of certificate chain and key; without them `per_address` counts for nothing.

        Raises StartupError.
        """
        if tls is None and not is_loopback(host):
            raise StartupError(
                f"{host} is not this machine's loopback, and there is no certificate",
                "Give certificate_file and key_file, or listen on 127.0.0.1 behind a proxy that ends TLS.",
            )
        try:
            self._server = _Listener((host, port), _handler(handle, max_body))
            share = max_connections if tls is None else per_address
            self._server.bounds(_context(tls), _Places(max_connections, share), seconds)
        except (OSError, ValueError) as error:
            raise StartupError(f"The server cannot listen on {host}:{port}: {error}", "Free the port.") from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def serve(self) -> None:
        """Serve until `stop`, which another thread calls."""
        self._server.serve_forever(poll_interval=0.05)
        self._server.server_close()

    def stop(self) -> None:
        """End `serve`."""
        self._server.shutdown()


class _Places:
    """Connections that may be open: so many in all, and a share of them from one address."""

    def __init__(self, most: int, share: int) -> None:
        self._most, self._share = most, share
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        with self._lock:
            if self._open.total() >= self._most or self._open[address] >= self._share:
                return False
            self._open[address] += 1
            return True

    def give_back(self, address: str) -> None:
        with self._lock:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def bounds(self, context: ssl.SSLContext | None, places: _Places, seconds: float) -> None:
        self._context, self._places, self._seconds = context, places, seconds

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.take(client_address[0]):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.give_back(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        request.settimeout(READ_SECONDS)
        if self._context is not None:  # the handshake comes under the deadline, too
            request = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        end = threading.Timer(self._seconds, _cut, (request,))
        end.daemon = True
        try:
            end.start()
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except OSError:  # a handshake that failed
            self.shutdown_request(request)
        finally:
            end.cancel()
            self._places.give_back(client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that vanishes is not an event."""


def _cut(request: socket.socket) -> None:
    try:
        socket.socket.shutdown(request, socket.SHUT_RDWR)  # below TLS, whose state another thread uses
    except OSError:
        return


def _context(tls: tuple[str, str] | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*tls)
    return context


def _handler(handle: Handle, max_body: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "cji"
        sys_version = ""
        timeout = READ_SECONDS

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            lengths = self.headers.get_all("Content-Length", [])
            if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
                return self._send(Answer(status=411))
            if "Transfer-Encoding" in self.headers or len(lengths[0]) > 9 or int(lengths[0]) > max_body:
                return self._send(Answer(status=413))
            body = self.rfile.read(int(lengths[0]))
            return self._answer(body) if len(body) == int(lengths[0]) else None

        def _answer(self, body: bytes) -> None:
            if len(self.path) > _MAX_PATH:
                return self._send(Answer(status=414))
            authorization = self.headers.get("Authorization")
            request = Request(method=self.command, path=self.path, body=body, authorization=authorization)
            try:
                answer = handle(request)
            except Exception as fault:  # noqa: BLE001 - one request's fault must not end the server
                log("request failed", what=type(fault).__name__)
                answer = Answer(status=500)
            return self._send(answer, keep=True)

        def _send(self, answer: Answer, *, keep: bool = False) -> None:
            self.close_connection = self.close_connection or not keep
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Nothing that a peer wrote comes into the log."""

    return Handler
