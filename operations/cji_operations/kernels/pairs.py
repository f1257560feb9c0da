"""Pairs of rows with equal keys: blocks, counted before any pair is made.

The rows of a block lie side by side, so the partners of a row are a range of positions. That holds for pairs within one
table, where a row meets those behind it, and for pairs across two tables, where it meets those of the other one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_operations.kernels.ranges import expand

_CACHED: Final = 1 << 17
"""Up to this number of rows, three passes over them take less time than one sort."""

Groups = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Blocks:
    """`m` rows in the order of their blocks, 12 bytes each, and the rows of each block, int64[b].

    rows, first, count int32[m]: the partners of rows[p] are rows[first[p] : first[p] + count[p]].
    """

    rows: Groups
    first: Groups
    count: Groups
    lengths: Ints

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return int(self.count.sum(dtype=np.int64))


def blocks(rows: Groups, lengths: Ints, second: Bools | None = None) -> Blocks:
    """Blocks of these lengths, int64[b], whose rows lie one after another; one without a pair is left out.

    rows int32[m], ascending in each block. second bool[m] marks the rows of the second of two tables, which come last:
    a pair has one row of each, the first table's first. Without it, a pair (i, j) has i < j.
    """
    ends = np.cumsum(lengths)
    end = np.repeat(ends, lengths)
    if second is None:
        first = np.arange(1, len(rows) + 1)
    else:
        block = np.repeat(np.arange(len(lengths)), lengths)
        of_first_table = np.bincount(block[~second], minlength=len(lengths))
        first = np.where(second, end, (ends - lengths + of_first_table)[block])
    count = end - first
    blocked = np.bincount(np.repeat(np.arange(len(lengths)), lengths), count, len(lengths)) > 0
    if blocked.all():
        return Blocks(rows=rows, first=first.astype(np.int32), count=count.astype(np.int32), lengths=lengths)
    paired = np.repeat(blocked, lengths)
    moved: Ints = np.cumsum(paired) - paired  # blocks stay or go as a whole, so a range stays a range
    kept = np.flatnonzero(paired)
    return Blocks(
        rows=rows[kept],
        first=(first[kept] - (kept - moved[kept])).astype(np.int32),
        count=count[kept].astype(np.int32),
        lengths=lengths[blocked],
    )


def grouped(codes: Sequence[Groups]) -> tuple[Groups, Ints]:
    """(int32[m] rows, int64[b] lengths): rows with equal codes side by side, ascending in each group.

    codes int32[n], one or more; a row with -1 in any is in no group. Codes are sorted as one number, where they fit.
    """
    n = len(codes[0])
    there = codes[0] >= 0
    for code in codes[1:]:
        there &= code >= 0
    rows = np.flatnonzero(there)
    row_bits = max(n - 1, 1).bit_length()
    joint, values = np.zeros(len(rows), np.uint64), 1
    for code in codes:
        k = int(code.max(initial=0)) + 1
        if values * k << row_bits >= 1 << 64:
            distinct, which = np.unique(joint, return_inverse=True)
            joint, values = which.astype(np.uint64), max(len(distinct), 1)
        joint = joint * np.uint64(k) + code[rows].astype(np.uint64)
        values *= k
    bits = (values - 1).bit_length()
    if bits <= (48 if len(rows) <= _CACHED else 32):
        order = _by_digits(joint, bits)
        joint = joint[order]
        starts = np.flatnonzero(np.diff(joint, prepend=np.uint64(0xFFFF_FFFF_FFFF_FFFF)))
        return rows[order].astype(np.int32), np.diff(starts, append=len(order))
    packed = np.sort((joint << np.uint64(row_bits)) | rows.astype(np.uint64))
    starts = np.flatnonzero(np.diff(packed >> np.uint64(row_bits), prepend=np.uint64(0xFFFF_FFFF_FFFF_FFFF)))
    found = (packed & np.uint64((1 << row_bits) - 1)).astype(np.int32)
    return found, np.diff(starts, append=len(found))


def _by_digits(numbers: npt.NDArray[np.uint64], bits: int) -> Ints:
    """int64[m]: the stable order of numbers below 2**bits.

    numpy sorts numbers of 16 bits by radix, in an eighth of the time of larger ones: so one digit of 16 bits after the
    other, the last one first.
    """
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, bits, 16):
        digit = (numbers >> np.uint64(shift)).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


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
