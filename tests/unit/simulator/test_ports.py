"""Ports that nobody else gets until they are bound."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cji_simulator import ports
from cji_simulator.ports import free_port

ONE = "import sys; from cji_simulator import ports; ports._USUAL = range(*map(int, sys.argv[1:])); ports.free_port()"


def asked(port: int, last: int) -> str:
    """What another process is told that has only these ports to choose from."""
    done = subprocess.run(
        [sys.executable, "-c", ONE, str(port), str(last + 1)], capture_output=True, text=True, check=False
    )
    return done.stderr.rstrip().rpartition("\n")[2]


def test_a_port_is_outside_of_the_kernels_range() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    found = [free_port() for _ in range(20)]
    assert len(set(found)) == 20
    assert not [port for port in found if low <= port <= high]
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


def test_another_process_gets_another_port() -> None:
    port = free_port()
    assert asked(port, port) == "OSError: no port is free"


def test_a_port_with_an_owner_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    ports._held.pop().close()
    monkeypatch.setattr(ports, "_USUAL", range(port, port + 1))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="no port is free"):
        free_port()
    assert free_port() == port
