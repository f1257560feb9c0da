"""Joins of ranges with sorted keys, and rows in portions.

Which keys lie in each range, and one row for each of them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Ints

_CROSSED: Final = 1 << 18
"""Positions at once."""


def within(keys: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """(int64[n] first, int64[n] count): keys[first[i] : first[i] + count[i]] are those in low[i]..high[i].

    keys: sorted; low, high: of the type of `keys`, both ends belong to the range. An empty range has no keys.
    """
    first, count = np.zeros(len(low), np.int64), np.zeros(len(low), np.int64)
    if not len(low):
        return first, count
    order = np.argsort(low)  # neighbouring searches meet in the cache; what is equal has one result
    at = np.searchsorted(keys, low[order])
    inside = np.flatnonzero(at < len(keys))
    inside = inside[keys[at[inside]] <= high[order[inside]]]  # most ranges are empty, and need no second search
    rows, at = order[inside], at[inside]
    first[rows] = at
    count[rows] = np.searchsorted(keys, high[rows], side="right") - at
    return first, count


def expand(first: npt.NDArray[Any], count: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """(int64[m] range, int64[m] position): one row for each position of each range, in the order of ranges.

    first, count: whole numbers of any width.
    """
    which = np.repeat(np.arange(len(first)), count)
    before = np.cumsum(count, dtype=np.int64) - count
    return which, np.arange(len(which)) + (first - before)[which]


def crossed(starts: Ints, left: Ints, right: Ints) -> Iterator[tuple[slice, Ints, Ints, Ints]]:
    """(a part of the pairs, where each begins, int64[m] one, int64[m] other): all positions of one range with another.

    Range i is starts[i] to starts[i + 1], none of them empty; pair p is of the ranges left[p] and right[p].
    """
    of_right = starts[right + 1] - starts[right]
    count = (starts[left + 1] - starts[left]) * of_right
    for start, stop in cuts(count, _CROSSED):
        part = slice(start, stop)
        which, place = expand(np.zeros(stop - start, np.int64), count[part])
        up, along = np.divmod(place, of_right[part][which])
        begins = np.cumsum(count[part]) - count[part]
        yield part, begins, starts[left[part]][which] + up, starts[right[part]][which] + along


def cuts(counts: npt.NDArray[Any], most: int) -> list[tuple[int, int]]:
    """Slices of consecutive items with a sum of counts of at most `most`; an item of more has a slice of its own."""
    ends = np.cumsum(counts, dtype=np.int64)
    slices, start, done = list[tuple[int, int]](), 0, 0
    while start < len(counts):
        stop = max(int(np.searchsorted(ends, done + most, side="right")), start + 1)
        slices.append((start, stop))
        start, done = stop, int(ends[stop - 1])
    return slices


def refilled(pieces: Iterable[tuple[npt.NDArray[Any], ...]], size: int) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """The same rows of all columns, in pieces of `size` rows; the last one may have fewer."""
    held, n = list[tuple[npt.NDArray[Any], ...]](), 0
    for piece in pieces:
        held.append(piece)
        n += len(piece[0])
        if n >= size:
            columns = tuple(np.concatenate(parts) for parts in zip(*held, strict=True))
            whole = n - n % size
            for start in range(0, whole, size):
                yield tuple(column[start : start + size] for column in columns)
            held, n = [tuple(column[whole:] for column in columns)], n - whole
    if n:
        yield tuple(np.concatenate(parts) for parts in zip(*held, strict=True))
