"""The level that every comparison of a pair has.

A level depends on values alone, so each pair of values is compared once: pairs of rows are reduced to distinct pairs of
values and the levels of those are gathered back. A comparison of several columns takes rows that agree in all of them
as one value. Values are compared with the lower code first, which makes every comparison symmetric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from cji_core.format.records.column import Bools, Ints
from cji_core.format.records.equal_rows import numbered
from cji_core.operations.link.model import Comparison, Condition, Test
from cji_operations.kernels import edits, jaro, name_parts, nicknames
from cji_operations.kernels.edits import Edit
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.one_off import one_off
from cji_operations.kernels.ranges import crossed
from cji_operations.link.column import Codes, Column
from cji_operations.link.columns import Table

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

MISSING: Final = -1
_LAST: Final = 1 << 7  # behind every level
_CHUNK: Final = 1 << 16  # pairs of rows at once: each step's arrays stay within the L2 cache
_SLOTS: Final = 18  # bits
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio (Knuth, TAOCP 3, section 6.4)
_KERNEL: Final = 50_000  # pairs of values at once: what a kernel makes of them stays in the L2 cache


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparer:
    """A comparison over the rows of a table.

    value int32[n]: what a row has, -1 where there is nothing to compare. Where columns are compared with each other,
    and not with themselves first, all values are one.
    codes int32[k] by column: its code in each value; or in each row, where pairs are compared `by_row`.
    `number` int32[n] by column, where columns are compared with each other: equal for values of any of them that are
    alike, -1 for none. `totals` uint64[n] by columns, where names are: equal for the same parts, 0 for less than two.
    `partial`: a row may have a value where one of its columns has none.
    """

    comparison: Comparison
    columns: dict[str, Column]
    value: Codes
    codes: dict[str, Codes]
    number: dict[str, Codes]
    totals: dict[tuple[str, ...], Hashes]
    partial: bool
    by_row: bool

    @cached_property
    def is_empty(self) -> bool:
        """No row has anything to compare, as no row of most tables has a suffix."""
        return not (self.value >= 0).any()

    def levels(self, left: Ints, right: Ints) -> Levels:
        """int8[p]: the level of each pair of rows, MISSING where a value is."""
        levels = self.comparison.levels
        if self.is_empty:
            return np.full(len(left), MISSING, np.int8)
        a, b = self.value[left], self.value[right]
        found = np.full(len(left), len(levels) - 1, np.int8)
        found[(a < 0) | (b < 0)] = MISSING
        if self.comparison.missing == "every":
            needed = [self.columns[name].code for name in self.comparison.needs or self.columns]
            found[np.all([(code[left] < 0) | (code[right] < 0) for code in needed], axis=0)] = MISSING
        unsettled = found != MISSING
        if not self.partial and all(condition.test == "same" for condition in levels[0].conditions):
            equal = (a == b) & unsettled
            found[equal] = 0
            if len(levels) == 2:
                return found
            unsettled &= ~equal
        rows = np.flatnonzero(unsettled)
        if self.by_row:  # names of two persons are hardly ever those of two others, and codes are compared at once
            found[rows] = self._decide(left[rows], right[rows])
            return found
        a, b = a[rows], b[rows]
        k = len(next(iter(self.codes.values())))
        pair, which = _reduced(np.minimum(a, b).astype(np.int64) * k + np.maximum(a, b))
        of_pair = np.empty(len(pair), np.int8)
        for start in range(0, len(pair), _KERNEL):
            some = pair[start : start + _KERNEL]
            of_pair[start : start + _KERNEL] = self._decide(some // k, some % k)
        found[rows] = of_pair[which]
        return found

    def _decide(self, left: Ints, right: Ints) -> Levels:
        """int8[p]: the first level whose conditions hold for these values or rows, which have something to compare."""
        level = np.full(len(left), len(self.comparison.levels) - 1, np.int8)
        open_ = np.arange(len(left))
        similarity: dict[str, Floats] = {}
        crossing: dict[tuple[str, ...], tuple[Bools, Bools]] = {}
        for number, one in enumerate(self.comparison.levels[:-1]):
            holds = open_
            for condition in one.conditions:
                if condition.other:
                    holds = holds[self._crossed(condition, left, right, crossing)[holds]]
                else:
                    holds = holds[self._condition(condition, left, right, holds, similarity)]
            level[holds] = number
            open_ = open_[level[open_] != number]
        return level

    def _condition(
        self, condition: Condition, left: Ints, right: Ints, open_: Ints, similarity: dict[str, Floats]
    ) -> Bools:
        """bool[o]: whether the condition holds for the open ones of these; `similarity` is kept between levels."""
        if self.partial:
            codes = [self.codes[name] for name in condition.columns]
            there = np.flatnonzero(np.all([(c[left[open_]] >= 0) & (c[right[open_]] >= 0) for c in codes], axis=0))
            found = np.zeros(len(open_), np.bool_)
            found[there] = self._holds(condition, left, right, open_[there], similarity)
            return found
        return self._holds(condition, left, right, open_, similarity)

    def _holds(
        self, condition: Condition, left: Ints, right: Ints, open_: Ints, similarity: dict[str, Floats]
    ) -> Bools:
        column, code = self.columns[condition.column], self.codes[condition.column]
        a, b = code[left[open_]], code[right[open_]]
        if condition.test not in {"jaro_winkler", "unlike"}:
            return _holds(condition, column, a, b)
        if condition.column not in similarity:
            similarity[condition.column] = np.full(len(left), np.nan)
        known = similarity[condition.column]
        new = np.flatnonzero(np.isnan(known[open_]))
        if len(new):
            words = column.letters
            known[open_[new]] = jaro.pairs(words, words, a[new].astype(np.int64), b[new].astype(np.int64))
        found: Bools = known[open_] >= condition.number
        if condition.test == "unlike":
            named = (replace(condition, test=test, number=0.0) for test in ("nickname", "part"))
            found = ~np.any([found, *(_holds(one, column, a, b) for one in named)], axis=0)
        return found

    def _crossed(
        self, condition: Condition, left: Ints, right: Ints, crossing: dict[tuple[str, ...], tuple[Bools, Bools]]
    ) -> Bools:
        """bool[p]: values of one column are those of another one in the other record, both ways or one way.

        Where the records agree in a column, that column's own comparison counts it: FRANK FRANK exchanges nothing.
        `crossing` is kept between levels.
        """
        columns = condition.columns
        if condition.test == "rearranged":
            total = self.totals[columns][left]
            found: Bools = (total != 0) & (total == self.totals[columns][right])
            some = np.flatnonzero(found)
            found[some] = np.any([number[left[some]] != number[right[some]] for number in self._of(columns)], axis=0)
            return found
        if columns not in crossing:
            value, other = self._of(columns)
            of_left, of_right, other_left, other_right = value[left], value[right], other[left], other[right]
            differ = (of_left != of_right) & (other_left != other_right)
            crossing[columns] = (
                differ & (of_left == other_right) & (of_left >= 0),
                differ & (of_right == other_left) & (of_right >= 0),
            )
        there, back = crossing[columns]
        return there & back if condition.test == "exchanged" else there | back

    def _of(self, columns: tuple[str, ...]) -> list[Codes]:
        return [self.number[name] for name in columns]


def comparer(comparison: Comparison, table: Table) -> Comparer:
    """Bind a comparison to a table that has its columns."""
    columns = {name: table.columns[name] for name in comparison.columns}
    needed = [columns[name] for name in comparison.needs or columns]
    crossed = any(condition.other for level in comparison.levels for condition in level.conditions)
    codes = {name: column.code for name, column in columns.items()}
    by_row = crossed or (comparison.missing == "never" and len(columns) > 2)
    told_apart = not by_row or (
        crossed and all(condition.test == "same" for condition in comparison.levels[0].conditions)
    )
    value = _value(list(codes.values())) if told_apart else np.zeros(table.n, np.int32)
    alone = len(columns) == 1 and comparison.missing != "never"  # its values are those of its column
    absent = [] if alone else [column.code < 0 for column in needed]
    match comparison.missing:
        case "any" | "every" if alone:
            pass
        case "any":
            value[np.any(absent, axis=0)] = -1
        case "every":
            value[np.all(absent, axis=0)] = -1
        case "no_day":
            missing = np.any([np.append(column.days, -1)[column.code] < 0 for column in needed], axis=0)
            value = np.where(missing, np.int32(-1), value)
        case _ if told_apart:  # no value is a value
            value = _value([value, value])
        case _:
            pass
    if alone:
        codes = {name: np.arange(len(column.words), dtype=np.int32) for name, column in columns.items()}
    elif not by_row:
        sample = np.zeros(int(value.max(initial=-1)) + 1, np.int64)
        rows = np.flatnonzero(value >= 0)
        sample[value[rows]] = rows  # some row that has the value
        codes = {name: code[sample] for name, code in codes.items()}
    return Comparer(
        comparison=comparison,
        columns=columns,
        value=value,
        codes=codes,
        number=_numbers(columns) if crossed else {},
        totals=_totals(comparison, columns),
        by_row=by_row,
        partial=comparison.missing in {"every", "never"} or len(needed) < len(columns),
    )


def _value(codes: Sequence[Codes]) -> Codes:
    """int32[n]: equal for rows that agree in all columns, no value being a value; of one column, its code."""
    value = codes[0]
    for code in codes[1:]:
        joint = (value.astype(np.int64) + 1) * (int(code.max(initial=0)) + 2) + (code + 1)
        value = np.unique(joint, return_inverse=True)[1].astype(np.int32)
    return value


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Best(Comparer):
    """A comparison over units of several rows: two have the best level of any row of one and any of the other.

    rows int64[f], starts int64[u + 1]: of each unit, a row for each of its values; those without are left out where
    there are others. Of pairs of rows at the best level, the one whose values are rarest is taken.
    """

    rows: Ints
    starts: Ints

    def levels(self, left: Ints, right: Ints) -> Levels:
        """int8[p]: the level of each pair of units."""
        return self.best(left, right)[0]

    def best(self, left: Ints, right: Ints) -> tuple[Levels, Ints, Ints]:
        """(int8[p] the level of each pair of units, int64[p] and int64[p]: the rows that have it)."""
        found = np.empty(len(left), np.int8)
        of_left, of_right = np.empty(len(left), np.int64), np.empty(len(left), np.int64)
        name = next((one.tf_adjustment_column for one in self.comparison.levels if one.tf_adjustment_column), "")
        for part, starts, one, other in crossed(self.starts, left, right):
            a, b = self.rows[one], self.rows[other]
            level = Comparer.levels(self, a, b)
            order = np.where(level == MISSING, _LAST, level.astype(np.int64)) << 32
            if name:
                column = self.columns[name]
                counts = np.append(column.counts, 0)
                order += np.maximum(counts[column.code[a]], counts[column.code[b]])
            least = np.repeat(np.minimum.reduceat(order, starts), np.diff(starts, append=len(order)))
            first = np.flatnonzero(order == least)
            first = first[np.searchsorted(first, starts)]
            found[part], of_left[part], of_right[part] = level[first], a[first], b[first]
        return found, of_left, of_right


def bound_to(comparison: Comparison, table: Table) -> Comparer:
    """`comparer` over the units of a table."""
    one = comparer(comparison, table)
    if table.unit is None:
        return one
    value = np.arange(table.n) if one.number else one.value.astype(np.int64)
    order = np.lexsort((np.arange(table.n), value, table.unit))
    unit, value = table.unit[order], value[order]
    kept = np.ones(table.n, np.bool_)
    kept[1:] = (unit[1:] != unit[:-1]) | (value[1:] != value[:-1])
    there = np.logical_or.reduceat(value >= 0, table.starts[:-1])
    kept &= (value >= 0) | ~there[unit]
    rows = np.flatnonzero(kept)
    starts = np.append(np.flatnonzero(np.diff(unit[rows], prepend=-1)), len(rows))
    of_one = {field.name: getattr(one, field.name) for field in fields(one)}
    return Best(**of_one, rows=order[rows], starts=starts)


def best(comparers: Sequence[Comparer], left: Ints, right: Ints) -> tuple[Levels, list[tuple[Ints, Ints]]]:
    """(int8[c, p]: every comparison's level of each pair of units; of each comparison, the rows that have it)."""
    found, rows = np.empty((len(comparers), len(left)), np.int8), list[tuple[Ints, Ints]]()
    for row, one in zip(found, comparers, strict=True):
        if isinstance(one, Best):
            row[:], *chosen = one.best(left, right)
            rows.append((chosen[0], chosen[1]))
        else:
            row[:] = one.levels(left, right)
            rows.append((left, right))
    _settle(comparers, found)
    return found, rows


def _numbers(columns: Mapping[str, Column]) -> dict[str, Codes]:
    """int32[n] by column: equal for values of any of the columns that are alike, -1 for none."""
    words = [column.plain.data for column in columns.values()]
    width = max(data.shape[1] for data in words)
    number = numbered(np.vstack([np.pad(data, ((0, 0), (0, width - data.shape[1]))) for data in words]))
    of_value = np.split(number, np.cumsum([len(data) for data in words[:-1]]))
    return {
        name: np.append(one, -1).astype(np.int32)[column.code]
        for (name, column), one in zip(columns.items(), of_value, strict=True)
    }


def _totals(comparison: Comparison, columns: Mapping[str, Column]) -> dict[tuple[str, ...], Hashes]:
    """uint64[n] by columns whose names may be rearranged: see `Comparer`."""
    found = dict[tuple[str, ...], Hashes]()
    for condition in (condition for level in comparison.levels for condition in level.conditions):
        if condition.test == "rearranged":
            named = [columns[name] for name in condition.columns]
            total = sum(np.append(one.part_totals, np.uint64(0))[one.code] for one in named)
            several = sum(np.append(one.part_counts, 0)[one.code] for one in named) > 1
            found[condition.columns] = np.where(several, total, np.uint64(0))
    return found


def levels(comparers: Sequence[Comparer], left: Ints, right: Ints) -> Levels:
    """int8[c, p]: every comparison's level of each pair of units."""
    found = np.empty((len(comparers), len(left)), np.int8)
    for start in range(0, len(left), _CHUNK):
        part = slice(start, start + _CHUNK)
        for row, one in zip(found, comparers, strict=True):
            row[part] = one.levels(left[part], right[part])
    _settle(comparers, found)
    return found


def _settle(comparers: Sequence[Comparer], found: Levels) -> None:
    """Take what other levels have settled as missing."""
    names = [one.comparison.name for one in comparers]
    for row, one in zip(found, comparers, strict=True):
        for number, level in enumerate(one.comparison.levels):
            for settled in level.settles:
                found[names.index(settled), row == number] = MISSING


def _reduced(values: Ints) -> tuple[Ints, Ints]:
    """(values that have each of `values` at least once, int64[n]: which of them each is).

    Every value has a slot, which the last one to come takes; what finds another value in its slot stands for itself.
    So some values may be there twice, but nothing has to be sorted.
    """
    slot = ((values.view(np.uint64) * _SPREAD) >> np.uint64(64 - _SLOTS)).astype(np.int64)
    numbers = np.arange(len(values))
    taken = np.empty(1 << _SLOTS, np.int64)
    taken[slot] = numbers
    by = taken[slot]
    by = np.where(values[by] == values, by, numbers)
    kept = np.flatnonzero(by == numbers)
    position = np.empty(len(values), np.int64)
    position[kept] = np.arange(len(kept))
    return values[kept], position[by]


def _holds(condition: Condition, column: Column, a: Codes, b: Codes) -> Bools:
    """bool[p]: whether the condition holds for two values of the column, given by their codes."""
    if condition.test in _OF_NAMES and not column.has_parts.any():
        return a == b if column.plain is column.words else _equal(column.alike, a, b)
    if condition.test in _OF_VALUES:
        return _equal(_OF_VALUES[condition.test](column), a, b)
    found: Bools
    match condition.test:
        case "same":
            found = a == b
        case "part":
            found = np.zeros(len(a), np.bool_)
            some = np.flatnonzero(column.has_parts[a] | column.has_parts[b])
            found[some] = name_parts.contained(column.name_parts, a[some], b[some])
        case "nickname":
            found = nicknames.related(column.roots[a], column.roots[b])
        case "prefix":
            prefix = column.letters.data[:, : int(condition.number)]
            found = (prefix[a] == prefix[b]).all(axis=1)
        case "date":
            found = edits.dates(column.digits[a], column.digits[b]).kind == Edit.SAME
        case "date_slip":
            found = edits.dates(column.digits[a], column.digits[b]).kind != Edit.OTHER
        case "days":
            of_a, of_b = column.days[a], column.days[b]
            found = (of_a >= 0) & (of_b >= 0) & (np.abs(of_a - of_b) <= condition.number)
        case "years_apart":
            of_a, of_b = column.year_numbers[a], column.year_numbers[b]
            found = (of_a > 0) & (of_b > 0) & (np.abs(of_a - of_b) >= condition.number)
        case "levenshtein" | "damerau_levenshtein":
            transpositions = condition.test == "damerau_levenshtein"
            found = one_off(column.spelt, column.spelt, a, b, transpositions=transpositions)
        case _:
            found = edits.one_edit(column.digits[a], column.digits[b]).kind != Edit.OTHER
    return found


def _equal(of_value: Ints | Hashes, a: Codes, b: Codes) -> Bools:
    of_a = of_value[a]
    equal: Bools = (of_a == of_value[b]) & (of_a >= 0)
    return equal


_OF_NAMES: Final = frozenset(("alike", "parts", "part"))
"""Tests that are one where no value has several parts."""
_OF_VALUES: Final[dict[Test, Callable[[Column], Ints | Hashes]]] = {
    "alike": lambda column: column.alike,
    "parts": lambda column: column.part_totals,
    "soundex": lambda column: column.sounds,
    "year": lambda column: column.years,
    "year_month": lambda column: column.months,
}
"""Tests of equal numbers that values have, negative ones aside."""
