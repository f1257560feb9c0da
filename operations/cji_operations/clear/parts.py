"""`clear` in parts: the whole history of a subject goes to one task, and what it decides back to the rows.

    count      rows of each shard                                ── rows ──▶
    deal       the columns that decisions need, by subject       ── histories ──▶
    decide     as on one machine, on all rows of some subjects   ── reliefs, statuses, the parts ──▶
    relieve    the records of a shard with their relief; the parts in the order of their rows

All rows without a subject go to one task as well.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import METADATA_KEY, ROW_STATUS_SCHEMA, RowStatus, arrow
from cji_core.format.records.column import Ints
from cji_core.operations.clear.declaration import FLAGS, HISTORIES, NAMES, PART_EDGES, RELIEFS, STATUSES, TEXTS
from cji_core.operations.stages.by_shard import COUNT
from cji_core.operations.stages.stage import RESULT_OUTPUT
from cji_operations.clear.facts import Columns
from cji_operations.clear.outcome import outcome
from cji_operations.kernels.buckets import buckets
from cji_operations.operation import Context
from cji_operations.stages.by_shard import chunks, count, first_row, no_rows, numbered_from
from cji_operations.stages.stream_columns import joined, read_columns, write_each
from cji_operations.stages.task import StageFunctions, Task

if TYPE_CHECKING:
    from cji_operations.clear.operation import Clearing

_BATCH: Final = 16_384

Prepare: TypeAlias = Callable[[Any, str, pa.Schema, Context], "Clearing"]


def clear_functions(prepare: Prepare) -> StageFunctions:
    """The functions of the stages; they are the same for all parameters."""
    return {COUNT.name: count, "deal": _deal, "decide": _decide, "relieve": partial(_relieve, prepare=prepare)}


def _deal(task: Task) -> None:
    first = 0
    for chunk in chunks(task):
        records = Columns([arrow.own(chunk)])
        rows = np.arange(first, first + records.n)
        columns = [arrow.from_numpy(rows), *(records.text(name) for name in TEXTS), *_flags(chunk)]
        target = buckets(records.text("subject"), task.tasks["decide"], task.bucket_hash)
        write_each(task, HISTORIES, columns, target)
        first += records.n


def _flags(batch: pa.RecordBatch) -> Iterator[pa.Array]:
    for name in FLAGS:
        at = batch.schema.get_field_index(name)
        yield pa.nulls(batch.num_rows, pa.bool_()) if at < 0 else batch.column(at)


def _decide(task: Task) -> None:
    owners, batches = list[Ints](), list[pa.RecordBatch]()
    for producer, batch in task.read(HISTORIES.name):
        owners.append(np.full(batch.num_rows, producer))
        batches.append(arrow.own(batch))
    owner = np.concatenate([np.empty(0, np.int64), *owners])
    row, *columns = joined(batches, HISTORIES)
    local = arrow.numbers(row)
    records = pa.RecordBatch.from_arrays(columns, names=list(NAMES))
    found = outcome(task.parameters, Columns([records]), task.progress)
    relieved = np.flatnonzero(arrow.present(found.relief))
    taken = arrow.from_numpy(relieved)
    write_each(task, RELIEFS, [arrow.from_numpy(local[relieved]), found.relief.take(taken)], owner[relieved])
    _, *status = found.status.to_batch(0).columns
    write_each(task, STATUSES, [arrow.from_numpy(local, pa.uint64()), *status], owner)
    for edge in PART_EDGES:
        for batch in found.parts[edge.name]:
            at = arrow.numbers(batch.column(0)).astype(np.int64)
            write_each(task, edge, [arrow.from_numpy(local[at], pa.uint64()), *batch.columns[1:]], owner[at])


def _relieve(task: Task, *, prepare: Prepare) -> None:
    schema = task.schema
    operation = prepare(task.parameters, schema.metadata[METADATA_KEY].decode(), schema, task.context)
    records = [arrow.own(chunk) for chunk in chunks(task)]
    first, n = first_row(task), sum(batch.num_rows for batch in records)
    row, relief = read_columns(task, RELIEFS)
    which = np.full(n, -1)
    which[arrow.numbers(row)] = np.arange(len(row))
    task.output(RESULT_OUTPUT, no_rows(operation.output_schema))
    of_row = relief.take(arrow.from_numpy(np.maximum(which, 0), valid=which >= 0))
    for batch in operation.relieved(records, of_row):
        task.output(RESULT_OUTPUT, batch)
    positions = np.array([schema.get_field_index(name) for name in NAMES], np.int16)
    statuses = pa.RecordBatch.from_arrays(read_columns(task, STATUSES), schema=ROW_STATUS_SCHEMA)
    rows = arrow.numbers(statuses.column(0)).astype(np.int64)
    task.status(RowStatus.from_batch(statuses).traced(positions).permuted(rows))
    for edge in PART_EDGES:
        whole = pa.RecordBatch.from_arrays(read_columns(task, edge), schema=edge.schema)
        ordered = whole.take(pc.sort_indices(whole.column(0)))
        for batch in arrow.cut(numbered_from(ordered, first), _BATCH):
            task.output(edge.name, batch)
