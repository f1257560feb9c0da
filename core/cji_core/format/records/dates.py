"""Dates over whole columns: parsed, counted as days, and written.

Accepted: YYYYMMDD and YYYY-MM-DD of the proleptic Gregorian calendar, years 0001 to 9999; X or x stands for an
unknown digit (`1982-02-XX`), and `XX` alone for a date of which nothing is known.

Day numbers follow H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (public domain): day 0 is 0000-03-01.
"""

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints, Text, fixed, items

Days = npt.NDArray[np.int32]

_X, _DASH = np.uint8(ord("X")), np.uint8(ord("-"))
_DIGITS_OF_DASHED: Final = (0, 1, 2, 3, 5, 6, 8, 9)
_MONTH_DAYS: Final = np.array([31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int32)  # [0]: month unknown
_YEARS: Final = np.arange(10_000)
_IS_COMMON: Final = (_YEARS % 4 != 0) | ((_YEARS % 100 == 0) & (_YEARS % 400 != 0) & (_YEARS > 0))  # [0]: unknown
_PAIRS: Final = np.array([f"{i:02d}".encode() for i in range(100)], "S2").view(np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Dates:
    """`n` parsed dates. An unknown part is 0; where `fits` is False, the rest is undefined.

    digits uint8[n, 8] (ASCII, X for unknown); dashed, fits bool[n]; year, month, day int32[n].
    """

    digits: Bytes
    dashed: Bools
    fits: Bools
    year: Days
    month: Days
    day: Days

    @property
    def whole(self) -> Bools:
        """bool[n]: a date with no unknown digit."""
        return self.fits & (self.year > 0) & (self.month > 0) & (self.day > 0)

    @property
    def number(self) -> Days:
        """int32[n]: YYYYMMDD as a number, as `number_of` makes it; an unknown part is 0."""
        return self.year * np.int32(10_000) + self.month * np.int32(100) + self.day


def number_of(day: datetime.date) -> int:
    """YYYYMMDD as a number."""
    return day.year * 10_000 + day.month * 100 + day.day


def parse(text: Text) -> Dates:
    """Parse a column. Never raises: `fits` marks the values that are dates."""
    dashed = text.lengths == 10
    digits, fits = _digits(text, dashed)
    columns = np.ascontiguousarray(digits.T)
    values = columns - np.uint8(ord("0"))
    known = values < 10
    unknown = columns == _X
    fits &= (known | unknown).all(axis=0)
    pairs = values[::2] * np.uint8(10) + values[1::2]  # century, year of it, month, day: bytes, up to 99 where known
    known_pairs = known[::2] & known[1::2]
    year = (pairs[0] * np.int32(100) + pairs[1]) * (known_pairs[0] & known_pairs[1])
    month, day = (pairs[2:] * known_pairs[2:]).astype(np.int32)
    # a component with an X may have any digits that could still become a month or a day
    fits &= (year > 0) | unknown[:4].any(axis=0)
    fits &= np.where(unknown[4] | unknown[5], unknown[4] | (values[4] <= 1), (month >= 1) & (month <= 12))
    month[~fits] = 0
    in_month = (day >= 1) & (day <= last_days(year, month))
    fits &= np.where(unknown[6] | unknown[7], unknown[6] | (values[6] <= 3), in_month)
    return Dates(digits=digits, dashed=dashed, fits=fits, year=year, month=month, day=day)


def _digits(text: Text, dashed: Bools) -> tuple[Bytes, Bools]:
    plain = text.lengths == 8
    if plain.all():
        digits = fixed(text, np.arange(len(plain)), 8)
        fits = plain
    else:
        digits = np.zeros((len(plain), 8), np.uint8)
        rows = np.flatnonzero(plain)
        items(digits)[rows] = items(fixed(text, rows, 8))
        rows = np.flatnonzero(dashed)
        values = fixed(text, rows, 10)
        items(digits)[rows] = items(values.take(_DIGITS_OF_DASHED, axis=1))
        fits = plain.copy()
        fits[rows] = (values[:, 4] == _DASH) & (values[:, 7] == _DASH)
        rows = np.flatnonzero(text.lengths == 2)
        digits[rows] = _X
        fits[rows] = (fixed(text, rows, 2) & 0xDF == _X).all(axis=1)  # 0xDF folds ASCII case
    lower = digits == ord("x")
    return (np.where(lower, _X, digits) if lower.any() else digits), fits


def last_days(year: Days, month: Days) -> Days:
    """The last day of each month; 29 February exists in leap years and where the year is unknown."""
    last: Days = _MONTH_DAYS[month] - ((month == 2) & _IS_COMMON[year])
    return last


def day_numbers(year: Days, month: Days, day: Days) -> Days:
    """Days since 0000-03-01; the year begins in March, so that the leap day is its last."""
    of_march = month <= 2
    shifted = year - of_march
    month_of_march = month - 3 + 12 * of_march
    leap_days = shifted // 4 - shifted // 100 + shifted // 400
    number: Days = shifted * 365 + leap_days + (153 * month_of_march + 2) // 5 + day - 1
    return number


FIRST_DAY: Final = 306  # 0001-01-01
LAST_DAY: Final = 3652364  # 9999-12-31


def render(number: Days, dashed: Bools) -> tuple[Bytes, Ints]:
    """Day numbers as text, uint8[n, 8] or [n, 10], and the length of each."""
    era = number // 146097
    of_era = number - era * 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_of_march = (5 * of_year + 2) // 153
    day = of_year - (153 * month_of_march + 2) // 5 + 1
    month = month_of_march + 3 - 12 * (month_of_march >= 10)
    year = year_of_era + era * 400 + (month <= 2)
    pairs = np.empty((len(number), 4), np.uint16)
    century = year // 100
    for column, part in enumerate((century, year - century * 100, month, day)):
        pairs[:, column] = _PAIRS[part]
    plain = pairs.view(np.uint8)
    if not dashed.any():
        return plain, np.full(len(number), 8)
    matrix = np.full((len(number), 10), _DASH)
    matrix[:, _DIGITS_OF_DASHED] = plain
    matrix[~dashed, :8] = plain[~dashed]
    return matrix, np.where(dashed, 10, 8)
