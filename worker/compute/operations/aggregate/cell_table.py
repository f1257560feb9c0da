"""`aggregate`: rows, persons and sums of every combination of values, with all totals, and nobody to be found in it.

result            `aggregate_cells/1`: one row a cell that is not empty, in the order of `grouping` and of the values
row_status        PARTLY_USED if a value could not be used; the row is counted nevertheless

    grouping         uint16      bit i: all values of key i together (as GROUPING_ID of SQL); 0 is the finest table
    key_1 .. key_4   binary      the value of each key; null where it is all together, unclassifiable, or no key
    unclassifiable   uint16      bit i: the rows whose key i is missing or no category
    hidden           bool        the numbers are withheld
    rows, persons    uint64      rows, different persons
    sum_1 .. sum_4   uint64      sums; null as `rows` and `persons` where hidden, and where not requested

Totals are complete: unclassifiable rows are in them, and every table adds up to the next (persons do not: who is in two
cells is in their total once). Numbers are rounded last and each by itself, so that rounded ones add up only nearly.
A sum is hidden where its rows are; with `dominance`, also where a few persons make up most of it.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Bools, Ints, Text, read
from worker.compute.kernels.distinct import codes
from worker.compute.kernels.group_by import cells, coded, counts, distinct, largest, sums, with_totals
from worker.compute.operation import Outputs
from worker.compute.operations.aggregate.codes import Code
from worker.compute.operations.aggregate.outputs import CELLS
from worker.compute.operations.aggregate.parameters import Aggregate
from worker.compute.operations.aggregate.suppression import hidden
from worker.errors import Reason, Refusal, Stage
from worker.progress import ProgressCallback
from worker.records import RowStatus, Status, arrow

MAX_CELLS: Final = 1 << 22
"""Cells of a table with its totals: 32 MiB for each number in it."""
MAX_PROTECTED: Final = 1 << 15
"""Cells where small ones are to be hidden: the search goes through all of them for every small one."""
_DIGITS: Final = 15
_BATCH: Final = 16_384


def run(parameters: Aggregate, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
    """Count the rows of `records`, batches of one schema.

    Raises at COMPUTE: Refusal(SCHEMA_MISMATCH) for a column that is not there; Refusal(LIMIT_EXCEEDED) for more than
    MAX_CELLS or MAX_PROTECTED cells, or sums that are not exact; MemoryError.
    """
    names = records[0].schema.names if records else []
    if records and not parameters.columns.issubset(names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    n = sum(batch.num_rows for batch in records)
    progress("group", 0)
    status = RowStatus.all_ok(n)
    columns: list[npt.NDArray[np.int32]] = []
    values: list[pa.Array] = []
    for column, expected in parameters.keys.items():
        code, categories = _categories(expected, _column(records, column))
        status = _marked(status, code == len(categories), Code.UNCLASSIFIABLE, names.index(column) if n else 0)
        columns.append(code)
        values.append(categories)
    shape = [len(categories) + 1 for categories in values]  # the last one is for the unclassifiable
    size = int(np.prod([values + 1 for values in shape], dtype=object))
    protected = parameters.hides_below > 1 or parameters.dominance is not None
    if size > (MAX_PROTECTED if protected else MAX_CELLS):
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    cell = cells(columns, shape)
    rows = with_totals(counts(cell, shape))
    progress("group", 40)
    numbers = {"rows": rows}
    subjects, dominated = np.arange(n), np.zeros(rows.shape, np.bool_)  # a row that names nobody is somebody
    if parameters.person:
        people = _column(records, parameters.person)
        person, known = codes(people)[0], read(people).filled
        subjects = np.where(known, person, n + subjects)
        status = _marked(status, ~known, Code.NO_PERSON, names.index(parameters.person) if n else 0)
        numbers["persons"] = distinct(cell, person, known, shape)
    for i, name in enumerate(parameters.sums):
        number = _whole(_column(records, name))
        status = _marked(status, number < 0, Code.NOT_A_NUMBER, names.index(name) if n else 0)
        number = np.maximum(number, 0)
        total = numbers[f"sum_{i + 1}"] = _sums(cell, number, shape)
        if parameters.dominance is not None:
            leading = largest(cell, subjects, number, shape, top=parameters.dominance.top)
            dominated |= leading * 100 > total * parameters.dominance.percent
    progress("group", 80)
    additive = [table for name, table in numbers.items() if name != "persons"]
    withheld = hidden(additive, numbers.get("persons", rows), parameters.hides_below, dominated)
    progress("group", 100)
    result = _result(values, numbers, withheld, parameters.base)
    return Outputs(status=status, result=arrow.cut(result, _BATCH))


def _sums(cell: Ints, number: Ints, shape: Sequence[int]) -> Ints:
    """With totals. Raises: Refusal(LIMIT_EXCEEDED) where they would not be exact."""
    try:
        return with_totals(sums(cell, number, shape))
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


def _categories(expected: Sequence[str], array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """(int32[n] codes, d categories); what is none of them has code d."""
    code, values = coded(array)
    if not expected:
        return code, values
    categories = pa.array([value.encode() for value in expected], pa.binary())
    position = arrow.numbers(pc.index_in(values, categories).fill_null(len(categories)))
    return np.append(position, np.int32(len(categories)))[code], categories


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


def _result(values: Sequence[pa.Array], numbers: Mapping[str, Ints], withheld: Bools, base: int) -> pa.RecordBatch:
    keys, full = len(values), withheld.shape
    order = [
        np.ravel_multi_index(np.ix_(*_places(full, together)), full).ravel()
        for together in sorted(product((0, 1), repeat=keys), key=_mask)
    ]
    every = np.concatenate(order)
    listed = every[numbers["rows"].ravel()[every] > 0]
    found = np.unravel_index(listed, full)
    gone = withheld.ravel()[listed]
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
        columns[name] = arrow.from_numpy(np.where(gone, 0, rounded), pa.uint64(), valid=~gone)
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
