"""A process or a caller that pauses at any step of a job: the job goes on where it was."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench
from tests.support.fault_kinds import slow_reader, stopped_for
from tests.support.steps import Fault, Route, Step, cases

PAUSE_S = 0.5
SEGMENTS = 30_000
"""Rows for two segments of each part, more than fits into the windows of a connection that nobody reads."""


@pytest.fixture(scope="module")
def bench(azure: Simulation, folder: Path) -> Iterator[Bench]:
    bench = Bench(folder, azure, rows=SEGMENTS)
    yield bench
    bench.close()


@pytest.mark.parametrize("step", cases(Fault.STOP))
def test_a_process_is_stopped_at_a_step(bench: Bench, step: Step, figure: Callable[[Bench], None]) -> None:
    pids = bench.site.worker.pids
    run = bench.attempt(step, stopped_for(PAUSE_S))
    assert (run.stream.receipt is not None) is (step.route is Route.COMPLETED)
    assert bench.site.worker.pids == pids
    figure(bench)


@pytest.mark.parametrize("step", cases(Fault.SLOW_READER))
def test_a_caller_does_not_read_from_a_step_on(bench: Bench, step: Step, figure: Callable[[Bench], None]) -> None:
    run = bench.attempt(step, slow_reader(PAUSE_S))
    assert (run.stream.receipt is not None) is (step.route is Route.COMPLETED)
    figure(bench)
