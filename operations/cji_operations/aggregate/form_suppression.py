"""Small numbers on the FBI's forms that must not be known, and those that hide them.

A sheet is one form of one agency and month. A number above 0 and below the threshold is withheld, and so is what it
would follow from: lines add up to the line of their class, and classes to the grand total. `d` is threshold - 1. A
withheld number that must be able to rise by d has a partner: another line of its sum that is withheld and can fall by
d, or the sum itself, withheld and rising by d, which then needs a partner in turn. A class that falls takes one of its
lines down with it. So every withheld number has a second value, d away, in a sheet that adds up and shows the same. The
cheapest partner is taken: withheld already, else the smallest number.

Two columns are parts of others and have no partners. Persons under 18 are among the clearances of the same line, and
the rapes of the historical definition among those of the present one. Such a column is withheld on a sheet as a whole,
but its zeros, if one of its numbers is small; and a line that falls stays above its part, and above 0.

Sheets do not add up to anything that is published.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_operations.aggregate.forms import FORMS, TOTAL, Form

_NEVER: Final = np.iinfo(np.int64).max
_HISTORICAL: Final = "rape_historical"
_PRESENT: Final = "return_a"


def withheld(printed: Sequence[tuple[Form, str]], columns: Ints, threshold: int) -> Bools:
    """bool[3, n, p]: the numbers to withhold of n months of agencies.

    columns int64[3, n, p]: actual offenses, clearances, those of persons under 18, on each of the `printed` lines.
    """
    found = np.zeros(columns.shape, np.bool_)
    if threshold == 1:
        return found
    place = {(form.name, line): at for at, (form, line) in enumerate(printed)}
    actual, cleared, young = columns[0], columns[1], columns[2]
    for form in FORMS:
        lines = [place[form.name, line] for line, _ in form.sums]
        if form.name == _HISTORICAL:
            found[0][:, lines] = _as_a_whole(actual[:, lines], threshold)
            continue
        parts = np.zeros_like(actual)
        if form.name == _PRESENT:
            for line, _ in next(each for each in FORMS if each.name == _HISTORICAL).sums:
                if line in dict(form.sums) and line != TOTAL:
                    parts[:, place[form.name, line]] = actual[:, place[_HISTORICAL, line]]
        names = {line: lines.index(place[form.name, line]) for line, _ in form.sums}
        found[0][:, lines] = _Sheets(form, names, actual[:, lines], parts[:, lines], threshold).hidden()
        found[1][:, lines] = _Sheets(form, names, cleared[:, lines], young[:, lines], threshold).hidden()
        found[2][:, lines] = _as_a_whole(young[:, lines], threshold)
    return found


def _as_a_whole(values: Ints, threshold: int) -> Bools:
    small = (values > 0) & (values < threshold)
    whole: Bools = small.any(axis=1, keepdims=True) & (values > 0)
    return whole


class _Sheets:
    """One column of n sheets of a form. values, parts int64[n, lines]; `names`: the position of each line."""

    def __init__(self, form: Form, names: Mapping[str, int], values: Ints, parts: Ints, threshold: int) -> None:
        self._values = values
        self._room = values - (threshold - 1) >= np.maximum(parts, 1)  # the number can fall by d
        self._needs = (values > 0) & (values < threshold)  # the number must be able to rise by d
        self._hidden = self._needs.copy()
        self._sums = [(names[total], [names[part] for part in parts]) for total, parts in form.tree]

    def hidden(self) -> Bools:
        """bool[n, lines]: the numbers to withhold."""
        below: dict[int, Sequence[int]] = {}
        for total, parts in self._sums:
            for part in parts:
                self._find_partner(part, total, [each for each in parts if each != part], below)
            below[total] = parts
        return self._hidden

    def _find_partner(self, line: int, total: int, others: Sequence[int], below: Mapping[int, Sequence[int]]) -> None:
        """Withhold a partner of `line` on every sheet where it needs one; `below`: the lines of each class."""
        costs, lines = list[Ints](), list[Ints]()
        for other in others:
            cost, lower = self._cost(other), np.full(len(self._values), other)
            cost[~self._room[:, other]] = _NEVER
            if other in below:
                cost, lower = self._falling(other, below[other])
            costs.append(cost)
            lines.append(lower)
        costs.append(self._cost(total))
        best = np.argmin(np.stack(costs), axis=0)
        sheets = np.flatnonzero(self._needs[:, line])
        rising = sheets[best[sheets] == len(others)]
        self._hidden[rising, total] = self._needs[rising, total] = True
        for at, (other, lower) in enumerate(zip(others, lines, strict=True)):
            falling = sheets[best[sheets] == at]
            self._hidden[falling, other] = True
            self._hidden[falling, lower[falling]] = True

    def _cost(self, line: int) -> Ints:
        return np.where(self._hidden[:, line], 0, self._values[:, line])

    def _falling(self, total: int, parts: Sequence[int]) -> tuple[Ints, Ints]:
        """(the cost of a class that falls, _NEVER where it cannot; the line that falls with it), int64[n] each."""
        costs = np.stack([np.where(self._room[:, part], self._cost(part), _NEVER) for part in parts])
        best = np.argmin(costs, axis=0)
        least = costs[best, np.arange(len(best))]
        cost = np.where((least < _NEVER) & self._room[:, total], least + self._cost(total), _NEVER)
        return cost, np.array(parts)[best]
