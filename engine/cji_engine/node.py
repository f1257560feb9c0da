"""The way to one worker: the socket for tasks of this machine, or the tasks' port of a worker's door, over TLS.

A worker's door asks for a certificate of the engine's authority. The engine knows the worker by the name in the door's
certificate, which another authority issued: that of the pool's submitters.
"""

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["PORT", "SOCKET", "SOCKET_VARIABLE", "Doors", "LocalNode", "Node", "RemoteNode"]

PORT: Final = 8444
"""Of the tasks at a worker's door."""
SOCKET: Final = "/run/cji-tasks/tasks.sock"
SOCKET_VARIABLE: Final = "CJI_TASKS_SOCKET"
"""Names the socket, in the environment of the engine's worker; no request names it."""
_CONNECT_S: Final = 10.0
_SILENCE: Final = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""A machine that is gone is noticed within a minute; a task itself may take as long as its cell."""


@dataclass(frozen=True, slots=True)
class LocalNode:
    """The worker on this machine."""

    def connect(self) -> socket.socket:
        """A new connection. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(os.environ.get(SOCKET_VARIABLE, SOCKET))
        except BaseException:
            connection.close()
            raise
        return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The name in the certificates of all doors of a pool, and the authorities of these."""

    name: str
    context: ssl.SSLContext

    @classmethod
    def of(cls, name: str, roots: Path, *, certificate: Path, key: Path) -> Self:
        """With the certificate of the engine's worker for them. Raises OSError."""
        context = ssl.create_default_context(cafile=str(roots))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        return cls(name=name, context=context)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteNode:
    """A worker on another machine."""

    host: str
    port: int
    doors: Doors

    @classmethod
    def at(cls, address: str, doors: Doors) -> Self:
        """Of `HOST` or `HOST:PORT`. Raises ValueError."""
        host, _, port = address.partition(":")
        if not host or not (port or "1").isdecimal():
            raise ValueError(f"{address!a} is not a host, or a host and a port")
        return cls(host=host, port=int(port or PORT), doors=doors)

    def connect(self) -> socket.socket:
        """A new connection. Raises OSError, of which ssl.SSLError is one."""
        plain = socket.create_connection((self.host, self.port), timeout=_CONNECT_S)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _SILENCE.items():
                plain.setsockopt(socket.IPPROTO_TCP, option, value)
            connection = self.doors.context.wrap_socket(plain, server_hostname=self.doors.name)
        except BaseException:
            plain.close()
            raise
        connection.settimeout(None)
        return connection


Node = LocalNode | RemoteNode
