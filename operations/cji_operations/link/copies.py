"""Pairs of units as pairs of records: one unit stands for many equal records, and pairs of these are listed.

Of two units with more than MOST pairs of records, only the pairs with the first record of one of them are listed: of n
equal records so many pairs, and not their square. So it is with all units where a job would list more than MOST_LISTED.
So every record of both is listed with one of the other unit at least.
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Ints
from cji_operations.kernels.ranges import expand
from cji_operations.link.score import Pairs, gather
from cji_operations.link.units import Units

MOST: Final = 1_000
MOST_LISTED: Final = 20_000_000


def of_records(pairs: Pairs, units: Units, most: int = MOST) -> Pairs:
    """The pairs of records, by their first rows, in order; `pairs` are of units, in order.

    Two records of one unit weigh what the unit weighs with an equal one.
    """
    copies = units.copies
    if (copies == 1).all():
        return _placed(pairs, units.first[pairs.left], units.first[pairs.right]) if len(units.row) else pairs
    pairs = _with_own(pairs, units)
    left, right = copies[pairs.left], copies[pairs.right]
    itself = pairs.left == pairs.right
    whole = left * right <= most
    few = np.where(itself, 0, left + right - 1)  # of one unit, they are listed with the equal one
    if int(np.where(whole, left * right, few).sum()) > MOST_LISTED:
        whole = left * right == 1
    which, place = expand(np.zeros(len(pairs), np.int64), np.where(whole, left * right, few))
    of_right = right[which]
    one, other = np.divmod(place, of_right)
    behind = np.flatnonzero(~whole[which] & (place >= of_right))  # first that of the first with all, then all with it
    one[behind], other[behind] = place[behind] - of_right[behind] + 1, 0
    kept = np.flatnonzero(~itself[which] | (one < other))
    which, one, other = which[kept], one[kept], other[kept]
    start, rows = units.records()
    some = pairs.some(which)
    found = _placed(some, rows[start[some.left] + one], rows[start[some.right] + other])
    return found.some(np.argsort((found.left.astype(np.int64) << 32) | found.right))


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
