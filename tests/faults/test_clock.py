"""A wall clock that jumps by hours at any step of a job: nothing hangs, no job is admitted outside its time.

Heartbeats, anchors, keys and the limits of a job are on the monotonic clock, which nobody can set.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cji_core.errors import Reason
from cji_core.trail import HostChanged, JobAdmitted, JobRefused, claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawWorker, forge, logged, settled, until
from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench, Run, audit_says
from tests.support.fault_kinds import shifted
from tests.support.shifted_clock import ShiftedClock
from tests.support.steps import Fault, Step, cases

HOURS = 3 * 3600


@pytest.fixture(scope="module")
def clock(folder: Path) -> ShiftedClock:
    folder.mkdir(parents=True)
    return ShiftedClock(folder)


@pytest.fixture(scope="module")
def bench(azure: Simulation, folder: Path, clock: ShiftedClock) -> Iterator[Bench]:
    bench = Bench(folder, azure, under=clock.command)
    yield bench
    bench.close()


@pytest.mark.parametrize("step", cases(Fault.CLOCK_FORWARD))
def test_a_clock_jumps_forward_at_a_step(
    bench: Bench, clock: ShiftedClock, step: Step, figure: Callable[[Bench], None]
) -> None:
    _in_order(bench.attempt(step, shifted(clock, HOURS)))
    figure(bench)


@pytest.mark.parametrize("step", cases(Fault.CLOCK_BACK))
def test_a_clock_jumps_back_at_a_step(
    bench: Bench, clock: ShiftedClock, step: Step, figure: Callable[[Bench], None]
) -> None:
    _in_order(bench.attempt(step, shifted(clock, -HOURS)))
    figure(bench)


def _in_order(run: Run) -> None:
    """A receipt gives the time that the job took, whatever the clock did meanwhile."""
    if run.stream.receipt is not None:
        claims = claims_unverified(run.stream.receipt)
        took = datetime.fromisoformat(claims.ended) - datetime.fromisoformat(claims.started)
        assert timedelta(0) <= took < timedelta(minutes=5)


@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
def test_a_job_outside_its_time_is_not_admitted(bench: Bench, clock: ShiftedClock, seconds: int) -> None:
    """Its header is valid for an hour; the clock jumps while the front passes it on."""
    run = bench.attempt(Step("front", "Admit"), shifted(clock, seconds))
    assert run.stream.receipt is None
    job_id = run.job.header.job_id.hex()
    mine = [r.event for r in audit_says(bench.files.audit) if getattr(r.event, "job_id", None) == job_id]
    assert isinstance(mine[0], JobRefused)
    assert mine[0].reason is Reason.EXPIRED
    assert [type(event) for event in mine].count(JobAdmitted) == 1  # the attempt after the clock was right again


@pytest.mark.parametrize("seconds", [HOURS, -HOURS])
def test_a_worker_whose_clock_was_set_says_so(bench: Bench, clock: ShiftedClock, seconds: int) -> None:
    site = bench.site
    settled(site)
    try:
        clock.shift(seconds)
        until(lambda: not bench.serving())
        with RawWorker.of(site) as raw:
            now = datetime.now(UTC) + timedelta(seconds=seconds)
            job = forge(site, lambda header: _valid_at(header, now))
            assert raw.run_once([job.open()]).reason is Reason.NOT_READY
    finally:
        clock.shift(0)
    until(bench.serving)
    lines = logged(bench.files.folder / "worker.log")
    said = [line for line in lines if line.get("check") == "clock-step"][-2:]
    assert [line["event"] for line in said] == ["host condition not met", "host condition met"]
    assert "Set the clock right" in said[0]["remedy"]
    changes = [r.event.unmet for r in audit_says(bench.files.audit) if isinstance(r.event, HostChanged)]
    assert changes[-2:] == [("clock-step",), ()]
    bench.trail_is_sound()


def _valid_at(header: pb.JobHeader, now: datetime) -> None:
    header.created.FromDatetime(now)
    header.not_after.FromDatetime(now + timedelta(hours=1))
