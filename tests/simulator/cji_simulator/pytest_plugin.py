"""Fixtures for every test of a tree in which this distribution is installed.

`simulation` is one set of servers for the whole session; faults are cleared after each test that uses it.
"""

from collections.abc import Iterator

import pytest

from cji_simulator.simulation import Simulation

__all__ = ["simulation", "simulation_servers"]


@pytest.fixture(scope="session")
def simulation_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """Servers for the session; without the waiting that real limits would cost every test."""
    with Simulation(tmp_path_factory.mktemp("sim"), release_limit=1000, report_period=0) as running:
        yield running


@pytest.fixture
def simulation(simulation_servers: Simulation) -> Iterator[Simulation]:
    """The session's servers, without faults."""
    yield simulation_servers
    simulation_servers.clear_faults()
