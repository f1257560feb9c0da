"""Pairs of rows with equal keys: blocks, counted before any pair is made.

The rows of a block lie side by side, so the partners of a row are a range of positions. That holds for pairs within one
table, where a row meets those behind it, and for pairs across two tables, where it meets those of the other one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.ranges import expand

Groups = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Blocks:
    """`m` rows in the order of their blocks, 12 bytes each.

    rows, first, count int32[m]: the partners of rows[p] are rows[first[p] : first[p] + count[p]].
    """

    rows: Groups
    first: Groups
    count: Groups

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return int(self.count.sum(dtype=np.int64))


def blocks(group: Groups, second: Bools | None = None) -> Blocks:
    """The blocks of rows with equal group[i] from 0 on; -1 is in no block, and neither is a row without a partner.

    group int32[n]. second bool[n] marks the rows of the second of two tables: a pair has one row of each, the first
    table's first. Without it, a pair (i, j) has i < j.
    """
    usable = np.flatnonzero(group >= 0)
    key = group[usable].astype(np.int64)
    if second is not None:
        key = 2 * key + second[usable]
    order = usable[np.argsort(key, kind="stable")]
    sorted_group = group[order]
    starts = np.flatnonzero(np.diff(sorted_group, prepend=-1))
    lengths = np.diff(starts, append=len(order))
    end = np.repeat(starts + lengths, lengths)
    position = np.arange(len(order))
    if second is None:
        first = position + 1
    else:
        of_second = second[order]
        block = np.repeat(np.arange(len(starts)), lengths)
        of_first_table = np.bincount(block[~of_second], minlength=len(starts))
        first = np.where(of_second, end, (starts + of_first_table)[block])
    count = end - first
    paired = np.repeat(np.bincount(np.repeat(np.arange(len(starts)), lengths), count, len(starts)) > 0, lengths)
    moved: Ints = np.cumsum(paired) - paired  # blocks stay or go as a whole, so a range stays a range
    kept = np.flatnonzero(paired)
    return Blocks(
        rows=order[kept].astype(np.int32),
        first=(first[kept] - (kept - moved[kept])).astype(np.int32),
        count=count[kept].astype(np.int32),
    )


def pairs_of(found: Blocks, start: int, stop: int) -> tuple[Ints, Ints]:
    """(int64[k] left, int64[k] right): all pairs of the positions `start` to `stop` - 1, in order."""
    which, partner = expand(found.first[start:stop], found.count[start:stop])
    return found.rows[start:stop][which].astype(np.int64), found.rows[partner].astype(np.int64)


def pairs_at(found: Blocks, numbers: Ints) -> tuple[Ints, Ints]:
    """(int64[k] left, int64[k] right): the pairs of these numbers, of all pairs in order."""
    ends = np.cumsum(found.count, dtype=np.int64)
    position = np.searchsorted(ends, numbers, side="right")
    before = ends[position] - found.count[position]
    partner = found.first[position] + numbers - before
    return found.rows[position].astype(np.int64), found.rows[partner].astype(np.int64)
