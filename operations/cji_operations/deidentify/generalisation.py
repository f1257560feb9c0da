"""The search for the least loss at k: which step of each hierarchy a row takes, and which rows no combination helps.

Each quasi-identifier has steps of generalisation, and a combination names one for each of them. Rows that agree under a
combination are a class. The search is exact in each round: of all combinations it takes the one with the least loss,
where a row in a class of at least k loses what its steps lose, and every other row loses all. Of equal ones it takes
the one whose steps alone lose less, then the first. The rows in those classes are settled; a class keeps the first step
of each column at which its rows have one value, which costs nobody anything. The other rows go into the next round with
a combination of their own (local recoding, as in ARX), until none has a class of k. A class is whole in the round that
settles it, so every row ends among k at least. `people` counts a class: its rows, or the persons behind them; where a
class is of persons with all their rows, those of its rows that agree are what "a class keeps" speaks of.

The loss of a value is the share of the column's other values that it is merged with (V. S. Iyengar,
"Transforming Data to Satisfy Privacy Constraints", KDD 2002), in units of 1 / LOST: 0 where nothing is lost, LOST where
the value is gone.

A combination is passed over as soon as it cannot be the best: its steps alone lose too much, or in an earlier round,
with more rows, too few of them had a class of k.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_operations.deidentify.people import People

LOST: Final = 1 << 20
SUPPRESSED: Final = -1
_ROOM: Final = 1 << 62
_TABLE: Final = 8  # classes that a table may have for each group before they get new numbers

Small = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Column:
    """A quasi-identifier of m groups of rows under each of s steps.

    codes int32[s, m]: what a group's value becomes, below `sizes`[s]; loss int32[s, m]: what that loses.
    """

    codes: Small
    sizes: tuple[int, ...]
    loss: Small


def losses(codes: Small, gone: Bools, own: Ints) -> Small:
    """int32[s, m]: the loss of each group's value at each step.

    `codes` int32[s, m]: what a value becomes; `gone` bool[s, m]: it becomes nothing; `own` int64[m]: the value of each
    group, below the number of different values.
    """
    found = np.zeros(codes.shape, np.int32)
    values = int(own.max(initial=-1)) + 1
    first = np.zeros(values, np.int64)
    first[own] = np.arange(len(own))  # any group with the value
    for loss, code, lost in zip(found, codes, gone, strict=True):
        together = np.bincount(code[first], minlength=int(code.max(initial=-1)) + 1)
        loss[:] = (together[code] - 1) * LOST // max(values - 1, 1)
        loss[lost] = LOST
    return found


def search(columns: Sequence[Column], people: People, k: int) -> Ints:
    """int64[c, m]: the step that each group takes of each column; SUPPRESSED of all where it loses all."""
    rounds = _Rounds(columns, people, k)
    steps, left = np.full((len(columns), len(people.rows)), SUPPRESSED), np.arange(len(people.rows))
    while len(left):
        best, together = rounds.best(left)
        settled = together >= 0
        if not settled.any():
            break
        steps[:, left[settled]] = _finest(columns, best, left[settled], together[settled])
        left = left[~settled]
    return steps


def _finest(columns: Sequence[Column], best: Sequence[int], groups: Ints, together: Ints) -> Ints:
    """int64[c, g]: of each column the first step at which the class of a group, `together` int64[g], has one value."""
    order = np.argsort(together, kind="stable")
    starts = np.flatnonzero(np.diff(together[order], prepend=-1))
    which = np.empty(len(groups), np.int64)
    which[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(groups)))
    found = np.empty((len(columns), len(groups)), np.int64)
    for taken, column, step in zip(found, columns, best, strict=True):
        first = np.full(len(starts), step)
        for finer in reversed(range(step)):
            codes = column.codes[finer, groups[order]]
            first[np.minimum.reduceat(codes, starts) == np.maximum.reduceat(codes, starts)] = finer
        taken[:] = first[which]
    return found


class _Rounds:
    """The rounds of one search, each with fewer groups than the one before."""

    def __init__(self, columns: Sequence[Column], people: People, k: int) -> None:
        self._columns, self._people, self._rows, self._k = columns, people, people.rows, k
        self.combinations = list(product(*(range(len(column.sizes)) for column in columns)))
        self._most = np.full(
            len(self.combinations), int(people.rows.sum())
        )  # rows that may be in a class of k, by combination

    def best(self, left: Ints) -> tuple[tuple[int, ...], Ints]:
        """(the combination with the least loss for the groups `left`, int64[left]: their classes of k, -1 for none)."""
        weight = self._rows[left]
        n, all_lost = int(weight.sum()), len(self._columns) * LOST
        by_steps = [column.loss[:, left] @ weight for column in self._columns]
        alone = np.array(
            [sum(int(loss[s]) for loss, s in zip(by_steps, steps, strict=True)) for steps in self.combinations]
        )
        floors = np.maximum(alone, (n - np.minimum(self._most, n)) * all_lost)
        best, found = (n * all_lost, -1, 0), np.full(len(left), -1)
        for number in np.argsort(floors, kind="stable").tolist():
            if floors[number] > best[0] or floors[number] >= n * all_lost:
                break
            steps = self.combinations[number]
            together = self._classes(steps, left)
            settled = together >= 0
            self._most[number] = int(weight[settled].sum())
            loss = np.zeros(len(left), np.int64)
            for column, step in zip(self._columns, steps, strict=True):
                loss += column.loss[step, left]
            one = int(np.where(settled, loss, all_lost) @ weight), int(alone[number]), number
            if one < best:
                best, found = one, together
        return self.combinations[best[2]], found

    def _classes(self, steps: Sequence[int], left: Ints) -> Ints:
        """int64[left]: the class of each group under one combination, -1 where it has fewer than k persons."""
        together, size = np.zeros(len(left), np.int64), 1
        for column, step in zip(self._columns, steps, strict=True):
            if size > _ROOM // column.sizes[step]:
                together, size = np.unique(together, return_inverse=True)[1], len(left)
            together = together * column.sizes[step] + column.codes[step, left]
            size *= column.sizes[step]
        if size > _TABLE * len(left):
            together = np.unique(together, return_inverse=True)[1]
        return self._people.large(together, left, self._k)
