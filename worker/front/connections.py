"""At most so many connections for each address: gRPC caps them together, which one address could use up.

grpc's server neither adopts a listening socket nor shows its connections, but they are descriptors of this process:
once a second those of the server's port are looked at, and an address that has too many loses its newest. It keeps what
it had first, so a flood costs whoever shares its address new connections only.
"""

import os
import socket
import stat
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Final

MAX_CONNECTIONS: Final = 1024
"""Of all addresses together; gRPC closes those above."""

_DESCRIPTORS: Final = range(2 * MAX_CONNECTIONS)
"""The kernel gives the lowest free number; jobs and gRPC itself need some hundreds."""


class Connections:
    """The connections of the server on `port`, of which an address may have `per_address`."""

    def __init__(self, *, port: int, per_address: int) -> None:
        self._port, self._per_address = port, per_address
        self._order: dict[tuple[str, int], int] = {}
        self._next = 0

    def sweep(self) -> dict[str, int]:
        """Close what an address has above its share; returns the number closed by address."""
        by_address: dict[str, list[tuple[int, socket.socket]]] = defaultdict(list)
        order, self._order = self._order, {}
        with ExitStack() as stack:
            for found, peer in self._found():
                stack.callback(found.close)
                self._order[peer] = order.get(peer, self._next)
                self._next += 1
                by_address[peer[0]].append((self._order[peer], found))
            return {name: closed for name, each in by_address.items() if (closed := self._close_surplus(each))}

    def _close_surplus(self, found: list[tuple[int, socket.socket]]) -> int:
        surplus = sorted(found, key=lambda each: each[0])[self._per_address :]
        for _, connection in surplus:
            with suppress(OSError):  # it ended in between
                connection.shutdown(socket.SHUT_RDWR)  # gRPC sees the end of the stream and closes it
        return len(surplus)

    def _found(self) -> Iterator[tuple[socket.socket, tuple[str, int]]]:
        """Duplicates of the connections, and their peers; a number that is given again in between hits nobody else."""
        for fd in list(filter(_is_socket, _DESCRIPTORS)):  # a list, because duplicates are descriptors too
            try:
                found = socket.socket(fileno=os.dup(fd))
            except OSError:
                continue
            try:
                if found.family not in (socket.AF_INET, socket.AF_INET6) or found.getsockname()[1] != self._port:
                    raise OSError
                peer = found.getpeername()[:2]
            except OSError:
                found.close()
                continue
            yield found, peer


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
