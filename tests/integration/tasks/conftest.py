"""Two workers of one pool, shared by all tests of jobs in parts; tests must leave them serving."""

from collections.abc import Iterator

import pytest

from cji_simulator.simulation import Simulation
from tests.support.task_driver import Node, nodes


@pytest.fixture(scope="package")
def pool(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with nodes(tmp_path_factory.mktemp("pool"), azure, count=2) as started:
        yield started
