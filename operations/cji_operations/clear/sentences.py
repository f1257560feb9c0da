"""Sentences: their kinds, their lengths, and the day on which they end.

A charge has a row for each part of its sentence. Where the records state when it was discharged, the sentence ended on
the last of these days. Otherwise the parts follow each other, so it ends when all of them together have passed since
the conviction; it has no known end where a part has no length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth
from cji_operations.kernels.strings import folded

_LENGTH: Final = r"^\s*(?P<number>[0-9]{1,4})\s*(?P<unit>[DMY])\s*$"
_LONGEST: Final = 12 * 2000
"""Months; a sentence that is longer ends in a year that no day of decision has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Lengths:
    """Of n rows: months, days int64[n]; known, wrong bool[n] (there is a text, but not a length)."""

    months: Ints
    days: Ints
    known: Bools
    wrong: Bools

    def of(self, rows: Ints) -> Self:
        """The lengths of some rows."""
        return type(self)(
            months=self.months[rows], days=self.days[rows], known=self.known[rows], wrong=self.wrong[rows]
        )


def read_lengths(array: pa.Array) -> Lengths:
    """Read a `binary` column of numbers with D, M or Y behind them."""
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    index = arrow.numbers(encoded.indices)
    parts = pc.extract_regex(folded(encoded.dictionary), _LENGTH)
    known = arrow.present(parts)
    number = _numbers(parts.field(0), known)
    unit = parts.field(1)
    of_unit = {letter: known & arrow.bools(pc.equal(unit, letter.encode()).fill_null(False)) for letter in "DMY"}
    months = np.where(of_unit["Y"], 12 * number, np.where(of_unit["M"], number, 0))
    days = np.where(of_unit["D"], number, 0)
    wrong = read(encoded.dictionary).filled & ~known
    return Lengths(months=months[index], days=days[index], known=known[index], wrong=wrong[index])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Ends:
    """A day that n rows state: date int64[n] YYYYMMDD or 0; given bool[n], there is a text, readable or not."""

    date: Ints
    given: Bools

    def of(self, rows: Ints, part: Ints, c: int) -> tuple[Ints, Bools]:
        """(int64[c] the latest of the charge's rows, or 0 where one cannot be read; bool[c] given by any)."""
        latest, given, unreadable = np.zeros(c, np.int64), np.zeros(c, np.bool_), np.zeros(c, np.bool_)
        stated = self.given[rows]
        if not stated.any():
            return latest, given
        date, of = self.date[rows[stated]], part[stated]
        given[of] = True
        unreadable[of[date == 0]] = True
        np.maximum.at(latest, of, date)
        return np.where(unreadable, 0, latest), given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sentences:
    """Of c charges: end int64[c] YYYYMMDD, 0 where it is not known; given bool[c], every part has a kind.

    part int64[p] is the charge of each part; kind int32[p] its position in the distinct `kinds`, binary. first
    int64[c] is the first part of each.
    """

    end: Ints
    given: Bools
    part: Ints
    first: Ints
    kind: npt.NDArray[np.int32]
    kinds: pa.Array

    @classmethod
    def of(cls, part: Ints, date: Ints, *, kind: pa.Array, lengths: Lengths, discharged: tuple[Ints, Bools]) -> Self:
        """The sentences of charges with these dates, int64[c]; `discharged` as `Ends.of` gives it."""
        c = len(date)
        unknown = np.bincount(part[~lengths.known], minlength=c) > 0
        months = np.bincount(part, lengths.months, minlength=c).astype(np.int64)
        days = np.bincount(part, lengths.days, minlength=c).astype(np.int64)
        known = ~unknown & (date > 0)
        end = np.zeros(c, np.int64)
        end[known] = _later(date[known], np.minimum(months[known], _LONGEST), np.minimum(days[known], 31 * _LONGEST))
        end = np.where(discharged[1], discharged[0], end)
        given = np.bincount(part[~read(kind).filled], minlength=c) == 0
        encoded = pc.dictionary_encode(kind, null_encoding="encode")
        first = np.zeros(c, np.int64)
        first[part[::-1]] = np.arange(len(part))[::-1]
        index, kinds = arrow.numbers(encoded.indices), folded(encoded.dictionary)
        return cls(end=end, given=given, part=part, first=first, kind=index, kinds=kinds)

    def first_kind(self, at: Ints) -> pa.Array:
        """utf8: the kind of the first part of these sentences."""
        return self.kinds.take(arrow.from_numpy(self.kind[self.first[at]])).view(pa.utf8())

    def has(self, words: Sequence[str]) -> Truth:
        """Truth[c]: a part of the sentence is of one of these kinds; unknown where none is, and a part has no kind."""
        found = np.zeros(len(self.kinds), np.bool_)
        for word in words:
            found |= arrow.bools(pc.match_substring(self.kinds, word.upper()).fill_null(False))
        truth = np.where(self.given, NO, UNKNOWN)
        truth[self.part[found[self.kind]]] = YES
        return truth


def _later(date: Ints, months: Ints, days: Ints) -> Ints:
    """YYYYMMDD: dates after these months, then these days; a day that its month does not have is the month's last."""
    month = (date // 10_000 - 1970) * 12 + date // 100 % 100 - 1 + months
    first = month.astype("M8[M]").astype("M8[D]")
    last = ((month + 1).astype("M8[M]").astype("M8[D]") - first).astype(np.int64)
    day = first + (np.minimum(date % 100, last) - 1).astype("m8[D]") + days.astype("m8[D]")
    months_of = day.astype("M8[M]")
    index: Ints = months_of.astype(np.int64)
    of_month: Ints = (day - months_of.astype("M8[D]")).astype(np.int64) + 1
    return (index // 12 + 1970) * 10_000 + (index % 12 + 1) * 100 + of_month


def _numbers(array: pa.Array, known: Bools) -> Ints:
    """int64[d]: up to four digits each; 0 where not `known`."""
    text = read(array)
    number = np.zeros(len(known), np.int64)
    for position in range(4):
        rows = np.flatnonzero(known & (text.lengths > position))
        number[rows] = number[rows] * 10 + (text.data[text.starts[rows] + position] - ord("0"))
    return number
