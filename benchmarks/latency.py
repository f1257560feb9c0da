"""`latency`: where the time of a small job goes, step by step, in all processes, and what a pool ledger adds.

Every job runs alone, with a warm cell. The pool ledger is Azurite on the same machine: a claim, and the end of the job,
before its result leaves. The table has, for each step in the order of time, the median of the time since
the step before it. docs/benchmarks.md has the table of a quiet machine.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.corpus import people
from benchmarks.harness import Result, percentile
from benchmarks.machine import facts
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.report import Report
from benchmarks.stand import Stand, open_stand
from benchmarks.trace import Mark, Trace
from tests.support.fleet_storage import pool_storage

__all__ = ["run", "traced_jobs"]

_ROWS: Final = 100
_WARM_UP: Final = 5


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print."""
    machine, jobs = facts(), 40 if quick else 200
    report.heading("latency", machine)
    with tempfile.TemporaryDirectory(prefix="cji-trace-") as folder:
        trace = Trace(Path(folder) / "trace")
        with (
            open_stand(room=8 << 20, program=("-m", "benchmarks.trace", str(trace.path))) as stand,
            report.doing(f"{jobs} jobs of {_ROWS} rows"),
        ):
            found = list(traced_jobs(stand, trace, _WARM_UP + jobs))[_WARM_UP:]
    steps = _steps([marks for _, marks in found])
    whole = [seconds * 1000 for seconds, _ in found]
    rows = [(f"{name}", f"{since:.2f}", f"{at:.2f}") for name, since, at in steps]
    report.table(f"A job of {_ROWS} rows, medians of {jobs}", ("step", "ms", "since the start"), rows)
    figures = {"p50_ms": percentile(whole, 50), "p99_ms": percentile(whole, 99)}
    report.note(f"whole call: p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, tracing included")
    for name, milliseconds in _beside_a_pool(report, jobs).items():
        figures |= {f"{name}_p50_ms": percentile(milliseconds, 50), f"{name}_p99_ms": percentile(milliseconds, 99)}
    report.note(
        f"not traced, in turns: p50 {figures['alone_p50_ms']:.1f} ms alone, {figures['pool_p50_ms']:.1f} ms with a "
        f"pool ledger; p99 {figures['alone_p99_ms']:.1f} and {figures['pool_p99_ms']:.1f} ms"
    )
    return Result(name="latency", machine=machine, figures=figures, ratios={})


def _beside_a_pool(report: Report, jobs: int) -> dict[str, list[float]]:
    """Milliseconds of each job by a worker alone and by one of a pool, in turns."""
    table, found = people(_ROWS), dict[str, list[float]](alone=[], pool=[])
    with tempfile.TemporaryDirectory(prefix="cji-pool-") as folder, pool_storage(Path(folder)) as storage:
        at = storage.azurite
        ledger = f'[ledger]\nkind = "pool"\nblob_url = "{at.blob_url}"\nca_file = "{at.ca_file}"\n'
        with (
            open_stand(room=8 << 20) as alone,
            open_stand(room=8 << 20, settings=f"\n{ledger}") as pool,
            report.doing(f"{jobs} jobs with a pool ledger, and {jobs} without one"),
        ):
            for number in range(_WARM_UP + jobs):
                for name, stand in (("alone", alone), ("pool", pool)):
                    seconds = stand.to_worker.call(stand.prepare(table, DEIDENTIFY))
                    if number >= _WARM_UP:
                        found[name].append(1000 * seconds)
                    time.sleep(0.25)
    return found


def traced_jobs(stand: Stand, trace: Trace, count: int) -> Iterator[tuple[float, list[Mark]]]:
    """(seconds, marks) of each job; marks count from the start of its call."""
    table = people(_ROWS)
    for _ in range(count):
        prepared = stand.prepare(table, DEIDENTIFY)
        trace.clear()
        start = time.monotonic()
        seconds = stand.to_worker.call(prepared)
        marks = [mark._replace(at=mark.at - start) for mark in trace.marks()]
        yield seconds, [mark for mark in marks if 0 <= mark.at <= seconds]
        time.sleep(0.25)


def _steps(jobs: list[list[Mark]]) -> list[tuple[str, float, float]]:
    """(step, ms since the step before, ms since the start), medians, for steps that every job has, in their order."""
    times: dict[str, list[float]] = {}
    for marks in jobs:
        seen: dict[str, int] = {}
        for mark in marks:
            name = f"{mark.process} {mark.what}"
            seen[name] = seen.get(name, 0) + 1
            times.setdefault(f"{name} {seen[name]}" if seen[name] > 1 else name, []).append(mark.at * 1000)
    common = sorted((median(at), name) for name, at in times.items() if len(at) == len(jobs))
    return [(name, at - before, at) for (before, _), (at, name) in zip([(0.0, ""), *common], common, strict=False)]
