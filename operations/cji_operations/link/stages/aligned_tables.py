"""A table on its way to the task of the same number of a later stage, which need not make it again.

A JSON document, then arrays as they lie in memory: of each column the values, which of them each row
has and how many rows have each value, and of each rule the blocks that were found in the table.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from cji_core.operations.stages.stage import Edge
from cji_operations.kernels.pairs import Blocks, blocks
from cji_operations.kernels.strings import Words
from cji_operations.link.columns import Table, numbered_column
from cji_operations.link.stages import edge_data
from cji_operations.stages.task import Task

_Array = npt.NDArray[Any]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the arrays, in their order."""

    n: int
    first_of_second: int | None
    columns: list[str]
    not_dates: list[str]
    placeholders: list[str]
    rules: list[int]
    units: bool
    bound: bool


def write_table(task: Task, edge: Edge, table: Table, found: Mapping[int, Blocks]) -> None:
    """Write a table, and the blocks of rules in it by their numbers; several on one edge come one after the other."""
    head = _Head(
        n=table.n,
        first_of_second=table.first_of_second,
        columns=list(table.columns),
        not_dates=list(table.not_dates),
        placeholders=list(table.placeholders),
        rules=list(found),
        units=table.unit is not None,
        bound=table.bound is not None,
    )
    arrays: list[_Array] = [table.rows.astype(np.uint32)]
    arrays += [] if table.unit is None else [table.unit.astype(np.uint32)]
    arrays += [] if table.bound is None else [table.bound]
    for column in table.columns.values():
        words = column.words
        code = column.code.astype(np.min_scalar_type(-max(len(words), 1)))
        arrays += [words.data.T, words.lengths.astype(np.uint8), code, column.counts.astype(np.uint32)]
    arrays += [*table.not_dates.values(), *table.placeholders.values()]
    for one in found.values():
        arrays += [one.rows, one.lengths.astype(np.int32)]
    edge_data.write_arrays(task, edge, head, arrays)


def read_tables(task: Task, edge: Edge) -> Iterator[tuple[Table, dict[int, Blocks]]]:
    """The tables of the edge, with their blocks."""
    for head, arrays in edge_data.read_arrays(task, edge, _Head):
        rest = iter(arrays)
        rows = next(rest).astype(np.int64)
        unit = next(rest).astype(np.int64) if head.units else None
        bound = next(rest) if head.bound else None
        columns = {}
        for name in head.columns:
            data, lengths, code, counts = (next(rest) for _ in range(4))
            words = Words(data=data.T, lengths=lengths.astype(np.int64))
            columns[name] = numbered_column(name, words, code.astype(np.int32), counts.astype(np.int64))
        table = Table(
            n=head.n,
            rows=rows,
            first_of_second=head.first_of_second,
            columns=columns,
            not_dates={name: next(rest) for name in head.not_dates},
            placeholders={name: next(rest) for name in head.placeholders},
            unit=unit,
            bound=bound,
            apart=task.parameters.apart,
        )
        second = table.second
        found = dict[int, Blocks]()
        for number in head.rules:
            of_rule, lengths = next(rest), next(rest).astype(np.int64)
            found[number] = blocks(of_rule, lengths, None if second is None else second[of_rule])
        yield table, found
