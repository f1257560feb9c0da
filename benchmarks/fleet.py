"""`link` in parts beside `link`, the cost of both as records grow, and comparisons beside Splink's.

Each run is in a process of its own. The parts run one after the other in one process, so CPU seconds are those of all
nodes together: once with every stream in the Arrow format and nothing sealed, and once by the code of a cell, which
opens sealed records, seals and opens every stream between tasks, and seals the outputs.
docs/benchmarks.md defines what is inside the clock.
"""

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Semaphore
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.generate import Population, population
from benchmarks.harness import Result
from benchmarks.link_models import linked, same_model, splink
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.operations.link import Link
from cji_core.operations.link.declaration import encode
from cji_core.operations.link.stages import STAGES
from cji_core.operations.tables import load
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.link import link
from cji_operations.link.stages import stage_functions
from cji_operations.operation import Context, JobContext
from cji_operations.stages.task import StageFunction, Task
from cji_worker.cell.task_keys import bucket_hash
from tests.support.contexts import planned
from tests.support.letter_jobs import sealed as sealed_job
from tests.support.stage_runner import run_stages

__all__ = ["PAIRS", "Cost", "Streamed", "of_sealed", "run"]

PAIRS: Final = 1 << 34
"""The most pairs of a job."""
_ROWS_OF_SHARD: Final = 1_000_000
_PERSON: Final = InputSpec(schema="person/1")
CONTEXT: Final = Context(
    job=JobContext(
        purpose_code="C",
        requesting_ori="",
        requestor="",
        secondary_recipient="",
        created=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    tables=load(),
)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run: CPU seconds in all and by stage, peak memory, candidate pairs, and bytes between stages."""

    seconds: float
    mib: float
    pairs: int
    stages: dict[str, float] = {}
    shuffled: int = 0
    tasks: int = 1
    plain_seconds: float = 0.0
    """Of the run beside a sealed one."""


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; three minutes, or half an hour without `quick`."""
    machine = facts()
    report.heading("fleet", machine)
    sizes = (30_000, 100_000, 300_000) if quick else (1_000_000, 3_000_000, 10_000_000)
    costs, at = dict[int, tuple[Cost, Cost]](), sizes[1]
    for rows in sizes:
        with report.doing(f"{rows} records"):
            costs[rows] = _alone("link", rows), _alone("parts", rows)
    with report.doing("sealed"):
        sealed = _alone("sealed", at)
    report.table(
        "The default model: one process, and all parts of a fleet",
        ("records", "link, CPU s", "parts, CPU s", "parts / link", "pairs", "MiB", "MiB, parts", "shuffle, B a record"),
        [
            (
                f"{rows}",
                f"{one.seconds:.1f}",
                f"{parts.seconds:.1f}",
                f"{parts.seconds / one.seconds:.2f}",
                f"{one.pairs}",
                f"{one.mib:.0f}",
                f"{parts.mib:.0f}",
                f"{parts.shuffled / rows:.0f}",
            )
            for rows, (one, parts) in costs.items()
        ],
    )
    report.table(
        "CPU seconds of the parts, by stage",
        ("records", "tasks", *costs[sizes[0]][1].stages),
        [
            (f"{rows}", f"{parts.tasks}", *(f"{seconds:.2f}" for seconds in parts.stages.values()))
            for rows, (_, parts) in costs.items()
        ],
    )
    one, parts = costs[at]
    report.table(
        f"{at} records in parts: streams plain, and by the code of a cell",
        ("plain, CPU s", "sealed, CPU s", "plain / sealed"),
        [(f"{sealed.plain_seconds:.1f}", f"{sealed.seconds:.1f}", f"{sealed.plain_seconds / sealed.seconds:.3f}")],
    )
    with report.doing("comparisons beside Splink"):
        rows = 20_000 if quick else 100_000
        ours, theirs = _alone("model", rows), _alone("splink", rows)
    rates = [one.pairs / one.seconds for one in (ours, theirs)]
    report.table(
        f"{rows} records, the same data, rules and levels, one thread, training and clusters included",
        ("", "pairs compared", "CPU s", "comparisons a CPU second"),
        [
            (name, f"{one.pairs}", f"{one.seconds:.1f}", f"{rate:.0f}")
            for name, one, rate in zip(("link", "Splink"), (ours, theirs), rates, strict=True)
        ],
    )
    return Result(
        name="fleet",
        machine=machine,
        figures={
            "parts_over_link": parts.seconds / one.seconds,
            "sealed_us_per_row": 1e6 * sealed.seconds / at,
            "us_per_row": 1e6 * parts.seconds / at,
            "bytes_per_row": parts.shuffled / at,
            "comparisons_per_cpu_s": rates[0],
            "splink_comparisons_per_cpu_s": rates[1],
        },
        ratios={
            "link": one.seconds / parts.seconds,
            "plain": sealed.plain_seconds / sealed.seconds,
            "splink": rates[0] / rates[1],
        },
        growth={
            "CPU seconds": [(rows, one.seconds) for rows, (one, _) in costs.items()],
            "CPU seconds in parts": [(rows, parts.seconds) for rows, (_, parts) in costs.items()],
            "pairs": [(rows, float(one.pairs)) for rows, (one, _) in costs.items()],
            "peak MiB": [(rows, one.mib) for rows, (one, _) in costs.items()],
        },
    )


def _alone(what: str, rows: int) -> Cost:
    """In a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet", what, str(rows)], check=True, capture_output=True, text=True
    )
    return msgspec.json.decode(done.stdout, type=Cost)


# ------------------------------------------------------------------ in a process of its own


def _of_link(people: Population, parameters: Link) -> Cost:
    started = time.process_time()
    found = link([people.records], people.records.schema, parameters, _untold)
    for part in found.parts().values():
        for _ in part:
            pass
    seconds = time.process_time() - started
    pairs = sum(one.pairs for _, one in found.report.blocks if not one.left_out)
    return Cost(seconds=seconds, mib=_peak_mib(), pairs=pairs)


class Streamed:
    """A task whose streams are read and written in the Arrow format, and counted."""

    def __init__(self, task: Task, count: Callable[[int], None]) -> None:
        self._task, self._count = task, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        """Through the format once: what a sealed stream would take and give."""
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        self._count(sink.tell())
        with pa.ipc.open_stream(pa.py_buffer(sink.getvalue())) as back:
            self._task.write(edge, back.read_next_batch(), to=to)


def _of_parts(
    people: Population,
    parameters: Link,
    shards: int,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Cost:
    seconds, shuffled = dict[str, float](), [0]

    def count(size: int) -> None:
        shuffled[0] += size

    def timed(name: str, function: StageFunction) -> StageFunction:
        def run(task: Task) -> None:
            with turn():
                started = time.process_time()
                function(Streamed(task, count))
                seconds[name] = seconds.get(name, 0.0) + time.process_time() - started

        return run

    done = run_stages(
        STAGES,
        {name: timed(name, function) for name, function in stage_functions().items()},
        list(_shards(people.records, shards)),
        parameters=parameters,
        schema=people.records.schema,
        context=CONTEXT,
        bucket_hash=bucket_hash(bytes(32)),
    )
    blocks = [batch for shard in done.outputs["blocks"] for batch in shard]
    pairs = sum(
        pairs
        for batch in blocks
        for pairs, out in zip(*(batch.column(i).to_pylist() for i in (3, 5)), strict=True)
        if not out
    )
    return Cost(
        seconds=sum(seconds.values()),
        mib=_peak_mib(),
        pairs=pairs,
        stages=seconds,
        shuffled=shuffled[0],
        tasks=done.tasks["pairs"],
    )


def of_sealed(people: Population, parameters: Link) -> Cost:
    """By the code of a cell, and the same tasks with plain streams, by turns: so other load affects both alike.

    Sealing the job and opening its result, which is the submitter's, is outside the clock.
    """
    shards = _shards_of(people.records.num_rows)
    batches = [fit(pa.Table.from_batches(shard), _PERSON).open() for shard in _shards(people.records, shards)]
    operation = pb.Operation(link=encode(parameters))
    loop = sealed_job(batches, planned([operation], _PERSON.schema), operation)
    seconds, tasks, of_plain, of_sealed = 0.0, 0, Semaphore(0), Semaphore(0)

    @contextmanager
    def turn() -> Iterator[None]:
        of_plain.acquire()
        try:
            yield
        finally:
            of_sealed.release()

    with ThreadPoolExecutor(1) as thread:
        plain = thread.submit(_of_parts, people, parameters, shards, turn)
        for stage in loop.streams.stages.in_order:
            for number in range(loop.streams.tasks[stage.name]):
                of_plain.release()
                of_sealed.acquire()
                started = time.process_time()
                loop.run_task(stage, number)
                seconds, tasks = seconds + time.process_time() - started, tasks + 1
    return Cost(seconds=seconds, plain_seconds=plain.result().seconds, mib=_peak_mib(), pairs=0, tasks=tasks)


def _of_model(people: Population) -> Cost:
    found = linked(people, Link(model=same_model(people.records.schema.names)))
    return Cost(seconds=found.cpu_seconds, mib=_peak_mib(), pairs=found.compared)


def _of_splink(people: Population) -> Cost:
    found = splink(people)
    return Cost(seconds=found.cpu_seconds, mib=_peak_mib(), pairs=found.compared)


def _shards_of(rows: int) -> int:
    return max(4, -(-rows // _ROWS_OF_SHARD))


def _shards(records: pa.RecordBatch, shards: int) -> Iterator[Sequence[pa.RecordBatch]]:
    ends = np.linspace(0, records.num_rows, shards + 1).astype(int).tolist()
    return ([records.slice(start, stop - start)] for start, stop in pairwise(ends))


def _peak_mib() -> float:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))  # ru_maxrss has the parent's
    assert peak is not None
    return int(peak[1]) / 1024


def _untold(step: str, per_cent: int) -> None:
    """Ignore the progress."""


def _main() -> None:
    what, rows = sys.argv[1], int(sys.argv[2])
    people = population(rows, per_person=3.0 if what in {"model", "splink"} else 2.0)
    parameters = Link(pairs=PAIRS)
    match what:
        case "link":
            cost = _of_link(people, parameters)
        case "parts":
            cost = _of_parts(people, parameters, _shards_of(rows))
        case "sealed":
            cost = of_sealed(people, parameters)
        case "model":
            cost = _of_model(people)
        case _:
            cost = _of_splink(people)
    sys.stdout.write(msgspec.json.encode(cost).decode())


if __name__ == "__main__":
    _main()
