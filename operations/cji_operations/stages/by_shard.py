"""The functions of operations that need one row at a time: `ByShard` declares their stages."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from cji_core.format.records import METADATA_KEY, arrow
from cji_core.operations.stages.by_shard import COLUMNS, COUNT, ROWS, ByShard
from cji_core.operations.stages.stage import RESULT_OUTPUT
from cji_operations.operation import CHUNK_ROWS, BatchOperation, Context, PreparedOperation
from cji_operations.stages.task import StageFunction, StageFunctions, Task

Prepare: TypeAlias = Callable[[Any, str, pa.Schema, Context], PreparedOperation]

Merge: TypeAlias = Callable[[Sequence[str], Sequence[pa.RecordBatch]], Iterable[pa.RecordBatch]]
"""One part out of those of all shards, in their order, and the names of the columns of the records."""


def by_shard(declared: ByShard, prepare: Prepare, merges: Mapping[str, Merge] = MappingProxyType({})) -> StageFunctions:
    """The functions of an operation that `prepare` binds to its records; `merges` makes each of the merged parts."""
    apply = partial(_apply, prepare=prepare, declared=declared)
    functions: dict[str, StageFunction] = {COUNT.name: count, "apply": apply, "merge": partial(_merge, merges=merges)}
    return {stage.name: functions[stage.name] for stage in declared.stages.in_order}


def prepared(task: Task, prepare: Prepare) -> PreparedOperation:
    """The operation, bound to the records of a task."""
    return prepare(task.parameters, task.schema.metadata[METADATA_KEY].decode(), task.schema, task.context)


def chunks(task: Task) -> Iterator[pa.RecordBatch]:
    """The records of a task in the portions that operations see on one machine; each a view until the next one."""
    return (chunk for batch in task.records() for chunk in arrow.cut(batch, CHUNK_ROWS))


def first_row(task: Task) -> int:
    """The number of the first row of a shard among all records; reads the edge of `COUNT`."""
    return sum(
        int(arrow.numbers(batch.column(0)).sum()) for shard, batch in task.read(ROWS.name) if shard < task.number
    )


def count(task: Task) -> None:
    """The function of `COUNT`."""
    rows = np.array([sum(batch.num_rows for batch in task.records())], np.uint64)
    task.write(ROWS.name, pa.RecordBatch.from_arrays([arrow.from_numpy(rows)], schema=ROWS.schema))


def _apply(task: Task, *, prepare: Prepare, declared: ByShard) -> None:
    operation = prepared(task, prepare)
    same, merged = ({part.name for part in parts} for parts in (declared.same, declared.merged))
    if merged:
        names = pa.array(task.schema.names, pa.utf8())
        task.write(COLUMNS.name, pa.RecordBatch.from_arrays([names], schema=COLUMNS.schema))
    held = [(RESULT_OUTPUT, no_rows(operation.output_schema))]
    for name, batch in _outputs(task, operation):
        if name in merged:
            task.write(name, batch)
        elif name in declared.numbered:
            held.append((name, arrow.own(batch)))
        elif name not in same or task.number == 0:
            task.output(name, batch)
    first = first_row(task) if declared.numbered else 0
    for name, batch in held:
        task.output(name, numbered_from(batch, first) if name in declared.numbered else batch)


def _outputs(task: Task, operation: PreparedOperation) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(output, batch) of the result and the parts of a shard, whose status goes to the task."""
    parts: Mapping[str, Iterable[pa.RecordBatch]]
    if isinstance(operation, BatchOperation):
        for chunk in chunks(task):
            applied = operation.apply(chunk)
            applied.check(chunk.num_rows)
            task.status(applied.status)
            yield RESULT_OUTPUT, applied.batch
            yield from _each(applied.parts)
        parts = operation.finish()
    else:
        outputs = operation.run([arrow.own(chunk) for chunk in chunks(task)], task.progress)
        task.status(outputs.status)
        yield from _each({RESULT_OUTPUT: outputs.result})
        parts = outputs.parts
    yield from _each(parts)


def _each(parts: Mapping[str, Iterable[pa.RecordBatch]]) -> Iterator[tuple[str, pa.RecordBatch]]:
    return ((name, batch) for name, batches in parts.items() for batch in batches)


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """A batch of 0 rows: a shard without rows has columns, too."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)


def numbered_from(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The batch, whose column `row` counts rows of a shard, with the numbers of these rows among all."""
    at = batch.schema.get_field_index("row")
    row = arrow.from_numpy(arrow.numbers(batch.column(at)) + np.uint64(first))
    return batch.set_column(at, batch.schema.field(at), row)


def _merge(task: Task, *, merges: Mapping[str, Merge]) -> None:
    columns = next(batch.column(0).to_pylist() for _, batch in task.read(COLUMNS.name))
    for name, merge in merges.items():
        for batch in merge(columns, [arrow.own(batch) for _, batch in task.read(name)]):
            task.output(name, batch)
