"""Cells with several values, parted: a row becomes one row for each combination of its values.

A row of more than MOST combinations becomes as many rows as its fullest cell has values: each value is then in one of
them at least, and not every combination is. Values of a cell beyond MOST are not looked at; their rows are reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_operations.kernels.ranges import expand

MOST: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Variants:
    """Batches of rows without separators, row int64[v]: which of the given rows each is of; ascending.

    cut int64[c]: the given rows with a cell of which some values are not there.
    """

    batches: Sequence[pa.RecordBatch]
    row: Ints
    cut: Ints


def parted(batches: Sequence[pa.RecordBatch], separators: Mapping[str, str]) -> Variants:
    """The rows of all batches, each cell of a column in `separators` parted at its separator."""
    made, rows, cut, before = list[pa.RecordBatch](), [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for batch in batches:
        of_batch, row, too_many = _parted(batch, separators)
        made.append(of_batch)
        rows.append(row + before)
        cut.append(too_many + before)
        before += batch.num_rows
    return Variants(batches=made, row=np.concatenate(rows), cut=np.concatenate(cut))


def _parted(batch: pa.RecordBatch, separators: Mapping[str, str]) -> tuple[pa.RecordBatch, Ints, Ints]:
    n = batch.num_rows
    lists = {name: _values(batch.column(name), by) for name, by in separators.items() if name in batch.schema.names}
    counts = [np.minimum(count, MOST) for _, _, count in lists.values()]
    every = np.ones(n, np.int64)
    for count in counts:
        every = np.minimum(every * count, MOST + 1)
    crossed = every <= MOST
    number = np.where(crossed, every, np.max([np.ones(n, np.int64), *counts], axis=0))
    row, place = expand(np.zeros(n, np.int64), number)
    taken = {name: batch.column(name) for name in batch.schema.names if name not in lists}
    taken = {name: column.take(arrow.from_numpy(row)) for name, column in taken.items()}
    step = np.ones(n, np.int64)
    for (name, (values, first, _)), count in zip(lists.items(), counts, strict=True):
        which = np.where(crossed[row], place // step[row], place) % count[row]
        taken[name] = values.take(arrow.from_numpy(first[row] + which))
        step = step * count
    too_many = np.zeros(n, np.bool_)
    for _, _, count in lists.values():
        too_many |= count > MOST
    arrays = [taken[name] for name in batch.schema.names]
    fields = [pa.field(name, array.type) for name, array in zip(batch.schema.names, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)), row, np.flatnonzero(too_many)


def _values(column: pa.Array, separator: str) -> tuple[pa.Array, Ints, Ints]:
    """(values, int64[n] the first one of each row, int64[n] how many it has); a row without any has one null."""
    text = column.view(pa.utf8()) if column.type == pa.binary() else column
    lists = pc.split_pattern(text, separator)
    parent = arrow.numbers(pc.list_parent_indices(lists)).astype(np.int64)
    flat = pc.ascii_trim_whitespace(lists.flatten())
    filled = np.flatnonzero(arrow.numbers(pc.binary_length(flat)) > 0) if len(flat) else np.empty(0, np.int64)
    count = np.bincount(parent[filled], minlength=len(column))
    first = np.cumsum(count) - count
    values = flat.take(arrow.from_numpy(filled)).view(pa.binary())
    first = np.where(count > 0, first, len(values))
    return arrow.concat([values, pa.nulls(1, pa.binary())], pa.binary()), first, np.maximum(count, 1)
