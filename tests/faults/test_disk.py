"""A disk that is full, or fails, at any step of a job: a receipt that is not on it does not leave."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench
from tests.support.fault_kinds import failing_disk, full_disk, small_disk, traces
from tests.support.steps import Fault, Step, cases

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def disk(folder: Path) -> Iterator[Path]:
    with small_disk(folder.parent / "disk") as disk:
        if disk is None:
            pytest.skip("may not mount")
        yield disk


@pytest.fixture(scope="module")
def bench(azure: Simulation, folder: Path, disk: Path) -> Iterator[Bench]:
    bench = Bench(folder, azure, audit=disk / "audit.jsonl")
    yield bench
    bench.close()


@pytest.mark.parametrize("step", cases(Fault.NO_SPACE))
def test_a_disk_is_full_from_a_step_on(bench: Bench, disk: Path, step: Step, figure: Callable[[Bench], None]) -> None:
    pids = bench.site.worker.pids
    bench.attempt(step, full_disk(disk))
    assert bench.site.worker.pids == pids
    figure(bench)


@pytest.mark.skipif(not traces(), reason="needs strace and root")
@pytest.mark.parametrize("step", cases(Fault.IO_ERROR))
def test_a_disk_fails_from_a_step_on(bench: Bench, step: Step, figure: Callable[[Bench], None]) -> None:
    run = bench.attempt(step, failing_disk())
    if step.name in {"JobAdmitted", "JobCompleted"}:
        assert run.stream.receipt is None  # this line could not be written
    figure(bench)
