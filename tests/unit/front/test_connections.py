"""Connections above an address's share are closed, the newest first; nothing else is touched."""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from worker.front.connections import Connections


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as found:
        yield found


def connect(listener: socket.socket, stack: ExitStack, address: str) -> socket.socket:
    """A connection from this address, accepted in this process as gRPC does it."""
    client = stack.enter_context(socket.socket())
    client.bind((address, 0))
    client.connect(listener.getsockname())
    stack.enter_context(listener.accept()[0])
    return client


def is_open(client: socket.socket) -> bool:
    return not select.select([client], [], [], 0)[0]


def test_x11_an_address_keeps_its_oldest_connections(listener: socket.socket) -> None:
    connections = Connections(port=listener.getsockname()[1], per_address=3)
    with ExitStack() as stack:
        first = [connect(listener, stack, "127.0.0.2") for _ in range(3)]
        other = [connect(listener, stack, "127.0.0.3") for _ in range(2)]
        assert connections.sweep() == {}
        later = [connect(listener, stack, "127.0.0.2") for _ in range(5)]
        assert connections.sweep() == {"127.0.0.2": 5}
        assert all(map(is_open, first + other))
        assert not any(map(is_open, later))


def test_x11_a_sweep_leaves_no_descriptor_and_no_other_port(listener: socket.socket) -> None:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        clients = [connect(elsewhere, stack, "127.0.0.2") for _ in range(4)]
        connections = Connections(port=listener.getsockname()[1], per_address=1)
        connect(listener, stack, "127.0.0.2")
        before = os.listdir("/proc/self/fd")
        for _ in range(5):
            assert connections.sweep() == {}
        assert os.listdir("/proc/self/fd") == before
        assert all(map(is_open, clients))
