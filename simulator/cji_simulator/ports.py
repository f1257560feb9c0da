"""A port that is chosen now and bound later, often by another process.

The kernel hands the ports of its own range to connections and to listeners that ask for any. So one of them that was
free a moment ago may have an owner when the program that shall serve on it comes to bind it. The ports here are outside
of that range. A name in the abstract namespace, which has the same scope as a port, keeps each for the process that
asked for it, until that ends: another process that asks gets another one.
"""

import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cji_simulator.roots import HOST

__all__ = ["PORTS", "free_port", "listeners", "require_free"]

PORTS: Final = (
    *("worker", "attestation service", "another provider", "key vault", "managed HSM", "another region's vault"),
    *("metadata service", "control", "Intel's service", "AMD's service", "Entra"),
)
"""The servers of a simulation, in the order of their ports where these are fixed."""

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL: Final = range(10_000, 1 << 16)
"""Below are the ports of well-known services."""
_held: Final[list[socket.socket]] = []


def free_port() -> int:
    """A port of this machine that nobody has, and that nobody else gets while this process lives."""
    low, high = map(int, _RANGE.read_text().split())
    ports = [port for port in _USUAL if not low <= port <= high] or list(_USUAL)
    first = secrets.randbelow(len(ports))
    for port in (*ports[first:], *ports[:first]):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            name = stack.enter_context(socket.socket(socket.AF_UNIX))
            name.bind(f"\0cji-port-{port}")
            socket.create_server((HOST, port)).close()
            stack.pop_all()
            _held.append(name)
            return port
    raise OSError("no port is free")


def listeners(base: int | None) -> Iterator[tuple[socket.socket, int]]:
    """Listening sockets of the servers after the worker, with their ports: those that follow `base`, or free ones.

    A free one is kept for this process, so no other server gets it as soon as this one has ended.
    """
    for number in range(1, len(PORTS)):
        port = free_port() if base is None else base + number
        yield socket.create_server((HOST, port)), port


def require_free(base: int) -> None:
    """Raise OSError that names the first of the fixed ports that somebody has, and its server."""
    for number, name in enumerate(PORTS):
        try:
            socket.create_server((HOST, base + number)).close()
        except OSError as error:
            text = f"port {base + number}, for the {name}, is taken ({error.strerror}): choose other --ports"
            raise OSError(error.errno, text) from error
