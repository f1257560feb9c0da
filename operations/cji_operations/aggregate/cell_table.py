"""`aggregate`: rows, persons and sums of every combination of values, with all totals, and nobody to be found in it.

result            `aggregate_cells/1`: one row a cell that is not empty, in the order of `grouping` and of the values
row_status        PARTLY_USED if a value could not be used; the row is counted nevertheless. Where cells are withheld,
                  rows without a category or a person are not marked: these would be exact numbers of hidden cells

    grouping         uint16      bit i: all values of key i together (as GROUPING_ID of SQL); 0 is the finest table
    key_1 .. key_4   binary      the value of each key; null where it is all together, unclassifiable, or no key
    unclassifiable   uint16      bit i: the rows whose key i is missing or no category
    hidden           bool        the numbers are withheld
    rows, persons    uint64      rows, different persons; `persons` are null besides where they tell of hidden ones
    sum_1 .. sum_4   uint64      sums; null as `rows` and `persons` where hidden, and where not requested

Totals are complete: unclassifiable rows are in them, and every table adds up to the next (persons do not: who is in two
cells is in their total once). Numbers are rounded last and each by itself, so that rounded ones add up only nearly.
A sum is hidden where its rows are; with `dominance`, also where a few persons make up most of it. With `privacy`, rows
are those of `private`, and all cells are listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Ints, Text, read
from cji_core.operations.aggregate import CELLS, Aggregate, Code, sum_name
from cji_operations.aggregate.private import noisy
from cji_operations.aggregate.suppression import Protection, protect
from cji_operations.kernels.distinct import codes
from cji_operations.kernels.group_by import Codes, cells, coded, counts, distinct, largest, packed, sums, with_totals
from cji_operations.operation import Outputs
from cji_operations.progress import ProgressCallback

MAX_CELLS: Final = 1 << 22
"""Cells of a table with its totals: 32 MiB for each number in it."""
MAX_PROTECTED: Final = 1 << 15
"""Cells where small ones are to be hidden: the search goes through all of them for every small one."""
_DIGITS: Final = 15
_BATCH: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """The n rows of some records, as cells see them.

    keys: of each key (int32[n] codes, its d values); a row that has none of them has code d. people: binary[n], or None
    without a column of persons; numbers int64[n] of each sum. `status` has what could not be used.
    """

    keys: tuple[tuple[Codes, pa.Array], ...]
    people: pa.Array | None
    numbers: tuple[Ints, ...]
    status: RowStatus

    @property
    def shape(self) -> list[int]:
        """Along each key its values, and one place for the unclassifiable."""
        return [len(values) + 1 for _, values in self.keys]

    @property
    def cell(self) -> Ints:
        """int64[n]: the cell of each row."""
        return cells([code for code, _ in self.keys], self.shape)


def read_rows(parameters: Aggregate, records: Sequence[pa.RecordBatch]) -> Rows:
    """Read the columns of `records`, batches of one schema.

    Raises at COMPUTE: Refusal(SCHEMA_MISMATCH) for a column that is not there; Refusal(LIMIT_EXCEEDED) for more than
    MAX_CELLS or MAX_PROTECTED cells; MemoryError.
    """
    names = records[0].schema.names if records else []
    if records and not parameters.columns.issubset(names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    n = sum(batch.num_rows for batch in records)
    status = RowStatus.all_ok(n)
    keys: list[tuple[Codes, pa.Array]] = []
    for column, expected in parameters.keys.items():
        code, values = categories(expected, _column(records, column))
        if not parameters.withholds:
            status = _marked(status, code == len(values), Code.UNCLASSIFIABLE, names.index(column) if n else 0)
        keys.append((code, values))
    check_size(parameters, [values for _, values in keys])
    people = _column(records, parameters.person) if parameters.person else None
    if people is not None and not parameters.withholds:
        status = _marked(status, ~read(people).filled, Code.NO_PERSON, names.index(parameters.person) if n else 0)
    numbers: list[Ints] = []
    for name in parameters.sums:
        number = _wholes(records, name)
        status = _marked(status, number < 0, Code.NOT_A_NUMBER, names.index(name) if n else 0)
        numbers.append(np.maximum(number, 0))
    return Rows(keys=tuple(keys), people=people, numbers=tuple(numbers), status=status)


def check_size(parameters: Aggregate, values: Sequence[pa.Array]) -> None:
    """Raise Refusal(LIMIT_EXCEEDED) where the values of the keys make too many cells."""
    size = int(np.prod([len(each) + 2 for each in values], dtype=object))
    if size > (MAX_PROTECTED if parameters.withholds else MAX_CELLS):
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)


def run(
    parameters: Aggregate,
    records: Sequence[pa.RecordBatch],
    progress: ProgressCallback,
    project_key: bytes | None = None,
) -> Outputs:
    """Count the rows of `records`, batches of one schema; with privacy, by the key of the project.

    Raises at COMPUTE: as `read_rows`; Refusal(LIMIT_EXCEEDED) for sums that are not exact.
    """
    progress("group", 0)
    rows = read_rows(parameters, records)
    values = [each for _, each in rows.keys]
    if parameters.privacy is not None and project_key is not None:
        table = noisy(parameters, project_key, cell=rows.cell, people=rows.people, shape=rows.shape)
        nothing = np.zeros(table.shape, np.bool_)
        result = _result(values, {"rows": table}, Protection(hidden=nothing, persons=nothing), there=~nothing)
        progress("group", 100)
        return Outputs(status=rows.status, result=arrow.cut(result, _BATCH))
    cell, shape = rows.cell, rows.shape
    numbers = {"rows": with_totals(counts(cell, shape))}
    progress("group", 40)
    if rows.people is not None:
        numbers["persons"] = distinct(cell, subjects_of(rows.people), read(rows.people).filled, shape)
    leading = list[Ints]()
    for i, number in enumerate(rows.numbers):
        numbers[sum_name(i)] = with_totals(exact_sums(cell, number, shape))
        if parameters.dominance is not None:
            leading.append(largest(cell, _contributors(rows), number, shape, top=parameters.dominance.top))
    progress("group", 80)
    result = outcome(parameters, values, numbers, leading)
    progress("group", 100)
    return Outputs(status=rows.status, result=arrow.cut(result, _BATCH))


def subjects_of(people: pa.Array) -> Ints:
    """int64[n]: equal numbers for equal persons."""
    numbers = packed(people)
    return codes(people)[0] if numbers is None else numbers


def _contributors(rows: Rows) -> Ints:
    """int64[n] below 2 * n: equal numbers for equal persons; a row that names nobody is somebody."""
    nobody = len(rows.cell) + np.arange(len(rows.cell))
    if rows.people is None:
        return nobody
    return np.where(read(rows.people).filled, codes(rows.people)[0], nobody)


def outcome(
    parameters: Aggregate, values: Sequence[pa.Array], numbers: Mapping[str, Ints], leading: Sequence[Ints]
) -> pa.RecordBatch:
    """All cells with their numbers, less those that have to be hidden.

    `values` are those of each key; `numbers` tables with totals: rows, persons, sums; `leading`, with a dominance, the
    part of each sum that its largest persons make up.
    """
    dominated = np.zeros(numbers["rows"].shape, np.bool_)
    if parameters.dominance is not None:
        for i, part in enumerate(leading):
            dominated |= part * 100 > numbers[sum_name(i)] * parameters.dominance.percent
    additive = [table for name, table in numbers.items() if name != "persons"]
    people = numbers.get("persons", numbers["rows"])
    withheld = protect(additive, people, parameters.hides_below, dominated=dominated, persons="persons" in numbers)
    return _result(values, numbers, withheld, base=parameters.base, there=numbers["rows"] > 0)


def exact_sums(cell: Ints, number: Ints, shape: Sequence[int]) -> Ints:
    """The sums of cells, without totals. Raises: Refusal(LIMIT_EXCEEDED) where they would not be exact."""
    try:
        return sums(cell, number, shape)
    except OverflowError as error:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE) from error


def _column(records: Sequence[pa.RecordBatch], name: str) -> pa.Array:
    """All values of a column, as text."""
    arrays = [batch.column(name) for batch in records]
    if arrays and not pa.types.is_binary(arrays[0].type):
        arrays = [pc.cast(pc.cast(array, pa.utf8()), pa.binary()) for array in arrays]
    return arrow.concat(arrays, pa.binary())


def _marked(status: RowStatus, wrong: Bools, code: Code, column: int) -> RowStatus:
    return status.found(np.flatnonzero(wrong), status=Status.PARTLY_USED, code=code, column=column)


def categories(expected: Sequence[str], array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """(int32[n] codes, d categories); what is none of them has code d. With none `expected`: those that occur."""
    code, values = coded(array)
    if not expected:
        return code, values
    categories = pa.array([value.encode() for value in expected], pa.binary())
    position = arrow.numbers(pc.index_in(values, categories).fill_null(len(categories)))
    return np.append(position, np.int32(len(categories)))[code], categories


def _wholes(records: Sequence[pa.RecordBatch], name: str) -> Ints:
    """int64[n]: the numbers of a column, see `_whole`."""
    if not records or not pa.types.is_integer(records[0].column(name).type):
        return _whole(_column(records, name))
    parts = list[Ints]()
    for array in (batch.column(name) for batch in records):
        values = arrow.numbers(array)
        good = arrow.present(array) & (values >= 0) & (values < 10**_DIGITS)
        parts.append(np.where(good, values.astype(np.int64), -1))
    return np.concatenate(parts)


def _whole(array: pa.Array) -> Ints:
    """int64[n]: decimal numbers of one to fifteen digits; -1 for anything else."""
    code, values = coded(array)
    text = read(values)
    return np.append(_decimal(text), -1)[code]


def _decimal(text: Text) -> Ints:
    number = np.zeros(len(text.lengths), np.int64)
    good = (text.lengths > 0) & (text.lengths <= _DIGITS)
    for position in range(_DIGITS):
        rows = np.flatnonzero(good & (text.lengths > position))
        digit = text.data[text.starts[rows] + position].astype(np.int64) - ord("0")
        number[rows] = number[rows] * 10 + digit
        good[rows] &= (digit >= 0) & (digit <= 9)
    return np.where(good, number, -1)


def _result(
    values: Sequence[pa.Array], numbers: Mapping[str, Ints], withheld: Protection, *, there: Bools, base: int = 1
) -> pa.RecordBatch:
    keys, full = len(values), withheld.hidden.shape
    order = [
        np.ravel_multi_index(np.ix_(*_places(full, together)), full).ravel()
        for together in sorted(product((0, 1), repeat=keys), key=_mask)
    ]
    every = np.concatenate(order[-1:] if withheld.only_total else order)
    listed = every[there.ravel()[every]]
    found = np.unravel_index(listed, full)
    gone = withheld.hidden.ravel()[listed]
    columns: dict[str, pa.Array] = {
        "grouping": arrow.from_numpy(
            _bits([at == size - 1 for at, size in zip(found, full, strict=True)]), pa.uint16()
        ),
        "unclassifiable": arrow.from_numpy(
            _bits([at == size - 2 for at, size in zip(found, full, strict=True)]), pa.uint16()
        ),
        "hidden": arrow.from_numpy(gone),
    }
    for i, (at, categories) in enumerate(zip(found, values, strict=True)):
        columns[f"key_{i + 1}"] = categories.take(arrow.from_numpy(at, valid=at < len(categories)))
    for name, table in numbers.items():
        rounded = (table.ravel()[listed] + base // 2) // base * base
        null = withheld.persons.ravel()[listed] if name == "persons" else gone
        columns[name] = arrow.from_numpy(np.where(null, 0, rounded), pa.uint64(), valid=~null)
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(len(listed), field.type)) for field in CELLS.arrow], schema=CELLS.arrow
    )


def _places(full: Sequence[int], together: Sequence[int]) -> list[Ints]:
    """Along each axis the positions of one grouping."""
    return [
        np.arange(size - 1, size) if all_ else np.arange(size - 1) for size, all_ in zip(full, together, strict=True)
    ]


def _mask(together: Sequence[int]) -> int:
    return sum(bit << i for i, bit in enumerate(together))


def _bits(flags: Sequence[npt.NDArray[np.bool_]]) -> Ints:
    return sum((flag.astype(np.int64) << i for i, flag in enumerate(flags)), np.zeros(len(flags[0]), np.int64))
