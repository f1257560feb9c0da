"""Group-by over coded columns: a table with one cell for each combination of values, and its totals.

A table of k columns is an array of k dimensions. Along dimension i lie the values of column i, 0 to shape[i] - 1;
a table with totals has one more position along each, the last, that stands for all values together.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints, read

EXACT: Final = 1 << 53
"""Sums below this are exact, because numpy adds weights as doubles."""

_CHUNK: Final = 1 << 16  # rows whose codes stay in the cache
_CHUNK_ROWS: Final = 64
_WORD: Final = 8
_NO_WORD: Final = np.uint64((1 << 64) - 1)  # no value of less than eight bytes
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_PLACE_BITS: Final = 16
_MOST_PACKED: Final = 16
_MOST_BITS: Final = 40  # with a table of MAX_CELLS, in 63 bits

Codes = npt.NDArray[np.int32]


def coded(array: pa.Array) -> tuple[Codes, pa.Array]:
    """(int32[n] codes, the d distinct values of a `utf8` or `binary` array, ascending); null and empty have code d."""
    data, width = _fixed_width(array)
    if width in (1, 2):
        return _coded_short(data.view(f">u{width}"), array.type)
    if 2 < width < _WORD:
        of_words = _coded_words(data, width, array.type)
        if of_words is not None:
            return of_words
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
    there = np.zeros(1 << 8 * text.itemsize, np.bool_)
    there[text] = True
    values = np.flatnonzero(there)
    code = np.zeros(len(there), np.int32)
    code[values] = np.arange(len(values))
    return code[text], arrow.from_bytes(
        values.astype(text.dtype).view(np.uint8), np.full(len(values), text.itemsize), data_type
    )


def _coded_words(data: Bytes, width: int, data_type: pa.DataType) -> tuple[Codes, pa.Array] | None:
    """Values of three to seven bytes each, as places in a table; None where two values have one place, as many have.

    A value is one number, which times a constant has its place in the highest bits (Knuth, TAOCP 3, 6.4).
    """
    n, word = len(data) // width, np.dtype("<u8")
    held = np.full(1 << _PLACE_BITS, _NO_WORD, word)
    place = np.empty(n, np.uint16)
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        inside = max(min(stop, (len(data) - _WORD) // width + 1), start)
        words = np.zeros(stop - start, word)
        words[: inside - start] = np.ndarray((inside - start,), word, data, start * width, (width,))
        for row in range(inside, stop):
            words[row - start] = int.from_bytes(data[row * width : (row + 1) * width].tobytes(), "little")
        words &= np.uint64((1 << 8 * width) - 1)
        places = (words * _MULTIPLIER >> np.uint64(64 - _PLACE_BITS)).astype(np.uint16)
        place[start:stop] = places
        fresh = np.flatnonzero(held[places] != words)
        if len(fresh):
            at = places[fresh]
            if (held[at] != _NO_WORD).any():
                return None
            held[at] = words[fresh]
            if (held[at] != words[fresh]).any():
                return None
    occupied = np.flatnonzero(held != _NO_WORD)
    letters = held[occupied].view(np.uint8).reshape(-1, _WORD)[:, :width]
    order = np.lexsort(letters.T[::-1])
    code = np.zeros(len(held), np.int32)
    code[occupied[order]] = np.arange(len(order))
    return code[place], arrow.from_bytes(letters[order], np.full(len(order), width), data_type)


def _fixed_width(array: pa.Array) -> tuple[Bytes, int]:
    """(the bytes of the values, how many each of them has) of a `utf8` or `binary` array; 0 where they differ."""
    offsets, data = arrow.text(array)
    first, n = int(offsets[0]), len(array)
    width = (int(offsets[-1]) - first) // n if n else 0
    if (
        array.null_count
        or not width
        or any(
            (offsets[start + 1 : start + _CHUNK + 1] - offsets[start : min(start + _CHUNK, n)] != width).any()
            for start in range(0, n, _CHUNK)
        )
    ):
        return data[:0], 0
    return data[first : first + n * width], width


def packed(array: pa.Array) -> Ints | None:
    """int64[n] numbers of at most _MOST_BITS, equal for equal values of a `utf8` or `binary` array; None without any.

    Of values of one width: each byte counts from the lowest to the highest that its place has.
    """
    data, width = _fixed_width(array)
    if not 0 < width <= _MOST_PACKED:
        return None
    rows = data.reshape(-1, width)
    many = len(rows) // _CHUNK_ROWS * _CHUNK_ROWS
    wide = rows[:many].reshape(-1, _CHUNK_ROWS * width)  # along a long axis numpy is ten times as fast
    low = np.concatenate((wide.min(axis=0, initial=255).reshape(-1, width), rows[many:])).min(axis=0)
    high = np.concatenate((wide.max(axis=0, initial=0).reshape(-1, width), rows[many:])).max(axis=0)
    sizes = [int(top) - int(bottom) + 1 for bottom, top in zip(low, high, strict=True)]
    if math.prod(sizes).bit_length() > _MOST_BITS:
        return None
    number = np.zeros(len(rows), np.int64)
    for start in range(0, len(rows), _CHUNK):
        part, block = number[start : start + _CHUNK], rows[start : start + _CHUNK]
        for position, size in enumerate(sizes):
            if size > 1:
                part *= size
                part += block[:, position] - low[position]
    return number


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


def distinct(cell: Ints, subjects: Ints, known: Bools, shape: Sequence[int]) -> Ints:
    """The number of different `subjects` int64[n] in each cell of the table with totals, of rows where `known`.

    Totals are not sums here: a subject in two cells counts once in their total.
    """
    if not known.all():
        subjects, cell = subjects[known], cell[known]
    full = [size + 1 for size in shape]
    places = np.arange(int(np.prod(full))).reshape(full)
    inner = places[tuple(slice(size) for size in shape)].ravel()
    totals = [(places.take([size], axis=axis) - places).ravel() for axis, size in enumerate(shape)]
    out, bits = np.zeros(places.size, np.int64), int(places.size).bit_length()
    pairs = subjects << bits
    pairs |= inner[cell]
    pairs.sort()
    _distinct_into(out, _once(pairs), totals, bits, 0)
    return out.reshape(full)


def _distinct_into(out: Ints, pairs: Ints, totals: Sequence[Ints], bits: int, first: int) -> None:
    """Count ascending `pairs` (subject, place), each once, and then those of every total from axis `first` on.

    totals: along each axis, how far it is from each place to its total. The places of one subject stay in order when
    the last axis goes; without another one they are sorted again.
    """
    place = pairs & ((1 << bits) - 1)
    out += np.bincount(place, minlength=len(out))
    for axis in range(first, len(totals)):
        moved = pairs + totals[axis][place]
        if axis < len(totals) - 1:
            moved.sort()  # numpy sorts integers by vector instructions, and hashes them one by one
        _distinct_into(out, _once(moved), totals, bits, axis + 1)


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
    """The different ones of ascending values."""
    fresh = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]


def _steps(shape: Sequence[int]) -> list[int]:
    """How far apart neighbours along each axis are in the flat table."""
    return [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
