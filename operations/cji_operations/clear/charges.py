"""Charges: which rows are parts of one, of which kind their dispositions are, and of which level the offense.

A charge is the unit that a table decides on and counts. Rows with one subject, one count and one kind of disposition
are parts of one charge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.clear.rules import Level, Rules
from cji_core.operations.clear.when import ARREST, LIFE, LIFELONG, Punishable, days_of
from cji_operations.clear.sentences import read_lengths
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth, truth
from cji_operations.kernels.distinct import codes
from cji_operations.kernels.strings import folded, trimmed

NO_KIND: Final = -1
"""Of a row without a disposition, which is not a charge."""
UNLISTED: Final = -2
"""Of a disposition that the table does not list, and of an arrest of an unknown cycle."""


class Names:
    """A column of few distinct texts: ASCII case and outer blanks make no difference."""

    def __init__(self, array: pa.Array) -> None:
        encoded = pc.dictionary_encode(array, null_encoding="encode")
        self._code = arrow.numbers(encoded.indices)
        self._names = trimmed(folded(encoded.dictionary))
        self._filled = read(self._names).filled

    @property
    def filled(self) -> Bools:
        """bool[n]: there is a text."""
        found: Bools = self._filled[self._code]
        return found

    def begins(self, words: Sequence[str]) -> Truth:
        """Truth[n]: the text begins with one of these words; unknown where there is none."""
        found = np.zeros(len(self._names), np.bool_)
        for word in words:
            found |= self._begins(word)
        of_row: Truth = truth(found, self._filled)[self._code]
        return of_row

    def longest(self, words: Sequence[str]) -> tuple[Ints, Bools]:
        """(int64[n] the position of the longest of `words` that the text begins with, or -1; bool[n] filled)."""
        found = np.full(len(self._names), -1)
        for position in sorted(range(len(words)), key=lambda i: len(words[i])):
            found[self._begins(words[position])] = position
        return found[self._code], self.filled

    def position(self, words: Sequence[str]) -> tuple[Ints, Bools]:
        """(int64[n] the position of the text in `words`, or -1; bool[n] filled)."""
        wanted = pa.array([word.upper().encode() for word in words], pa.binary())
        position = arrow.numbers(pc.index_in(self._names, value_set=wanted).fill_null(-1)).astype(np.int64)
        return position[self._code], self.filled

    def marked(self, words: Sequence[str]) -> Truth:
        """Truth[n]: one of these words is in the text, whose words are separated by semicolons, commas or blanks."""
        found = np.zeros(len(self._names), np.bool_)
        for word in words:
            pattern = rf"(?:^|[;,\s]){_escaped(word)}(?:$|[;,\s])"
            found |= arrow.bools(pc.match_substring_regex(self._names, pattern).fill_null(False))
        of_row: Truth = truth(found, self._filled)[self._code]
        return of_row

    def _begins(self, word: str) -> Bools:
        return arrow.bools(pc.starts_with(self._names, word.upper()).fill_null(False))


def _escaped(word: str) -> str:
    return "".join(each if each.isalnum() else rf"\x{ord(each):02x}" for each in word.upper())


# ---------------------------------------------------------------- kinds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Kinds:
    """The kind of each of n rows, int64[n]: a position in `names`, NO_KIND or UNLISTED.

    unlisted bool[n]: there is a disposition that the table does not list.
    """

    of_row: Ints
    names: tuple[str, ...]
    unlisted: Bools

    @classmethod
    def of(cls, rules: Rules, dispositions: Names, *, event: Names, subject: Ints, cycle: pa.Array) -> "Kinds":
        """The kinds by disposition; ARREST where the table looks at arrests without one."""
        words = [(word, kind) for kind, texts in rules.dispositions.items() for word in texts]
        names = (*rules.dispositions, ARREST)
        at, filled = dispositions.longest([word for word, _ in words])
        kind_of = np.array([names.index(kind) for _, kind in words], np.int64)
        unlisted = filled & (at < 0)
        of_row = np.where(at >= 0, kind_of[at], np.where(unlisted, UNLISTED, NO_KIND))
        if rules.unlisted == "no_conviction":
            of_row[unlisted] = NO_KIND
            unlisted = np.zeros_like(unlisted)
        if ARREST in rules.kinds():
            _arrests(of_row, filled, event=event, subject=subject, cycle=cycle, kind=len(names) - 1)
        return cls(of_row=of_row, names=names, unlisted=unlisted)

    def at(self, rows: Ints) -> "Kinds":
        """Those of some rows."""
        return Kinds(of_row=self.of_row[rows], names=self.names, unlisted=self.unlisted[rows])

    def among(self, kinds: Sequence[str]) -> Truth:
        """Truth[n]: the rows are of one of these kinds."""
        known = [YES if name in kinds else NO for name in self.names]
        found: Truth = np.array([*known, UNKNOWN, NO], np.int8)[self.of_row]  # UNLISTED is -2, NO_KIND -1
        return found

    def charges(self, kinds: frozenset[str]) -> Bools:
        """bool[n]: the row is of a charge of one of these kinds, or may be one."""
        found: Bools = self.among(tuple(kinds)) != NO
        return found


def _arrests(of_row: Ints, filled: Bools, *, event: Names, subject: Ints, cycle: pa.Array, kind: int) -> None:
    """Give arrests that nothing in their cycle answers their kind; those of no known cycle may be answered."""
    code, distinct = codes(cycle)
    key = subject * max(distinct, 1) + code
    arrests = ~filled & (event.begins(("ARREST",)) == YES)
    answered = np.isin(key, key[filled])
    of_row[arrests] = np.where(read(cycle).filled, np.where(answered, NO_KIND, kind), UNLISTED)[arrests]


def charges(subject: Ints, k: int, rows: Ints, kind: Ints, count: pa.Array) -> tuple[Ints, Ints]:
    """(int64[c] the first row of each charge, int64[rows] the charge that each belongs to).

    `kind` int64[rows] and `count` are those of the charged rows.
    """
    code, distinct = codes(count)
    alone = ~read(count).filled | (subject[rows] == k)
    distinct = max(distinct, 1)
    kinds = int(kind.max(initial=0)) + 3
    own = np.int64(k + 1) * distinct * kinds + np.arange(len(rows))
    key = np.where(alone, own, (subject[rows] * distinct + code) * kinds + kind + 2)
    _, first, charge = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    return rows[first[order]], place[charge]


# ---------------------------------------------------------------- maximum penalties and levels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Penalties:
    """The maximum penalty of n rows in days, int64[n], LIFELONG for life; known, wrong bool[n]."""

    days: Ints
    known: Bools
    wrong: Bools

    @classmethod
    def of(cls, array: pa.Array) -> "Penalties":
        """From a `binary` column."""
        if array.null_count == len(array):
            none = np.zeros(len(array), np.bool_)
            return cls(days=np.zeros(len(array), np.int64), known=none, wrong=none)
        lengths = read_lengths(array)
        life, _ = Names(array).position((LIFE,))
        years, months = np.divmod(lengths.months, 12)
        days = np.where(life == 0, LIFELONG, 365 * years + 30 * months + lengths.days)
        return cls(days=days, known=lengths.known | (life == 0), wrong=lengths.wrong & (life < 0))

    def at(self, rows: Ints) -> "Penalties":
        """Those of some rows."""
        return Penalties(days=self.days[rows], known=self.known[rows], wrong=self.wrong[rows])

    def or_those_of(self, levels: tuple[Level, ...], of_row: npt.NDArray[np.int8]) -> "Penalties":
        """With the penalties of their levels, for rows without one of their own."""
        if all(level.penalty is None for level in levels):
            return self
        days = np.array([-1 if level.penalty is None else days_of(level.penalty) for level in levels] + [-1])[of_row]
        fills = ~self.known & (days >= 0)
        return Penalties(days=np.where(fills, days, self.days), known=self.known | fills, wrong=self.wrong)

    def within(self, one: Punishable) -> Truth:
        """Truth[n]: the penalty is within these bounds."""
        days, holds = self.days, np.ones(1, np.bool_)
        for word, length in one.bounds():
            limit = days_of(length)
            compared: Mapping[str, Bools] = {
                "from": days >= limit,
                "above": days > limit,
                "below": days < limit,
                "to": days <= limit,
            }
            holds = holds & compared[word]
        return truth(holds, self.known)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Levels:
    """The levels of n rows: positions in `all`, or -1 for one that is missing.

    of_row int8[n] by the words of the records; other int8[n] is the level that the maximum penalty gives or, where
    that is missing, may give. wrong bool[n]: there is a text, but no level.
    """

    all: tuple[Level, ...]
    of_row: npt.NDArray[np.int8]
    other: npt.NDArray[np.int8]
    wrong: Bools

    @classmethod
    def of(cls, levels: tuple[Level, ...], names: Names, penalties: Penalties) -> tuple["Levels", Penalties]:
        """By words, and by maximum penalty where a level has one; with the penalties that levels have."""
        words = [(word, position) for position, level in enumerate(levels) for word in level.words]
        at, filled = names.position([word for word, _ in words])
        of_row: npt.NDArray[np.int8] = np.where(at < 0, -1, np.array([position for _, position in words])[at]).astype(
            np.int8
        )
        penalties = penalties.or_those_of(levels, of_row)
        other = of_row
        for position, level in enumerate(levels):
            if level.punishable is not None:
                within = penalties.within(level.punishable)
                other = np.where(within == NO, of_row, position).astype(np.int8)
                of_row = np.where(within == YES, position, of_row).astype(np.int8)
        return cls(all=levels, of_row=of_row, other=other, wrong=filled & (at < 0)), penalties

    def at(self, rows: Ints) -> "Levels":
        """Those of some rows."""
        of_row = self.of_row[rows]
        other = of_row if self.other is self.of_row else self.other[rows]
        return Levels(all=self.all, of_row=of_row, other=other, wrong=self.wrong[rows])

    def called(self, names: tuple[str, ...]) -> Truth:
        """Truth[n]: the level or its family has one of these names."""
        return self._of(np.array([YES if level.is_called(names) else NO for level in self.all]))

    def as_grave(self, name: str, *, at_least: bool) -> Truth:
        """Truth[n]: the level is at least, or at most, as grave as this one; unknown if it is not ranked."""
        place = [level.name for level in self.all].index(name)
        holds = [i <= place if at_least else i >= place for i in range(len(self.all))]
        ranked = [level.ranked for level in self.all]
        return self._of(truth(np.array(holds), np.array(ranked)))

    def _of(self, table: Truth) -> Truth:
        """Truth[n] of each row by that of its level; unknown where its two levels differ in it."""
        table = np.append(table, UNKNOWN).astype(np.int8)
        one: Truth = table[self.of_row]
        if self.other is self.of_row:
            return one
        other = table[self.other]
        found: Truth = np.where(one == other, one, UNKNOWN)
        return found
