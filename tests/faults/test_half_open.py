"""A connection that goes silent at any step of a job, and is never closed: the worker gives the job up by itself."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench
from tests.support.fault_kinds import cut
from tests.support.silent_link import SilentLink
from tests.support.steps import Fault, Step, cases


@pytest.fixture(scope="module")
def bench(azure: Simulation, folder: Path) -> Iterator[Bench]:
    bench = Bench(folder, azure, limits="idle_seconds = 1")
    yield bench
    bench.close()


@pytest.mark.parametrize("step", cases(Fault.HALF_OPEN))
def test_a_connection_is_cut_at_a_step(bench: Bench, step: Step, figure: Callable[[Bench], None]) -> None:
    with SilentLink(bench.site.profile.target) as link:
        bench.attempt(step, cut(link), link=link)
    figure(bench)
