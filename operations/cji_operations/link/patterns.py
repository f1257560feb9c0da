"""Patterns of agreement: the levels of all comparisons of a pair in one number, and how many pairs have each.

Counts are whole numbers and patterns are in order, so a table of patterns is the same however its pairs were divided.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.model import Comparison
from cji_operations.kernels.ranges import refilled
from cji_operations.link.comparison import Comparer, levels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Radix:
    """How many levels each comparison has, and one more for a missing value, as int64[c]."""

    digits: Ints

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> "Radix":
        """Of these comparisons; their product is below 2**62."""
        return cls(digits=np.array([len(one.levels) + 1 for one in comparisons], np.int64))

    def numbers(self, found: npt.NDArray[np.int8]) -> Ints:
        """int64[p]: the patterns of levels int8[c, p], -1 where a value is missing."""
        number = np.zeros(found.shape[1], np.int64)
        for column, digits in zip(found, self.digits, strict=True):
            number *= digits
            number += column
            number += 1
        return number

    def levels(self, patterns: Ints) -> npt.NDArray[np.int8]:
        """int8[k, c]: the level of each comparison in these patterns, -1 where a value is missing."""
        found = np.empty((len(patterns), len(self.digits)), np.int8)
        rest = patterns.copy()
        for position in reversed(range(len(self.digits))):
            rest, digit = np.divmod(rest, self.digits[position])
            found[:, position] = digit - 1
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Patterns:
    """Distinct patterns int64[k], ascending; int64[k]: how many pairs have each, and how many of these are `first`.

    A pair is first under a rule if no earlier rule has it.
    """

    number: Ints
    counts: Ints
    first: Ints

    @property
    def pairs(self) -> int:
        """All pairs."""
        return int(self.counts.sum())


CHUNK: Final = 1 << 16  # pairs of rows at once
NONE: Final = Patterns(number=np.empty(0, np.int64), counts=np.empty(0, np.int64), first=np.empty(0, np.int64))


def merged(found: Iterable[Patterns]) -> Patterns:
    """The patterns of all of them."""
    every = [NONE, *found]
    number, which = np.unique(np.concatenate([one.number for one in every]), return_inverse=True)
    return Patterns(
        number=number,
        counts=_added(which, [one.counts for one in every], len(number)),
        first=_added(which, [one.first for one in every], len(number)),
    )


def compared(
    comparers: Sequence[Comparer], pairs: Iterable[tuple[int, Ints, Ints, Bools | None, Ints | None]], radix: Radix
) -> dict[int, Patterns]:
    """The patterns of pairs of rows, by their source: chunks of source, left, right, are they first, and their weights.

    Sources come one after the other. None: all are first, and each counts for one.
    """
    found = dict[int, list[Patterns]]()
    for source, left, right, first, weight in refilled(map(_columns, pairs), CHUNK):
        both = 2 * radix.numbers(levels(comparers, left, right)) + first
        starts = np.flatnonzero(np.diff(source, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(source)]):
            found.setdefault(int(source[start]), []).append(_counted(both[start:stop], weight[start:stop]))
    return {source: merged(parts) for source, parts in found.items()}


def _columns(pairs: tuple[int, Ints, Ints, Bools | None, Ints | None]) -> tuple[Ints, Ints, Ints, Bools, Ints]:
    source, left, right, first, weight = pairs
    n = len(left)
    return (
        np.full(n, source),
        left,
        right,
        np.ones(n, np.bool_) if first is None else first,
        np.ones(n, np.int64) if weight is None else weight,
    )


def _counted(both: Ints, weight: Ints) -> Patterns:
    """The patterns of pairs, each given as twice its number, and one more if it is first."""
    order = np.argsort(both)
    both = both[order]
    starts = np.flatnonzero(np.diff(both, prepend=-1))
    counts = np.add.reduceat(weight[order], starts)
    both = both[starts]
    return merged([Patterns(number=both >> 1, counts=counts, first=counts * (both & 1))])


def _added(which: Ints, parts: Sequence[Ints], k: int) -> Ints:
    total = np.zeros(k, np.int64)
    np.add.at(total, which, np.concatenate(parts))
    return total
