"""The benchmark `latency` sees a job in every process that takes part in it; so does this file where jobs wait."""

from collections import Counter
from functools import partial
from pathlib import Path

from benchmarks.corpus import people
from benchmarks.latency import traced_jobs
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.small import streams
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


def test_a_cell_that_jobs_wait_for_runs_no_made_up_one(tmp_path: Path) -> None:
    trace, jobs = Trace(tmp_path / "trace"), 24
    with open_stand(room=8 << 20, cells=1, program=("-m", "benchmarks.trace", str(trace.path))) as stand:
        trace.clear()
        streams(stand, partial(stand.prepare, people(100), DEIDENTIFY), jobs)
        seen = Counter((mark.process, mark.what) for mark in trace.marks())
    cells = seen["zygote", "sends CellReady"]
    assert cells >= jobs
    assert jobs <= seen["cell", "parse"] < jobs + cells  # one for each job, and for each cell that was warmed up
    assert seen["zygote", "gets JobsWait"] % 2 == 0  # at the end none waits
    assert seen["zygote", "gets JobsWait"]
