"""The level that every comparison of a pair has.

A level depends on values alone, so each pair of values is compared once: pairs of rows are reduced to distinct pairs of
values and the levels of those are gathered back. A comparison of several columns takes rows that agree in all of them
as one value. Values are compared with the lower code first, which makes every comparison symmetric.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels import edits, jaro, nicknames
from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.edits import Edit
from worker.compute.link.columns import Codes, Column, Table
from worker.compute.link.model import Comparison, Condition

__all__ = ["MISSING", "Comparer", "comparer", "levels"]

Levels = npt.NDArray[np.int8]

MISSING: Final = -1
_DENSE: Final = 4  # places for each value up to which a table of all that there can be is faster than sorting
_KERNEL: Final = 50_000  # pairs of values at once: what a kernel makes of them stays in the L2 cache


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Comparer:
    """A comparison over the rows of a table.

    value int32[n]: what a row has, -1 where something is missing; sample int64[k]: a row with each value.
    """

    comparison: Comparison
    columns: dict[str, Column]
    value: Codes
    sample: Ints

    def levels(self, left: Ints, right: Ints) -> Levels:
        """int8[p]: the level of each pair of rows, MISSING where a value is."""
        a, b = self.value[left].astype(np.int64), self.value[right].astype(np.int64)
        low, high = np.minimum(a, b), np.maximum(a, b)
        found = np.full(len(left), MISSING, np.int8)
        present = np.flatnonzero(low >= 0)
        k = len(self.sample)
        pair, which = _distinct(low[present] * k + high[present], k * k)
        of_pair = np.empty(len(pair), np.int8)
        for start in range(0, len(pair), _KERNEL):
            some = pair[start : start + _KERNEL]
            of_pair[start : start + _KERNEL] = self._decide(self.sample[some // k], self.sample[some % k])
        found[present] = of_pair[which]
        return found

    def _decide(self, left: Ints, right: Ints) -> Levels:
        """int8[p]: the first level whose conditions hold for these rows, whose values are all there."""
        level = np.full(len(left), len(self.comparison.levels) - 1, np.int8)
        open_ = np.arange(len(left))
        similarity: dict[str, npt.NDArray[np.float64]] = {}
        for number, one in enumerate(self.comparison.levels[:-1]):
            holds = np.ones(len(open_), np.bool_)
            for condition in one.conditions:
                column = self.columns[condition.column]
                a, b = column.code[left[open_]], column.code[right[open_]]
                if condition.test == "similar":
                    if condition.column not in similarity:
                        similarity[condition.column] = np.zeros(len(left))
                        similarity[condition.column][open_] = jaro.pairs(
                            column.words, column.words, a.astype(np.int64), b.astype(np.int64)
                        )
                    holds &= similarity[condition.column][open_] >= condition.number
                else:
                    holds &= _holds(condition, column, a, b)
            level[open_[holds]] = number
            open_ = open_[~holds]
        return level


def comparer(comparison: Comparison, table: Table) -> Comparer:
    """Bind a comparison to a table that has its columns."""
    columns = {name: table.columns[name] for name in comparison.columns}
    codes = [column.code for column in columns.values()]
    value = codes[0]
    for code in codes[1:]:
        joint = value.astype(np.int64) * (int(code.max(initial=0)) + 1) + code
        joint[(value < 0) | (code < 0)] = -1
        distinct, number = np.unique(joint, return_inverse=True)
        value = (number - int(distinct[:1].min(initial=0) < 0)).astype(np.int32)
    sample = np.zeros(int(value.max(initial=-1)) + 1, np.int64)
    rows = np.flatnonzero(value >= 0)[::-1]
    sample[value[rows]] = rows  # the first row that has the value
    return Comparer(comparison=comparison, columns=columns, value=value, sample=sample)


def levels(comparers: list[Comparer], left: Ints, right: Ints) -> Levels:
    """int8[c, p]: every comparison's level of each pair of rows."""
    return np.stack([one.levels(left, right) for one in comparers])


def _distinct(values: Ints, bound: int) -> tuple[Ints, Ints]:
    """(the distinct values, all from 0 to below `bound`, ascending; which of them each is)."""
    if bound > _DENSE * len(values):
        order = np.argsort(values)
        sorted_values = values[order]
        new = np.diff(sorted_values, prepend=-1) != 0
        which = np.empty(len(values), np.int64)
        which[order] = np.cumsum(new) - 1
        return sorted_values[new], which
    seen = np.zeros(bound, np.bool_)
    seen[values] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[values]


def _holds(condition: Condition, column: Column, a: Codes, b: Codes) -> Bools:
    """bool[p]: whether the condition holds for two values of the column, given by their codes."""
    found: Bools
    match condition.test:
        case "same":
            found = a == b
        case "sound":
            found = _equal(column.sounds, a, b)
        case "nickname":
            found = nicknames.related(column.roots[a], column.roots[b])
        case "prefix":
            places = column.digits[:, : int(condition.number)]
            found = (places[a] == places[b]).all(axis=1)
        case "date":
            found = edits.dates(column.digits[a], column.digits[b]).kind == Edit.SAME
        case "date_slip":
            found = edits.dates(column.digits[a], column.digits[b]).kind != Edit.OTHER
        case "year":
            found = _equal(column.years, a, b)
        case _:
            found = edits.one_edit(column.digits[a], column.digits[b]).kind != Edit.OTHER
    return found


def _equal(of_value: Ints, a: Codes, b: Codes) -> Bools:
    equal: Bools = (of_value[a] == of_value[b]) & (of_value[a] >= 0)
    return equal
