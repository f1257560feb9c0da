"""The stages of an operation, all in this process: stage after stage, task after task. For tests and benchmarks.

Streams are lists of batches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cji_core.format.records import RowStatus
from cji_core.operations.stages.stage import MAX_TASKS, ROW_STATUS_OUTPUT, Edge, Stage, Stages, Width
from cji_operations.kernels import hashing
from cji_operations.operation import Context
from cji_operations.progress import ProgressCallback
from cji_operations.stages.task import StageFunctions

Shards = Sequence[Sequence[pa.RecordBatch]]
_Streams = dict[tuple[str, int, int], list[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Ran:
    """The outputs of a run: batches by name, then by shard, and the status of the rows of each shard of the records."""

    outputs: Mapping[str, Shards]
    status: Sequence[Sequence[RowStatus]]
    tasks: Mapping[str, int]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Here:
    """A task of this process; see `cji_operations.stages.task.Task`."""

    stage: Stage
    number: int
    tasks: dict[str, int]
    parameters: Any
    of_records: pa.Schema
    context: Context
    progress: ProgressCallback
    shard: Sequence[pa.RecordBatch]
    streams: _Streams
    edges: Mapping[str, Edge]
    producers: Mapping[str, str]
    planned: tuple[str, ...]
    outputs: dict[str, list[list[pa.RecordBatch]]]
    statuses: list[list[RowStatus]]
    bucket_hash: hashing.BucketHash
    to_read: list[str] = field(default_factory=list)
    has_planned: bool = False

    @property
    def schema(self) -> pa.Schema:
        if not self.stage.records and not self.stage.reads:
            raise ValueError("a stage that reads nothing")
        return self.of_records

    def records(self) -> Iterator[pa.RecordBatch]:
        if not self.stage.records:
            raise ValueError("a stage that reads no records")
        yield from self.shard

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        if not self.to_read or self.to_read.pop(0) != edge:
            raise ValueError(f"{edge} is not the next edge of {self.stage.name}")
        aligned = self.edges[edge].aligned
        consumer = self.number if self.edges[edge].each else 0
        for producer in (self.number,) if aligned else range(self.tasks[self.producers[edge]]):
            for batch in self.streams.get((edge, producer, consumer), ()):
                yield producer, batch

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        schema = next(one.schema for one in self.stage.writes if one.name == edge)
        if not batch.schema.equals(schema, check_metadata=True):
            raise ValueError(f"{edge} has another schema")
        self.streams.setdefault((edge, self.number, to), []).append(batch)

    def plan(self, tasks: Mapping[str, int]) -> None:
        fits = all(1 <= number <= MAX_TASKS for number in tasks.values())
        if not self.stage.plans or self.has_planned or set(tasks) != set(self.planned) or not fits:
            raise ValueError("a plan that does not fit the stages")
        self.has_planned = True
        self.tasks.update(tasks)

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        if name not in self.stage.outputs:
            raise ValueError(f"{self.stage.name} does not write {name}")
        self.outputs[name][self.number].append(batch)

    def status(self, status: RowStatus) -> None:
        self.statuses[self.number].append(status)


def run_stages(
    stages: Stages,
    functions: StageFunctions,
    shards: Shards,
    *,
    parameters: Any,
    schema: pa.Schema,
    context: Context,
    progress: ProgressCallback = lambda _step, _per_cent: None,
    bucket_hash: hashing.BucketHash = hashing.mixed,
) -> Ran:
    """Run all tasks, one after the other. Batches of `shards` must stay as they are while they are read.

    `bucket_hash` needs no key, because no stream leaves this process.

    Raises: what the stages raise; ValueError where a stage breaks its declaration.
    """
    tasks = {
        stage.name: 1 if stage.width is Width.ONE else len(shards)
        for stage in stages.in_order
        if stage.width is not Width.PLANNED
    }
    streams, outputs = _Streams(), dict[str, list[list[pa.RecordBatch]]]()
    statuses: list[list[RowStatus]] = [[] for _ in shards]
    for stage in stages.in_order:
        outputs |= {name: [[] for _ in range(tasks[stage.name])] for name in stage.outputs if name != ROW_STATUS_OUTPUT}
        for number in range(tasks[stage.name]):
            task = _Here(
                stage=stage,
                number=number,
                tasks=tasks,
                parameters=parameters,
                of_records=schema,
                context=context,
                progress=progress,
                shard=shards[number] if stage.records else (),
                streams=streams,
                edges={edge.name: edge for edge in stages.edges},
                producers={edge.name: one.name for one in stages.in_order for edge in one.writes},
                planned=tuple(one.name for one in stages.in_order if one.width is Width.PLANNED),
                outputs=outputs,
                statuses=statuses,
                bucket_hash=bucket_hash,
                to_read=list(stage.reads),
            )
            functions[stage.name](task)
            if task.to_read or (stage.plans and not task.has_planned):
                raise ValueError(f"{stage.name} left an edge unread, or did not plan")
    return Ran(outputs=outputs, status=statuses, tasks=tasks)
