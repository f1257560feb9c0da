"""An operation that needs one row at a time, in parts: every shard by itself, and a merge where a part is of all rows.

    count    rows of each shard      ── rows ──▶   only where an output has numbers of rows
    apply    the operation on a shard, as on one machine: result, row status, and further outputs, a shard of each
    merge    parts that every shard has one of     one task, which makes one of them

An operation of scope table whose rows do not depend on each other fits as well as one of scope batch.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from cji_core.format.records import METADATA_KEY, arrow
from cji_operations.in_parts import Edge, InParts, Stage, Task, Width
from cji_operations.operation import CHUNK_ROWS, BatchOperation, Context, OutputSpec, PreparedOperation

RESULT: Final = "result"

Prepare: TypeAlias = Callable[[Any, str, pa.Schema, Context], PreparedOperation]

Merge: TypeAlias = Callable[[Sequence[str], Sequence[pa.RecordBatch]], Iterable[pa.RecordBatch]]
"""One part out of those of all shards, in their order, and the names of the columns of the records."""

_COLUMNS: Final = Edge(name="columns", schema=pa.schema([("column", pa.utf8())]))

ROWS: Final = Edge(name="rows", schema=pa.schema([("rows", pa.uint64())]))


def by_shard(
    prepare: Prepare,
    *,
    parts: Sequence[OutputSpec] = (),
    same: Sequence[OutputSpec] = (),
    merged: Sequence[tuple[OutputSpec, Merge]] = (),
    numbered: Sequence[str] = (),
    sides: Sequence[str] = (),
) -> InParts:
    """The stages of an operation that `prepare` binds to its records.

    `parts` are outputs with a shard for each of the records; `same` are those that every shard would make alike, so
    that the first one makes them; `merged` are parts of the whole. Column `row` of the `numbered` outputs is the number
    of a row of the records.
    """
    edges = tuple(Edge(name=spec.name, schema=spec.schema.arrow) for spec, _ in merged)
    names = tuple(edge.name for edge in edges)
    edges = (_COLUMNS, *edges) if merged else ()
    apply = Stage(
        name="apply",
        width=Width.SHARDS,
        run=partial(
            _apply,
            prepare=prepare,
            same=frozenset(spec.name for spec in same),
            merged=frozenset(names),
            numbered=frozenset(numbered),
        ),
        records=True,
        sides=tuple(sides),
        reads=(ROWS.name,) if numbered else (),
        writes=edges,
        outputs=(RESULT, *(spec.name for spec in (*parts, *same))),
    )
    stages = [COUNT, apply] if numbered else [apply]
    if merged:
        run = partial(_merge, merges={spec.name: merge for spec, merge in merged})
        stages.append(Stage(name="merge", width=Width.ONE, run=run, reads=(_COLUMNS.name, *names), outputs=names))
    return InParts(stages=tuple(stages))


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


def _count(task: Task) -> None:
    rows = np.array([sum(batch.num_rows for batch in task.records())], np.uint64)
    task.write(ROWS.name, pa.RecordBatch.from_arrays([arrow.from_numpy(rows)], schema=ROWS.schema))


COUNT: Final = Stage(name="count", width=Width.SHARDS, run=_count, records=True, writes=(ROWS,))
"""Rows of each shard, for those who number rows."""


def _apply(
    task: Task, *, prepare: Prepare, same: frozenset[str], merged: frozenset[str], numbered: frozenset[str]
) -> None:
    operation = prepared(task, prepare)
    if merged:
        names = pa.array(task.schema.names, pa.utf8())
        task.write(_COLUMNS.name, pa.RecordBatch.from_arrays([names], schema=_COLUMNS.schema))
    held = [(RESULT, no_rows(operation.output_schema))]
    for name, batch in _outputs(task, operation):
        if name in merged:
            task.write(name, batch)
        elif name in numbered:
            held.append((name, arrow.own(batch)))
        elif name not in same or task.number == 0:
            task.output(name, batch)
    first = first_row(task) if numbered else 0
    for name, batch in held:
        task.output(name, numbered_from(batch, first) if first else batch)


def _outputs(task: Task, operation: PreparedOperation) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(output, batch) of the result and the parts of a shard, whose status goes to the task."""
    parts: Mapping[str, Iterable[pa.RecordBatch]]
    if isinstance(operation, BatchOperation):
        for chunk in chunks(task):
            applied = operation.apply(chunk)
            applied.check(chunk.num_rows)
            task.status(applied.status)
            yield RESULT, applied.batch
            yield from _each(applied.parts)
        parts = operation.finish()
    else:
        outputs = operation.run([arrow.own(chunk) for chunk in chunks(task)], task.progress)
        task.status(outputs.status)
        yield from _each({RESULT: outputs.result})
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
    columns = next(batch.column(0).to_pylist() for _, batch in task.read(_COLUMNS.name))
    for name, merge in merges.items():
        for batch in merge(columns, [arrow.own(batch) for _, batch in task.read(name)]):
            task.output(name, batch)
