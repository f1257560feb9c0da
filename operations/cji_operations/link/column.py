"""One column of all records: its distinct values, which of them a row has, and the forms in which keys use them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records import dates
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.equal_rows import numbered
from cji_core.operations.link.model import Key
from cji_operations.kernels import hashing, letters, name_parts, nicknames, phonetics
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import Words

Codes = npt.NDArray[np.int32]

UNKNOWN: Final = ord("X")
"""An unknown digit."""
_DATE_DIGITS: Final = {"year": slice(0, 4), "year_month": slice(0, 6), "month_day": slice(4, 8)}


@dataclass(frozen=True, eq=False, repr=False)
class Column:
    """One column of `n` rows with `k` distinct values: code int32[n], -1 where there is none.

    Values are folded (`kernels.letters`). Capital X stands for an unknown digit in a column that `is_number` or
    `is_date`. counts int64[k] are the rows with each value: of all rows of the job, though these may be some of them.
    """

    words: Words
    code: Codes
    counts: Ints
    is_number: bool = False
    is_date: bool = False
    is_name: bool = False
    hashed: dict[Key, Hashes] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Words:
        """The values in their plain form, names without blanks; they need not be distinct."""
        return letters.plain(self.words, blanks=not self.is_name)

    @cached_property
    def letters(self) -> Words:
        """The plain values, one byte a letter."""
        return letters.letters(self.plain)

    @cached_property
    def alike(self) -> Ints:
        """int64[k]: equal for values with one plain form."""
        if self.plain is not self.words:
            return numbered(self.plain.data)
        return np.arange(len(self.words), dtype=np.int64)

    @cached_property
    def name_parts(self) -> Hashes:
        """uint64[k, p]: the parts of names, see `kernels.name_parts`."""
        return name_parts.parts(letters.plain(self.words, blanks=True))

    @cached_property
    def part_totals(self) -> Hashes:
        """uint64[k]: equal for names with the same parts."""
        return name_parts.totals(self.name_parts)

    @cached_property
    def part_counts(self) -> Ints:
        """int64[k]: how many parts the name has."""
        found: Ints = np.count_nonzero(self.name_parts, axis=1)
        return found

    @cached_property
    def has_parts(self) -> Bools:
        """bool[k]: the name has several words."""
        found: Bools = (self.words.data == ord(" ")).any(axis=1)
        return found

    @cached_property
    def _sound(self) -> Bytes:
        return phonetics.sound(self.plain)

    @cached_property
    def sounds(self) -> Ints:
        """int64[k]: equal for values of one phonetic code, -1 without a letter."""
        return np.where(self._sound[:, 0] > 0, numbered(self._sound), -1)

    def hashes(self, key: Key) -> Hashes:
        """uint64[k + 1]: equal for values that are equal in the form of the key, wherever they are; 0 without one.

        Made once.
        """
        if key not in self.hashed:
            rows, usable = self.form(key)
            found = np.zeros(len(self.words) + 1, np.uint64)
            found[:-1] = np.where(usable, hashing.of_bytes(rows) | np.uint64(1), np.uint64(0))
            self.hashed[key] = found
        return self.hashed[key]

    def form(self, key: Key) -> tuple[Bytes, Bools]:
        """(uint8[k, w]: the form of each value that the key names, bool[k]: it has one)."""
        data, there = self.plain.data, np.ones(len(self.words), np.bool_)
        match key.form:
            case "whole" if self.is_date:
                return self._dated(slice(0, 8))
            case "whole":
                return data, there
            case "soundex":
                return self._sound, self._sound[:, 0] > 0
            case "prefix":
                prefix = self.letters.data[:, : key.length]
                return prefix, (prefix != UNKNOWN).all(axis=1) if self.is_number or self.is_date else there
            case _:
                return self._dated(_DATE_DIGITS[key.form])

    def _dated(self, positions: slice) -> tuple[Bytes, Bools]:
        if not self.is_date:
            return np.zeros((len(self.words), 1), np.uint8), np.zeros(len(self.words), np.bool_)
        part = self.digits[:, positions]
        return part, (part != UNKNOWN).all(axis=1)

    @cached_property
    def roots(self) -> Ints:
        """int64[k]: the number of each given name, see `kernels.nicknames`."""
        return nicknames.roots(self.plain)

    @cached_property
    def digits(self) -> Bytes:
        """uint8[k, w]: values byte by byte; capital X is an unknown digit."""
        return np.ascontiguousarray(self.words.data)

    @cached_property
    def years(self) -> Ints:
        """int64[k]: equal for dates of one known year, else -1."""
        return self.parts(_DATE_DIGITS["year"])

    @cached_property
    def year_numbers(self) -> Ints:
        """int64[k]: the year of each date, 0 where it is not known."""
        year, usable = self._dated(_DATE_DIGITS["year"])
        return _decimal(np.where(usable[:, None], year, np.uint8(ord("0")))).astype(np.int64)

    @cached_property
    def months(self) -> Ints:
        """int64[k]: equal for dates of one known month of one known year, else -1."""
        return self.parts(_DATE_DIGITS["year_month"])

    @cached_property
    def days(self) -> Ints:
        """int64[k]: the number of each day of the calendar, -1 for other values."""
        number = np.full(len(self.words), -1)
        if not self.is_date:
            return number
        whole = np.flatnonzero((self.digits != UNKNOWN).all(axis=1))
        year, month, day = (_decimal(self.digits[whole, first:end]) for first, end in ((0, 4), (4, 6), (6, 8)))
        fits = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
        fits &= day <= dates.last_days(year, np.where(fits, month, 1).astype(np.int32))
        number[whole[fits]] = dates.day_numbers(year, month, day)[fits]
        return number

    @cached_property
    def spelt(self) -> Words:
        """The values letter by letter: dates as YYYY-MM-DD."""
        if not self.is_date:
            return self.letters
        dashed = np.insert(self.words.data, (4, 6), ord("-"), axis=1)
        return Words(data=dashed, lengths=np.full(len(dashed), 10))

    def parts(self, positions: slice) -> Ints:
        """int64[k]: equal for dates that agree in these positions, -1 for an unknown digit and for other values."""
        part, usable = self._dated(positions)
        return np.where(usable, numbered(np.ascontiguousarray(part)), -1)

    def key(self, key: Key) -> Codes:
        """int32[n]: equal for rows whose values are equal in this form, -1 where there is none."""
        if key.form == "whole" and not self.is_date and self.plain is self.words:
            return self.code
        rows, usable = self.form(key)
        of_value = np.where(usable, numbered(np.ascontiguousarray(rows)), -1)
        return np.append(of_value, -1).astype(np.int32)[self.code]


def _decimal(digits: Bytes) -> npt.NDArray[np.int32]:
    """int32[k]: the numbers that are written in uint8[k, w]."""
    number = np.zeros(len(digits), np.int32)
    for column in digits.T:
        number = number * np.int32(10) + (column - np.uint8(ord("0")))
    return number
