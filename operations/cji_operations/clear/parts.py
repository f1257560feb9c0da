"""`clear` in parts: the whole history of a subject goes to one task, and what it decides back to the rows.

    count      rows of each shard                                ── rows ──▶
    deal       the columns that decisions need, by subject       ── histories ──▶
    decide     as on one machine, on all rows of some subjects   ── reliefs, statuses, the parts ──▶
    relieve    the records of a shard with their relief; the parts in the order of their rows

All rows without a subject go to one task as well.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import METADATA_KEY, ROW_STATUS_SCHEMA, RowStatus, arrow
from cji_operations.clear.facts import Columns
from cji_operations.clear.outcome import outcome
from cji_operations.clear.outputs import DETERMINATIONS, NOT_DECIDED
from cji_operations.in_parts import Edge, InParts, Stage, Task, Width
from cji_operations.kernels.buckets import buckets
from cji_operations.kernels.column import Ints
from cji_operations.operation import Context
from cji_operations.part_streams import joined, read_columns, write_each
from cji_operations.shard_parts import COUNT, RESULT, ROWS, chunks, first_row, no_rows, numbered_from

if TYPE_CHECKING:
    from cji_operations.clear.operation import Clearing

_TEXTS: Final = (
    *("subject", "DOB", "count", "event", "date", "county", "offense_code", "offense", "comment", "level"),
    *("disposition", "sentence", "sentence_length"),
)
_FLAG: Final = "deceased"
_NAMES: Final = (*_TEXTS, _FLAG)
_BATCH: Final = 16_384

_HISTORIES: Final = Edge(
    name="histories",
    schema=pa.schema([("row", pa.int64()), *((name, pa.binary()) for name in _TEXTS), (_FLAG, pa.bool_())]),
    each=True,
)
_RELIEFS: Final = Edge(name="reliefs", schema=pa.schema([("row", pa.int64()), ("relief", pa.utf8())]), each=True)
_STATUSES: Final = Edge(name="statuses", schema=ROW_STATUS_SCHEMA, each=True)
_PARTS: Final = tuple(
    Edge(name=spec.name, schema=spec.schema.arrow, each=True) for spec in (DETERMINATIONS, NOT_DECIDED)
)
_BACK: Final = (_RELIEFS, _STATUSES, *_PARTS)

Prepare: TypeAlias = Callable[[Any, str, pa.Schema, Context], "Clearing"]


def clear_parts(prepare: Prepare) -> InParts:
    """The stages; they are the same for all parameters."""
    shards = partial(Stage, width=Width.SHARDS)
    return InParts(
        stages=(
            COUNT,
            shards(name="deal", run=_deal, records=True, writes=(_HISTORIES,)),
            shards(name="decide", run=_decide, reads=(_HISTORIES.name,), writes=_BACK),
            shards(
                name="relieve",
                run=partial(_relieve, prepare=prepare),
                records=True,
                reads=(ROWS.name, *(edge.name for edge in _BACK)),
                outputs=(RESULT, *(edge.name for edge in _PARTS)),
            ),
        )
    )


def _deal(task: Task) -> None:
    first = 0
    for chunk in chunks(task):
        records = Columns([arrow.own(chunk)])
        rows = np.arange(first, first + records.n)
        columns = [arrow.from_numpy(rows), *(records.text(name) for name in _TEXTS), _flags(chunk)]
        target = buckets(records.text("subject"), task.tasks["decide"], task.bucket_hash)
        write_each(task, _HISTORIES, columns, target)
        first += records.n


def _flags(batch: pa.RecordBatch) -> pa.Array:
    at = batch.schema.get_field_index(_FLAG)
    return pa.nulls(batch.num_rows, pa.bool_()) if at < 0 else batch.column(at)


def _decide(task: Task) -> None:
    owners, batches = list[Ints](), list[pa.RecordBatch]()
    for producer, batch in task.read(_HISTORIES.name):
        owners.append(np.full(batch.num_rows, producer))
        batches.append(arrow.own(batch))
    owner = np.concatenate([np.empty(0, np.int64), *owners])
    row, *columns = joined(batches, _HISTORIES)
    local = arrow.numbers(row)
    records = pa.RecordBatch.from_arrays(columns, names=list(_NAMES))
    found = outcome(task.parameters, Columns([records]), task.progress)
    relieved = np.flatnonzero(arrow.present(found.relief))
    taken = arrow.from_numpy(relieved)
    write_each(task, _RELIEFS, [arrow.from_numpy(local[relieved]), found.relief.take(taken)], owner[relieved])
    _, *status = found.status.to_batch(0).columns
    write_each(task, _STATUSES, [arrow.from_numpy(local, pa.uint64()), *status], owner)
    for edge in _PARTS:
        for batch in found.parts[edge.name]:
            at = arrow.numbers(batch.column(0)).astype(np.int64)
            write_each(task, edge, [arrow.from_numpy(local[at], pa.uint64()), *batch.columns[1:]], owner[at])


def _relieve(task: Task, *, prepare: Prepare) -> None:
    schema = task.schema
    operation = prepare(task.parameters, schema.metadata[METADATA_KEY].decode(), schema, task.context)
    records = [arrow.own(chunk) for chunk in chunks(task)]
    first, n = first_row(task), sum(batch.num_rows for batch in records)
    row, relief = read_columns(task, _RELIEFS)
    which = np.full(n, -1)
    which[arrow.numbers(row)] = np.arange(len(row))
    task.output(RESULT, no_rows(operation.output_schema))
    of_row = relief.take(arrow.from_numpy(np.maximum(which, 0), valid=which >= 0))
    for batch in operation.relieved(records, of_row):
        task.output(RESULT, batch)
    positions = np.array([schema.get_field_index(name) for name in _NAMES], np.int16)
    statuses = pa.RecordBatch.from_arrays(read_columns(task, _STATUSES), schema=ROW_STATUS_SCHEMA)
    rows = arrow.numbers(statuses.column(0)).astype(np.int64)
    task.status(RowStatus.from_batch(statuses).traced(positions).permuted(rows))
    for edge in _PARTS:
        whole = pa.RecordBatch.from_arrays(read_columns(task, edge), schema=edge.schema)
        ordered = whole.take(pc.sort_indices(whole.column(0)))
        for batch in arrow.cut(numbered_from(ordered, first), _BATCH):
            task.output(edge.name, batch)
