"""Pairs of units as pairs of records: one unit stands for many equal records, and pairs of these are listed.

Of two units with more than MOST pairs of records, only the pairs with the first record of one of them are listed: of n
equal records so many pairs, and not their square. So it is with all units where a job would list more than MOST_LISTED.
So every record of both is listed with one of the other unit at least.
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_operations.kernels.ranges import expand
from cji_operations.link.score import Pairs, gather
from cji_operations.link.units import Units

MOST: Final = 1_000
MOST_LISTED: Final = 20_000_000


def of_records(pairs: Pairs, units: Units, most: int = MOST, *, fewer: bool | None = None) -> Pairs:
    """The pairs of records, by their first rows, in order; `pairs` are of units, in order.

    `fewer`: the job would list more than MOST_LISTED; None to find out, where these are all its pairs.
    Two records of one unit weigh what the unit weighs with an equal one.
    """
    copies = units.copies
    if (copies == 1).all():
        return _placed(pairs, units.first[pairs.left], units.first[pairs.right]) if len(units.row) else pairs
    pairs = _with_own(pairs, units)
    left, right = copies[pairs.left], copies[pairs.right]
    itself = pairs.left == pairs.right
    if fewer is None:
        fewer = int(looked_at(left, right, itself, most).sum()) > MOST_LISTED
    which, one, other = places(left, right, itself, 1 if fewer else most)
    start, rows = units.records()
    some = pairs.some(which)
    found = _placed(some, rows[start[some.left] + one], rows[start[some.right] + other])
    return found.some(np.argsort((found.left.astype(np.int64) << 32) | found.right))


def looked_at(left: Ints, right: Ints, itself: Bools, most: int = MOST) -> Ints:
    """int64[p]: the pairs of records that are looked at of each pair of units with so many records each.

    itself bool[p]: both are one unit, whose records are listed with the equal one where they are too many.
    """
    few = np.where(itself, 0, left + right - 1)
    found: Ints = np.where(left * right <= most, left * right, few)
    return found


def listed(left: Ints, right: Ints, itself: Bools, most: int = MOST) -> Ints:
    """int64[p]: how many pairs of records are listed of each pair of units; `places` gives them."""
    whole = left * right <= most
    found: Ints = np.where(itself & whole, left * (left - 1) // 2, looked_at(left, right, itself, most))
    return found


def places(left: Ints, right: Ints, itself: Bools, most: int) -> tuple[Ints, Ints, Ints]:
    """(int64[m] pair of units, a record of its left one, a record of its right one): what is listed."""
    which, place = expand(np.zeros(len(left), np.int64), looked_at(left, right, itself, most))
    of_right, whole = right[which], (left * right <= most)[which]
    one, other = np.divmod(place, of_right)
    behind = np.flatnonzero(~whole & (place >= of_right))  # first that of the first with all, then all with it
    one[behind], other[behind] = place[behind] - of_right[behind] + 1, 0
    kept = np.flatnonzero(~itself[which] | (one < other))
    return which[kept], one[kept], other[kept]


def _with_own(pairs: Pairs, units: Units) -> Pairs:
    """And a pair of each unit that stands for several records with itself."""
    unit, twin = units.twins
    equal = np.full(len(units.first), -1)
    equal[unit] = twin
    own = np.flatnonzero((equal[pairs.left] == pairs.right) | (equal[pairs.right] == pairs.left))
    heavy = np.where(equal[pairs.left[own]] == pairs.right[own], pairs.left[own], pairs.right[own])
    itself = Pairs(left=heavy, right=heavy, pattern=pairs.pattern[own], weight=pairs.weight[own])
    return gather((pairs, itself))


def _placed(pairs: Pairs, left: Ints, right: Ints) -> Pairs:
    """In the place of each pair one of these rows, the lower one first."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    return Pairs(left=low.astype(np.int32), right=high.astype(np.int32), pattern=pairs.pattern, weight=pairs.weight)
