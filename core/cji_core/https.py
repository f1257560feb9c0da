"""One bounded HTTP exchange: no proxy, no redirect, no cookie, no environment; one deadline, one bound of bytes.

Contract and invariants
* The deadline covers connect, TLS, every send and every read: a peer that drips its header or body gets no more time
  than a silent one. Name resolution has the resolver's own time-out.
* Header, body and the framing of chunks are bounded. A reply that is too large, cut off, compressed, or framed in two
  ways is an ExchangeError, and so is everything else that is not one whole reply.
* TLS is 1.2 or later, checked against the given roots and the name of the host. `http` goes to this machine's loopback
  and its metadata service, of a client made with `plain`, and nowhere else; with `path`, to that Unix socket alone.
* A redirect is a reply like any other: its status goes to the caller, and nobody follows it.

Standard library only.
"""

import contextlib
import http.client
import io
import math
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from cji_core.errors import CoreError
from cji_core.hosts import is_loopback, is_metadata

CONNECT_SECONDS: Final = 10.0
EXCHANGE_SECONDS: Final = 60.0
MAX_ANSWER_BYTES: Final = 1 << 20
MAX_HEADER_BYTES: Final = 64 << 10
MAX_RETRY_AFTER: Final = 300.0  # seconds; a longer one is cut to this
MAX_IDLE: Final = 8
"""Connections that a client keeps for its next exchanges."""
SYSTEM_ROOTS: Final = "/etc/ssl/certs/ca-certificates.crt"
USER_AGENT: Final = "cji-worker"
_PLACES: Final = (
    SYSTEM_ROOTS,  # Debian, Ubuntu
    "/etc/pki/tls/certs/ca-bundle.crt",  # Azure Linux
    "/etc/ssl/cert.pem",  # macOS
)
_SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"  # id-kp-serverAuth, RFC 5280 §4.2.1.12
_CHUNK: Final = 64 << 10
_PORTS: Final = {"https": 443, "http": 80}


class ExchangeError(CoreError):
    """There is no whole, acceptable reply. `sent` is whether the service may have received the request."""

    code = "exchange-failed"
    remedy = "Check the address, its certificate and the outbound rules; then try again."

    def __init__(self, found: str, *, sent: bool) -> None:
        super().__init__(found)
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole reply. `headers` are by their names in lower case; values of one name are joined by a comma."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds of its Retry-After, at most MAX_RETRY_AFTER; None for a date, and without one."""
        return retry_after(self.headers.get("retry-after"), most=MAX_RETRY_AFTER)


@dataclass(frozen=True, slots=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str

    @property
    def service(self) -> tuple[str, str, int]:
        """The other end of its connections."""
        return self.scheme, self.host, self.port


class _Wire(io.RawIOBase):
    """A connected socket during one exchange, as http.client uses it: under a deadline, and with bounded reads."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._sock, self._until = sock, until
        self.allowance = MAX_HEADER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.allowance <= 0:
            raise OSError("the reply has too many bytes")
        self._sock.settimeout(_remaining(self._until))
        count = self._sock.recv_into(buffer, min(len(buffer), self.allowance))
        self.allowance -= count
        return count

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            self._sock.settimeout(_remaining(self._until))
            view = view[self._sock.send(view[:_CHUNK]) :]

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        """http.client closes as soon as it knows that the body ends the connection; the body is still to be read."""


class Client:
    """Exchanges within the same bounds and under the same roots. May be used by several threads."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        seconds: float = EXCHANGE_SECONDS,
        limit: int = MAX_ANSWER_BYTES,
        plain: bool = False,
        keep: bool = False,
        path: str | None = None,
    ) -> None:
        """`plain` permits http to this machine, and without a `context` there is nothing else.

        `keep` leaves connections open for further exchanges. `path` is a Unix socket that takes them all.
        """
        self._context, self._seconds, self._limit = context, seconds, limit
        self.plain, self._keep, self._path = plain, keep, path
        self._idle: list[tuple[tuple[str, str, int], socket.socket]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, sock in idle:
            sock.close()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        seconds: float = math.inf,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> Response:
        """Send one request and read one reply, in at most `seconds`, and never more than the client's.

        `body` is bytes, or what http.client takes besides: a file, or an iterable of bytes. Raises ExchangeError.
        """
        until = time.monotonic() + min(self._seconds, seconds)
        sock: socket.socket | None = None
        sent = kept = False
        try:
            target = _target(url, plain=self.plain)
            sock = self._taken(target) or self._connected(target, until, connect_seconds)
            wire, sent = _Wire(sock, until), True
            reply = self._asked(wire, target, method, headers or {}, body)
            data = self._body(reply, wire)
            kept = self._keep and not reply.will_close and self._give_back(target, sock)
            return Response(status=reply.status, reason=reply.reason, headers=_headers(reply), body=data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(_found(error), sent=sent) from error
        finally:
            if sock is not None and not kept:
                sock.close()

    def _asked(
        self, wire: _Wire, target: _Target, method: str, headers: Mapping[str, str], body: Any
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.default_port = _PORTS[target.scheme]
        connection.sock = wire
        names = {name.lower() for name in headers}
        own = {"User-Agent": USER_AGENT} if "user-agent" not in names else {}
        if not self._keep:
            own["Connection"] = "close"
        with contextlib.suppress(BrokenPipeError):  # the service has stopped to read, and may have said why
            connection.request(
                method, target.path, body=body, headers=own | dict(headers), encode_chunked="transfer-encoding" in names
            )
        return connection.getresponse()

    def _body(self, reply: http.client.HTTPResponse, wire: _Wire) -> bytes:
        if reply.getheader("Content-Encoding") not in {None, "", "identity"}:
            raise ValueError("the reply is compressed")
        lengths = reply.headers.get_all("Content-Length", [])
        framings = len(set(lengths)) + len(reply.headers.get_all("Transfer-Encoding", []))
        plain = all(each.isascii() and each.isdigit() for each in lengths)
        if framings > 1 or not plain or ("Transfer-Encoding" in reply.headers and not reply.chunked):
            raise ValueError("the reply has no one length")
        if reply.length is not None and reply.length > self._limit:
            raise ValueError("the reply has too many bytes")
        wire.allowance = 2 * self._limit + MAX_HEADER_BYTES  # chunks have a frame
        data = reply.read(self._limit + 1)
        if len(data) > self._limit:
            raise ValueError("the reply has too many bytes")
        if reply.length:
            raise ValueError("the reply is cut off")
        return data

    def _connected(self, target: _Target, until: float, connect_seconds: float) -> socket.socket:
        if self._path is not None:
            return _connected_to(self._path, until)
        sock = _dialled(target, until, min(connect_seconds, CONNECT_SECONDS))
        try:
            if target.scheme == "http":
                return sock
            if self._context is None:
                raise ValueError("the client has no roots for https")
            sock.settimeout(_remaining(until))  # of the whole handshake
            return self._context.wrap_socket(sock, server_hostname=target.host)
        except BaseException:
            sock.close()
            raise

    def _taken(self, target: _Target) -> socket.socket | None:
        """A connection that is open and on which nothing has come."""
        while True:
            with self._lock:
                found = next((each for each in self._idle if each[0] == target.service), None)
                if found is None:
                    return None
                self._idle.remove(found)
            if _is_quiet(found[1]):
                return found[1]
            found[1].close()

    def _give_back(self, target: _Target, sock: socket.socket) -> bool:
        with self._lock:
            if len(self._idle) >= MAX_IDLE:
                return False
            self._idle.append((target.service, sock))
        return True


def system_roots_file() -> str:
    """The path of the system's own PEM bundle; no environment variable replaces it. FileNotFoundError without one."""
    for place in (*_PLACES, ssl.get_default_verify_paths().openssl_cafile):
        if Path(place).is_file():
            return place
    raise FileNotFoundError("the system has no file of certificate authorities")


def trust_system_roots(context: ssl.SSLContext) -> None:
    """Add the system's roots to a context: Windows' store ROOT, elsewhere the file. FileNotFoundError without any."""
    if sys.platform == "win32":
        found = [
            der
            for der, encoding, purposes in ssl.enum_certificates("ROOT")
            if encoding == "x509_asn" and (purposes is True or _SERVER_AUTH in purposes)
        ]
        if not found:
            raise FileNotFoundError("the system has no certificate authorities")
        for der in found:
            context.load_verify_locations(cadata=der)
    else:
        context.load_verify_locations(cafile=system_roots_file())


def tls_context(
    *, ca_file: str | None = None, pem: str | None = None, certificate: tuple[str, str] | None = None
) -> ssl.SSLContext:
    """A client's context that trusts this file, or this PEM text, or for neither the system's roots, and nothing else.

    `certificate` names the files of the client's own certificate and key. OSError or ValueError for unreadable ones.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None and pem is None:
        trust_system_roots(context)
    else:
        context.load_verify_locations(cafile=ca_file, cadata=pem)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def retry_after(value: str | None, *, most: float = MAX_RETRY_AFTER) -> float | None:
    """The seconds of a Retry-After header (RFC 9110 §10.2.3), at most `most`; None for a date, and without one."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(float(value), most)


def _target(url: str, *, plain: bool) -> _Target:
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or parts.fragment:
        raise ValueError("the address is not one of a service")
    if parts.scheme == "http" and not (plain and (is_loopback(host) or is_metadata(host))):
        raise ValueError("the address is not https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, parts.port or _PORTS[parts.scheme], path)


def _dialled(target: _Target, until: float, each_seconds: float) -> socket.socket:
    """A connection to the first address that answers, each within `each_seconds`."""
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(each_seconds, _remaining(until)))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _connected_to(path: str, until: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_remaining(until))
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _remaining(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_quiet(sock: socket.socket) -> bool:
    """Whether the peer has neither closed the connection nor sent anything that nobody asked for."""
    try:
        sock.settimeout(0)
        socket.socket.recv(sock, 1, socket.MSG_PEEK)  # below TLS
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _headers(reply: http.client.HTTPResponse) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in reply.getheaders():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _found(error: Exception) -> str:
    """The failure, without a text of the peer."""
    match error:
        case TimeoutError():
            return "the service did not finish in time"
        case ssl.SSLError():
            return "the service's certificate or TLS is not acceptable"
        case ValueError() | http.client.HTTPException():
            return str(error) if type(error) is ValueError else type(error).__name__
        case _:
            return f"the connection failed ({type(error).__name__})"
