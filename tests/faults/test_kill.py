"""A process killed at any step of a job: never a receipt without a complete result, nor a result without a receipt."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cji_core.errors import Reason
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawWorker, forge, sends, settled
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site, people
from tests.support.fault_bench import Bench
from tests.support.fault_kinds import killed
from tests.support.simulations import simulated
from tests.support.steps import Fault, Step, cases


@pytest.fixture(scope="module")
def bench(azure: Simulation, folder: Path) -> Iterator[Bench]:
    bench = Bench(folder, azure)
    yield bench
    bench.close()


@pytest.mark.parametrize("step", cases(Fault.KILL))
def test_the_process_at_a_step_is_killed(bench: Bench, step: Step, figure: Callable[[Bench], None]) -> None:
    bench.attempt(step, killed())
    figure(bench)


@pytest.mark.parametrize("name", ["JobAdmitted+", "KeysReady", "JobCompleted", "JobCompleted+"])
def test_another_process_is_killed_at_a_step(bench: Bench, name: str, figure: Callable[[Bench], None]) -> None:
    """`make soak` kills every process at every step."""
    others = {"JobAdmitted+": "front", "KeysReady": "zygote", "JobCompleted": "supervisor", "JobCompleted+": "front"}
    bench.attempt(Step("keyholder", name), killed(others[name]))
    figure(bench)


def test_killing_one_cell_touches_no_other_job(azure: Simulation, tmp_path: Path) -> None:
    with open_site(tmp_path / "site", azure) as site, RawWorker.of(site) as raw, ExitStack() as stack:
        before = settled(site)
        jobs = [forge(site) for _ in range(2)]
        streams = [stack.enter_context(raw.stream(timeout=60)) for _ in jobs]
        for stream, job in zip(streams, jobs, strict=True):
            assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        os.kill(min(before), signal.SIGKILL)
        answers = []
        for stream, job in zip(streams, jobs, strict=True):
            stream.send(*sends(job.stream(people(2))), pb.RunRequest(finish=pb.Finish()))
            stream.half_close()
            answers.append(stream.answer())
        assert sorted(answer.reason is Reason.CELL_FAILED for answer in answers) == [False, True]
        assert sorted(answer.receipt is not None for answer in answers) == [False, True]
        assert site.worker.process.poll() is None


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """As on Azure, where a hardware report is made every two seconds at most."""
    with simulated(tmp_path_factory.mktemp("limited") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.mark.parametrize("victim", ["front", "keyholder", "zygote", "control", "supervisor"])
def test_serving_again_behind_the_limiter(
    limited: Simulation, tmp_path: Path, victim: str, record_property: Callable[[str, object], None]
) -> None:
    """The last report was made just then: the worker has started."""
    bench = Bench(tmp_path / "site", limited)
    began = time.monotonic()
    bench.kill(victim)
    assert bench.serving()
    record_property("serving_s", time.monotonic() - began)
    bench.trail_is_sound()
    bench.close()
