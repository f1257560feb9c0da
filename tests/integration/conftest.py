"""A live worker against a live simulation, shared by all integration tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from tests.support.simulations import PATIENT, simulated


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of this test session's simulation."""
    return tmp_path_factory.mktemp("simulation")


@pytest.fixture(scope="session")
def azure(state: Path) -> Iterator[Simulation]:
    """The simulated services of the session."""
    with simulated(state / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="session")
def site(azure: Simulation, state: Path) -> Iterator[Site]:
    """The session's worker; tests must leave it serving."""
    with open_site(state / "site", azure, settings=PATIENT) as opened:
        yield opened
