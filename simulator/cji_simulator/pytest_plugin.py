"""Fixtures for every test of a tree in which this distribution is installed.

| fixture | scope | what |
|---|---|---|
| `simulation_options` | session | arguments of `Simulation`; override it for a TDX machine, real limits, real waiting |
| `simulation` | test | one set of servers for the session; no fault is in force when a test begins |
| `fresh_simulation` | test | servers of its own, with the session's roots: nothing of another test is in vault or VM |
| `cji_site` | test | a worker on it with its submitter, one for the session, and the `simulation` it runs on |
| `client_profile` | test | what an app's operator is given: where the worker is, and the files to call it with |
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cji_simulator.prerequisites import missing

if TYPE_CHECKING:  # loaded with every session, so it brings in no more than a session that asks for nothing needs
    from cji_client.profile import ClientProfile
    from cji_simulator.simulation import Simulation
    from cji_simulator.site import Site

__all__ = [
    "cji_site",
    "client_profile",
    "fresh_simulation",
    "simulation",
    "simulation_options",
    "simulation_servers",
    "site_servers",
]


@pytest.fixture(scope="session")
def simulation_options() -> Mapping[str, Any]:
    """No throttle and no waiting for reports: they would cost every test seconds."""
    return {"release_limit": 1000, "report_period": 0}


@pytest.fixture(scope="session")
def simulation_servers(
    tmp_path_factory: pytest.TempPathFactory, simulation_options: Mapping[str, Any]
) -> "Iterator[Simulation]":
    """Servers for the session, for fixtures of the session; tests ask for `simulation`."""
    if lacking := missing(worker=False):
        pytest.fail("; ".join(lacking), pytrace=False)
    from cji_simulator.simulation import Simulation

    with Simulation(tmp_path_factory.mktemp("sim"), **simulation_options) as running:
        yield running


@pytest.fixture
def simulation(simulation_servers: "Simulation") -> "Iterator[Simulation]":
    """The session's servers, without faults; their VM has just booted, so a test may start a worker on it."""
    simulation_servers.reboot()
    yield simulation_servers
    simulation_servers.clear_faults()


@pytest.fixture
def fresh_simulation(
    tmp_path: Path, simulation_servers: "Simulation", simulation_options: Mapping[str, Any]
) -> "Iterator[Simulation]":
    """Servers for one test."""
    state = tmp_path / "simulation"
    for name in ("roots", "intel"):  # keys take long to make
        shutil.copytree(simulation_servers.state / name, state / name)
    with type(simulation_servers)(state, **simulation_options) as running:
        yield running


@pytest.fixture(scope="session")
def site_servers(tmp_path_factory: pytest.TempPathFactory, simulation_servers: "Simulation") -> "Iterator[Site]":
    """A worker for the session; tests ask for `cji_site`."""
    from cji_simulator.site import open_site

    with open_site(tmp_path_factory.mktemp("site"), simulation_servers) as opened:
        yield opened


@pytest.fixture
def cji_site(simulation: "Simulation", site_servers: "Site") -> "Site":
    """The session's worker with its submitter, on servers without faults."""
    return site_servers


@pytest.fixture
def client_profile(cji_site: "Site") -> "ClientProfile":
    """The client profile of the session's worker."""
    return cji_site.profile
