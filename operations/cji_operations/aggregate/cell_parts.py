"""`aggregate` of records in parts: tables of each shard, added up once, and only then hidden and rounded.

    group      rows and sums of the cells of a shard       ── cells ──▶
               its persons in their cells, by person       ── persons ──▶    only where persons are counted, or dominate
    values     the values of the keys, of all shards       ── values ──▶
    count      all rows of some persons: in how many cells they are, and their largest sums
    merge      all numbers of all cells: hidden, rounded, listed

All numbers are integers, so any shards give the same ones. A row that names nobody is a person by itself.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints, read
from cji_core.operations.aggregate import COUNTED, LEADERS, VALUES, Aggregate, CellEdges, sum_name
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge
from cji_operations.aggregate.cell_table import Rows, categories, check_size, exact_sums, outcome, read_rows
from cji_operations.kernels.buckets import buckets
from cji_operations.kernels.distinct import codes
from cji_operations.kernels.group_by import Codes, cells, counts, distinct, first_of_each, leaders, with_totals
from cji_operations.stages.by_shard import chunks
from cji_operations.stages.stream_columns import read_columns, write_columns, write_each
from cji_operations.stages.task import StageFunctions, Task

_BATCH: Final = 16_384


def cell_functions(parameters: Aggregate) -> StageFunctions:
    """The functions of the stages for these parameters."""
    edges = CellEdges.of(parameters)
    group = partial(_group, of_cells=edges.cells, of_persons=edges.persons if edges.by_person else None)
    merge = partial(_merge, of_cells=edges.cells)
    if not edges.by_person:
        return {"group": group, "merge": merge}
    return {
        "group": group,
        "values": partial(_list_values, of_cells=edges.cells),
        "count": partial(_count, of_persons=edges.persons),
        "merge": merge,
    }


def _group(task: Task, *, of_cells: Edge, of_persons: Edge | None) -> None:
    rows = read_rows(task.parameters, [arrow.own(chunk) for chunk in chunks(task)])
    task.status(rows.status)
    cell, shape = rows.cell, rows.shape
    number = counts(cell, shape).ravel()
    there = np.flatnonzero(number)
    sums = [exact_sums(cell, each, shape).ravel()[there] for each in rows.numbers]
    write_columns(task, of_cells, [*_keys(rows, there), number[there], *sums])
    if of_persons is not None:
        _write_persons(task, rows, cell, of_persons)


def _write_persons(task: Task, rows: Rows, cell: Ints, edge: Edge) -> None:
    """Every person once in each cell, to the task that counts that person; rows that name nobody stay here."""
    n = len(cell)
    people = pa.nulls(n, pa.binary()) if rows.people is None else rows.people
    person, known = codes(people)[0], read(people).filled
    named = np.flatnonzero(known)
    nameless = np.flatnonzero(~known) if task.parameters.dominance is not None else np.empty(0, np.int64)
    _, first, which = np.unique(cell[named] * (n + 1) + person[named], return_index=True, return_inverse=True)
    example = np.concatenate((named[first], nameless))
    names = people.take(arrow.from_numpy(example))
    columns = [*_keys(rows, cell[example]), names]
    if task.parameters.dominance is not None:
        for number in rows.numbers:
            added = np.zeros(len(first), np.int64)
            np.add.at(added, which, number[named])
            columns.append(arrow.from_numpy(np.concatenate((added, number[nameless]))))
    target = np.where(known[example], buckets(names, task.tasks["count"], task.bucket_hash), task.number)
    write_each(task, edge, columns, target)


def _list_values(task: Task, *, of_cells: Edge) -> None:
    for i, each in enumerate(_values(task.parameters, read_columns(task, of_cells))):
        write_columns(task, VALUES, [np.full(len(each), i), each])


def _count(task: Task, *, of_persons: Edge) -> None:
    parameters: Aggregate = task.parameters
    key, value = read_columns(task, VALUES)
    values = [value.filter(pc.equal(key, i)) for i in range(len(parameters.keys))]
    columns = read_columns(task, of_persons)
    people, sums = columns[len(values)], columns[len(values) + 1 :]
    cell, shape = _placed(values, columns)
    person, known = codes(people)[0], read(people).filled
    if parameters.person:
        number = distinct(cell, person, known, shape).ravel()
        there = np.flatnonzero(number)
        write_columns(task, COUNTED, [there, number[there]])
    if parameters.dominance is not None:
        subjects = np.where(known, person, len(cell) + np.arange(len(cell)))
        for i, amounts in enumerate(sums):
            where, most = leaders(cell, subjects, arrow.numbers(amounts), shape, top=parameters.dominance.top)
            write_columns(task, LEADERS, [np.full(len(where), i), where, most])


def _merge(task: Task, *, of_cells: Edge) -> None:
    parameters: Aggregate = task.parameters
    columns = read_columns(task, of_cells)
    values = _values(parameters, columns)
    cell, shape = _placed(values, columns)
    full = [size + 1 for size in shape]
    rows, *sums = (arrow.numbers(column) for column in columns[len(values) :])
    numbers = {"rows": with_totals(exact_sums(cell, rows, shape))}
    if parameters.person:
        where, persons = (arrow.numbers(column) for column in read_columns(task, COUNTED))
        numbers["persons"] = _table(where, persons, full)
    numbers |= {sum_name(i): with_totals(exact_sums(cell, each, shape)) for i, each in enumerate(sums)}
    leading = list[Ints]()
    if parameters.dominance is not None:
        of, where, amounts = (arrow.numbers(column) for column in read_columns(task, LEADERS))
        for i in range(len(sums)):
            most = first_of_each(where[of == i], amounts[of == i], parameters.dominance.top)
            leading.append(_table(*most, full))
    for batch in arrow.cut(outcome(parameters, values, numbers, leading), _BATCH):
        task.output(RESULT_OUTPUT, batch)


def _values(parameters: Aggregate, keys: Sequence[pa.Array]) -> list[pa.Array]:
    """The values of every key, ascending, or its categories. Raises: Refusal(LIMIT_EXCEEDED) for too many."""
    values = [categories(expected, column)[1] for expected, column in zip(parameters.keys.values(), keys, strict=False)]
    check_size(parameters, values)
    return values


def _placed(values: Sequence[pa.Array], keys: Sequence[pa.Array]) -> tuple[Ints, list[int]]:
    """(the cell of each row, the shape of the table); null is unclassifiable."""
    found: list[Codes] = []
    for each, column in zip(values, keys, strict=False):
        position = pc.index_in(column, value_set=each).fill_null(len(each))
        found.append(arrow.numbers(position).astype(np.int32))
    shape = [len(each) + 1 for each in values]
    return cells(found, shape), shape


def _keys(rows: Rows, cell: Ints) -> list[pa.Array]:
    """binary[m]: the value of each key in these cells; null where it is unclassifiable."""
    places = np.unravel_index(cell, rows.shape)
    return [
        values.cast(pa.binary()).take(arrow.from_numpy(place, valid=place < len(values)))
        for place, (_, values) in zip(places, rows.keys, strict=True)
    ]


def _table(where: Ints, numbers: Ints, full: Sequence[int]) -> Ints:
    """The sums of exact numbers at their places."""
    return np.bincount(where, numbers, int(np.prod(full))).astype(np.int64).reshape(full)
