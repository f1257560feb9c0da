"""Group-by over coded columns: a table with one cell for each combination of values, and its totals.

A table of k columns is an array of k dimensions. Along dimension i lie the values of column i, 0 to shape[i] - 1;
a table with totals has one more position along each, the last, that stands for all values together.
"""

from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read

EXACT: Final = 1 << 53
"""Sums below this are exact, because numpy adds weights as doubles."""

_CHUNK: Final = 1 << 16  # rows whose codes stay in the cache

Codes = npt.NDArray[np.int32]


def coded(array: pa.Array) -> tuple[Codes, pa.Array]:
    """(int32[n] codes, the d distinct values of a `utf8` or `binary` array, ascending); null and empty have code d."""
    text = read(array)
    width = int(text.lengths.max(initial=0))
    if width in (1, 2) and int(text.lengths.min()) == width:
        return _coded_short(text.data[text.starts[0] :][: width * len(array)].view(f">u{width}"), array.type)
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    found = read(encoded.dictionary)
    filled = np.flatnonzero(found.filled)
    values = encoded.dictionary.take(arrow.from_numpy(filled))
    order = arrow.numbers(pc.sort_indices(values)).astype(np.int64)
    code = np.full(len(found.lengths), len(values), np.int32)
    code[filled[order]] = np.arange(len(values))
    return code[arrow.numbers(encoded.indices)], values.take(arrow.from_numpy(order))


def _coded_short(text: npt.NDArray[np.unsignedinteger], data_type: pa.DataType) -> tuple[Codes, pa.Array]:
    """Values of one or two bytes each, read as numbers, are positions in a table themselves."""
    values = np.flatnonzero(np.bincount(text, minlength=1 << 8 * text.itemsize))
    code = np.zeros(1 << 8 * text.itemsize, np.int32)
    code[values] = np.arange(len(values))
    return code[text], arrow.from_bytes(
        values.astype(text.dtype).view(np.uint8), np.full(len(values), text.itemsize), data_type
    )


def cells(columns: Sequence[npt.NDArray[np.integer]], shape: Sequence[int]) -> Ints:
    """int64[n]: the position of each row's cell in the flat table; `columns` are codes int[n] below `shape`."""
    cell = np.zeros(len(columns[0]), np.int64)
    for start in range(0, len(cell), _CHUNK):
        rows = slice(start, start + _CHUNK)
        for column, size in zip(columns, shape, strict=True):
            cell[rows] *= size
            cell[rows] += column[rows]
    return cell


def counts(cell: Ints, shape: Sequence[int]) -> Ints:
    """int64[shape]: rows in each cell."""
    return np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)


def sums(cell: Ints, values: Ints, shape: Sequence[int]) -> Ints:
    """int64[shape]: the sum of `values`, none below 0, in each cell. Raises: OverflowError where all make EXACT."""
    if total(values) >= EXACT:
        raise OverflowError
    return np.bincount(cell, values, int(np.prod(shape))).astype(np.int64).reshape(shape)


def total(values: Ints) -> int:
    """The exact sum of up to 2 ** 31 numbers, none below 0."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFF_FFFF).sum())


def with_totals(table: Ints) -> Ints:
    """The table and its totals."""
    for axis in range(table.ndim):
        table = np.concatenate((table, table.sum(axis=axis, keepdims=True)), axis=axis)
    return table


def distinct(cell: Ints, subjects: npt.NDArray[np.integer], known: Bools, shape: Sequence[int]) -> Ints:
    """The number of different `subjects` int[n] in each cell of the table with totals, of rows where `known`.

    Totals are not sums here: a subject in two cells counts once in their total.
    """
    subjects, cell = subjects[known], cell[known]
    people = int(subjects.max(initial=-1)) + 1
    full = [size + 1 for size in shape]
    position = np.zeros(len(cell), np.int64)
    for axis, step in enumerate(_steps(shape)):
        position += cell // step % shape[axis] * _steps(full)[axis]
    out = np.zeros(int(np.prod(full)), np.int64)
    _distinct_into(out, _once(position * people + subjects), people, full, 0)
    return out.reshape(full)


def _distinct_into(out: Ints, pairs: Ints, people: int, full: Sequence[int], first: int) -> None:
    """Count `pairs` (position * people + subject, each once), then those of every total from axis `first` on."""
    if people:
        out += np.bincount(pairs // people, minlength=len(out))
    for axis in range(first, len(full)):
        step = _steps(full)[axis] * people
        moved = pairs + (full[axis] - 1 - pairs // step % full[axis]) * step if people else pairs
        _distinct_into(out, _once(moved), people, full, axis + 1)


def largest(cell: Ints, subjects: npt.NDArray[np.integer], values: Ints, shape: Sequence[int], *, top: int) -> Ints:
    """The part of each cell's sum that its `top` subjects with the largest sums of `values`, none below 0, make up.

    Of the table with totals; a subject's sum in a total is that of all its rows there.
    """
    full = [size + 1 for size in shape]
    where, sums_of = leaders(cell, subjects, values, shape, top=top)
    return np.bincount(where, sums_of, int(np.prod(full))).astype(np.int64).reshape(full)


def leaders(
    cell: Ints, subjects: npt.NDArray[np.integer], values: Ints, shape: Sequence[int], *, top: int
) -> tuple[Ints, Ints]:
    """(cell int64[m] of the table with totals, sum int64[m]) of the `top` subjects with the largest sums of each."""
    people, full = int(subjects.max(initial=0)) + 1, [size + 1 for size in shape]
    position = np.zeros(len(cell), np.int64)
    for step, size, full_step in zip(_steps(shape), shape, _steps(full), strict=True):
        position += cell // step % size * full_step
    pairs, values = _added(position * people + subjects, values)
    found = list[tuple[Ints, Ints]]()
    for together in product((False, True), repeat=len(full)):
        moved = pairs.copy()
        for in_total, size, step in zip(together, full, _steps(full), strict=True):
            if in_total:
                moved += (size - 1 - pairs // (step * people) % size) * step * people
        of_pair, sums_of = _added(moved, values)
        found.append(first_of_each(of_pair // people, sums_of, top))
    return np.concatenate([where for where, _ in found]), np.concatenate([sums_of for _, sums_of in found])


def first_of_each(where: Ints, values: Ints, top: int) -> tuple[Ints, Ints]:
    """(where, values) of the `top` largest values at each place."""
    order = np.lexsort((-values, where))
    where, values = where[order], values[order]
    kept = np.arange(len(order)) - np.searchsorted(where, where) < top
    return where[kept], values[kept]


def _added(pairs: Ints, values: Ints) -> tuple[Ints, Ints]:
    """(the different pairs, ascending; the sum of the values of each)."""
    order = np.argsort(pairs, kind="stable")
    if not len(order):
        return pairs, values
    starts = np.flatnonzero(np.diff(pairs[order], prepend=-1))
    return pairs[order[starts]], np.add.reduceat(values[order], starts)


def _once(values: Ints) -> Ints:
    """The different values, ascending; numpy sorts integers by vector instructions, and hashes them one by one."""
    values = np.sort(values)
    fresh = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]


def _steps(shape: Sequence[int]) -> list[int]:
    """How far apart neighbours along each axis are in the flat table."""
    return [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
