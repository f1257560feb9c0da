"""`link` in parts on more records than one machine's memory holds: every stream is a file, every task a process.

`python -m benchmarks.fleet_large FOLDER ROWS [SHARD_ROWS]` makes the records, runs all tasks one after the other, and
prints a table: tasks, CPU seconds, peak memory of the largest task and bytes of each stage. Streams are not sealed
(`benchmarks fleet` has what that adds). FOLDER needs about 1 kB a record, and is emptied. The persons of a million
records have theirs in all shards.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.fleet import CONTEXT, PAIRS
from benchmarks.generate import population
from cji_core.format.records import RowStatus
from cji_core.operations.link import Link
from cji_core.operations.link.stages import STAGES
from cji_core.operations.stages.stage import Stage, Width
from cji_operations.kernels import hashing
from cji_operations.link.stages import stage_functions
from cji_operations.stages.task import StageFunctions
from cji_worker.cell.task_keys import bucket_hash

_PORTION: Final = 1_000_000
_HASH: Final = bucket_hash(bytes(32))
_EDGES: Final = {edge.name: edge for edge in STAGES.edges}


class _FileTask:
    """A task whose streams are files of the Arrow format; see `cji_operations.stages.task.Task`."""

    def __init__(self, folder: Path, stage: Stage, number: int, tasks: dict[str, int], schema: pa.Schema) -> None:
        self.number, self.tasks, self.schema = number, tasks, schema
        self.parameters, self.context = Link(pairs=PAIRS), CONTEXT
        self.bytes_out = 0
        self._folder, self._stage = folder, stage
        self._writers: dict[tuple[str, int], Any] = {}

    def progress(self, step: str, per_cent: int) -> None:
        """Ignore it."""

    def bucket_hash(self, hashes: hashing.Hashes) -> hashing.Hashes:
        """See `Task`, as for all that follow."""
        return _HASH(hashes)

    def records(self) -> Iterator[pa.RecordBatch]:
        yield from _batches(self._folder / f"records-{self.number}")

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        writer = next(one.name for one in STAGES.in_order if _EDGES[edge] in one.writes)
        consumer = self.number if _EDGES[edge].each else 0
        for producer in (self.number,) if _EDGES[edge].aligned else range(self.tasks[writer]):
            path = self._folder / f"{edge}-{producer}-{consumer}"
            if path.exists():
                yield from ((producer, batch) for batch in _batches(path))

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        if (edge, to) not in self._writers:
            sink = pa.OSFile(str(self._folder / f"{edge}-{self.number}-{to}"), "wb")
            self._writers[edge, to] = sink, pa.ipc.new_stream(sink, batch.schema)
        self._writers[edge, to][1].write_batch(batch)

    def plan(self, tasks: Mapping[str, int]) -> None:
        self.tasks.update(tasks)

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        if name == "result" and batch.num_rows:
            self.write("out-clusters", pa.RecordBatch.from_arrays([batch.column(batch.num_columns - 1)], ["cluster"]))
        elif name != "result":
            self.write(f"out-{name}", batch)

    def status(self, status: RowStatus) -> None:
        """Ignore it."""

    def close(self) -> int:
        """The bytes that were written."""
        total = 0
        for sink, writer in self._writers.values():
            writer.close()
            total += sink.tell()
            sink.close()
        return total


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        yield from stream


def _make(folder: Path, rows: int, shards: int) -> pa.Schema:
    """The records, a portion at a time, each in pieces over all shards."""
    writers: list[Any] = []
    for number, start in enumerate(range(0, rows, _PORTION)):
        records = population(min(_PORTION, rows - start), seed=number + 1).records
        if not writers:
            writers = [pa.ipc.new_stream(str(folder / f"records-{at}"), records.schema) for at in range(shards)]
        ends = np.linspace(0, records.num_rows, shards + 1).astype(int)
        for at, writer in enumerate(writers):
            writer.write_batch(records.slice(ends[at], ends[at + 1] - ends[at]))
    for writer in writers:
        writer.close()
    return records.schema


def _alone(task: _FileTask, functions: StageFunctions, stage: Stage) -> tuple[float, float, int, dict[str, int]]:
    """(CPU seconds, MiB, bytes, the numbers of tasks) of a task in a process of its own."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        functions[stage.name](task)
        os.write(writing, json.dumps([task.close(), dict(task.tasks)]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        data = answer.read()
    _, status, usage = os.wait4(child, 0)
    if status or not data:
        raise SystemExit(f"{stage.name} {task.number} ended with {status}")
    size, tasks = json.loads(data)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, size, tasks


def main() -> None:
    """Run it."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    of_shard = int(sys.argv[3]) if len(sys.argv) > 3 else _PORTION
    shards = max(4, -(-rows // of_shard))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    schema = _make(folder, rows, shards)
    tasks = {
        one.name: 1 if one.width is Width.ONE else shards for one in STAGES.in_order if one.width is not Width.PLANNED
    }
    functions, total, started = stage_functions(), 0.0, time.monotonic()
    last = {
        edge.name: max(at for at, one in enumerate(STAGES.in_order) if edge.name in one.reads) for edge in STAGES.edges
    }
    print("| stage | tasks | CPU s | slowest, CPU s | MiB, the largest | MiB written |\n|---|---|---|---|---|---|")
    for at, stage in enumerate(STAGES.in_order):
        done = []
        for number in range(tasks[stage.name]):
            task = _FileTask(folder, stage, number, tasks, schema)
            *cost, known = _alone(task, functions, stage)
            tasks.update(known)
            done.append(cost)
        seconds, mib, size = zip(*done, strict=True)
        total += sum(seconds)
        print(
            f"| `{stage.name}` | {len(done)} | {sum(seconds):.1f} | {max(seconds):.1f} | {max(mib):.0f} |"
            f" {sum(size) / 2**20:.0f} |",
            flush=True,
        )
        for edge, reader in last.items():
            if reader == at:
                for path in folder.glob(f"{edge}-*-*"):
                    path.unlink()
    clusters = np.concatenate(
        [batch.column(0).to_numpy() for one in range(shards) for batch in _batches(folder / f"out-clusters-{one}-0")]
    )
    print(
        f"{rows} records in {shards} shards: {total:.0f} CPU s, {time.monotonic() - started:.0f} s, "
        f"{len(np.unique(clusters))} clusters of {len(clusters)} rows"
    )


if __name__ == "__main__":
    main()
