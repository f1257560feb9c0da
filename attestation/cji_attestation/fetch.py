"""One bounded HTTP exchange: no proxy, no redirect, no cookie, no environment; a deadline for the whole of it.

The deadline covers connect, TLS, send and every read, so a peer that drips bytes gets no more time than a silent one.
Name resolution has the resolver's own time-out. TLS is 1.2 or later, checked against the given roots and the host name.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.system_roots import trust_system_roots
from cji_attestation.trust import Endpoint

USER_AGENT: Final = "cji-worker"
MAX_RETRY_AFTER: Final = 300.0  # seconds; a longer one is cut to this


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Status, Retry-After in seconds, headers by their names in lower case, at most `limit` bytes of body."""

    status: int
    retry_after: float | None
    headers: Mapping[str, str]
    body: bytes


class _TimedReader(io.RawIOBase):
    """Reads of a socket that share one deadline."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_remaining(self._until))
        return self._sock.recv_into(buffer)


class _TimedSocket:
    """The two methods of a socket that http.client uses, under one deadline."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_remaining(self._until))
        self._sock.sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._until))

    def close(self) -> None:
        """http.client closes as soon as it knows that the body ends the connection; the body is still to be read."""


def _remaining(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def tls_context(roots: str | None, *, check: str) -> ssl.SSLContext:
    """A client context that trusts `roots` (PEM text) or, for None, the system's store, and nothing else."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if roots is None:
            trust_system_roots(context)
        else:
            context.load_verify_locations(cadata=roots)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise AttestationError(Fault.CONFIG_INVALID, check=check) from error
    return context


def retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header (RFC 9110 §10.2.3), at most MAX_RETRY_AFTER; a date is ignored."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(float(value), MAX_RETRY_AFTER)


def exchange(
    target: Endpoint,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None,
    roots: str | None,
    limit: int,
    seconds: float,
    fault: Fault,
    check: str,
) -> Response:
    """Send one request and read one reply of at most `limit` bytes; any failure is AttestationError(fault, check)."""
    until = time.monotonic() + seconds
    connection = http.client.HTTPConnection(target.host, target.port)
    raw: socket.socket | None = None
    try:
        raw = socket.create_connection((target.host, target.port), timeout=_remaining(until))
        if target.scheme == "https":
            raw.settimeout(_remaining(until))
            raw = tls_context(roots, check=check).wrap_socket(raw, server_hostname=target.host)
        connection.sock = _TimedSocket(raw, until)
        connection.request(
            method, path, body=body, headers={"User-Agent": USER_AGENT, "Connection": "close", **headers}
        )
        reply = connection.getresponse()
        data = reply.read(limit + 1)
        if len(data) > limit:
            raise ValueError
        return Response(
            status=reply.status,
            retry_after=retry_after(reply.getheader("Retry-After")),
            headers={name.lower(): value for name, value in reply.getheaders()},
            body=data,
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AttestationError(fault, check=check) from error
    finally:
        if raw is not None:
            raw.close()
