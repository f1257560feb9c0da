"""The benchmark `latency` sees a job in every process that takes part in it."""

from pathlib import Path

from benchmarks.latency import traced_jobs
from benchmarks.stand import open_stand
from benchmarks.trace import CALLS, Trace


def test_a_traced_worker_starts_and_each_call_is_noted(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace")
    with open_stand(room=8 << 20, program=("-m", "benchmarks.trace", str(trace.path))) as stand:
        ((seconds, marks),) = traced_jobs(stand, trace, 1)
    assert seconds > 0
    noted = {mark.what for mark in marks}
    wanted = {name for calls in CALLS.values() for _, name in calls}
    assert noted >= wanted | {"gets Admitted", "gets Completed"}, wanted - noted
