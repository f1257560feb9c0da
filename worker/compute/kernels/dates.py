"""Dates over whole columns: parse, generalise, band ages, shift.

Accepted: YYYYMMDD and YYYY-MM-DD of the proleptic Gregorian calendar, years 0001 to 9999; X or x stands for an
unknown digit (`1982-02-XX`), and `XX` alone for a date of which nothing is known. Results keep the style of
their input. Missing values (null, empty) stay null without a code.

Day numbers follow H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (public domain): day 0 is 0000-03-01.
"""

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import Bools, Bytes, Ints, Outcome, Text, fixed, items, pack, read
from worker.compute.status_codes import Code

__all__ = ["Dates", "age_band", "date_to_month", "date_to_year", "parse", "shift"]

Days = npt.NDArray[np.int32]

_X, _DASH = np.uint8(ord("X")), np.uint8(ord("-"))
_DIGITS_OF_DASHED: Final = (0, 1, 2, 3, 5, 6, 8, 9)
_MONTH_DAYS: Final = np.array([31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int32)  # [0]: month unknown
_YEARS: Final = np.arange(10_000)
_IS_COMMON: Final = (_YEARS % 4 != 0) | ((_YEARS % 100 == 0) & (_YEARS % 400 != 0) & (_YEARS > 0))  # [0]: unknown
_PAIRS: Final = np.array([f"{i:02d}".encode() for i in range(100)], "S2").view(np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Dates:
    """`n` parsed dates. What is unknown is 0; where `fits` is False, nothing else means anything.

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


def parse(text: Text) -> Dates:
    """Parse a column; never raises, `fits` says which values are dates."""
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
    fits &= np.where(unknown[6] | unknown[7], unknown[6] | (values[6] <= 3), (day >= 1) & (day <= _last(year, month)))
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


def _last(year: Days, month: Days) -> Days:
    """The last day of each month; 29 February exists in leap years and where the year is unknown."""
    last: Days = _MONTH_DAYS[month] - ((month == 2) & _IS_COMMON[year])
    return last


def date_to_year(array: pa.Array) -> Outcome:
    """YYYY of each date, with X where a digit is unknown."""
    text = read(array)
    dates = parse(text)
    return Outcome(array=pack(dates.digits[:, :4], dates.fits * 4, array.type), faults=_not_dates(text, dates))


def date_to_month(array: pa.Array) -> Outcome:
    """YYYYMM or YYYY-MM of each date, in the style of the value, with X where a digit is unknown."""
    text = read(array)
    dates = parse(text)
    matrix, lengths = dates.digits[:, :6], dates.fits * 6
    if dates.dashed.any():
        dash = np.full((len(lengths), 1), _DASH)
        with_dash = np.hstack((dates.digits[:, :4], dash, dates.digits[:, 4:6]))
        without = np.hstack((dates.digits[:, :6], dash))
        matrix = np.where(dates.dashed[:, None], with_dash, without)
        lengths = dates.fits * (6 + dates.dashed)
    return Outcome(array=pack(matrix, lengths, array.type), faults=_not_dates(text, dates))


def age_band(array: pa.Array, *, width: int, top: int, as_of: datetime.date) -> Outcome:
    """The band of `width` years in which the age lies on the day `as_of`: `20-24`, and `90+` from `top` on.

    Who was born on 29 February is a year older on 1 March of a common year. A partial date has its band when
    all days that it may stand for lie in one band, else it does not fit.
    """
    text = read(array)
    dates = parse(text)
    oldest = _age(dates.year, np.maximum(dates.month, 1), np.maximum(dates.day, 1), as_of)
    month = np.where(dates.month > 0, dates.month, 12)
    youngest = _age(dates.year, month, np.where(dates.day > 0, dates.day, _last(dates.year, month)), as_of)
    labels = _band_labels(width, top)
    table = np.array([label.encode() for label in labels], "S")
    band_of_age = np.arange(top + 1) // width
    band_of_age[top] = len(labels) - 1
    band = band_of_age[np.clip(oldest, 0, top)]
    born = oldest >= 0
    certain = (dates.year > 0) & (band == band_of_age[np.clip(youngest, 0, top)])
    usable = dates.fits & born & certain
    lengths = np.where(usable, np.array([len(label) for label in labels])[band], 0)
    matrix = table.view(np.uint8).reshape(len(table), -1)[band]
    faults = (
        *_not_dates(text, dates),
        (Code.PARTIAL_DATE, np.flatnonzero(dates.fits & ~certain & (born | (dates.year == 0)))),
        (Code.BORN_AFTER_AS_OF, np.flatnonzero(dates.fits & (dates.year > 0) & ~born)),
    )
    return Outcome(array=pack(matrix, lengths, array.type), faults=faults)


def _band_labels(width: int, top: int) -> list[str]:
    """The name of each band, from the youngest: the last one below `top` may be narrower."""
    bands = [(low, min(low + width, top) - 1) for low in range(0, top, width)]
    return [*(f"{low}-{high}" if low < high else f"{low}" for low, high in bands), f"{top}+"]


def _age(year: Days, month: Days, day: Days, as_of: datetime.date) -> Days:
    age: Days = as_of.year - year - (month * 100 + day > as_of.month * 100 + as_of.day)
    return age


def shift(array: pa.Array, *, days: Ints, known: Bools) -> Outcome:
    """Move date i by days[i] days. `known[i]` is False where the row has no subject: its date does not fit."""
    text = read(array)
    dates = parse(text)
    whole = dates.whole
    number = _number(dates.year, dates.month, dates.day) + np.where(known, days, 0).astype(np.int32)
    in_range = (number >= _FIRST) & (number <= _LAST)
    usable = whole & known & in_range
    matrix, lengths = _render(np.where(usable, number, _FIRST), dates.dashed)
    faults = (
        *_not_dates(text, dates),
        (Code.PARTIAL_DATE, np.flatnonzero(dates.fits & ~whole)),
        (Code.NO_SUBJECT, np.flatnonzero(whole & ~known)),
        (Code.DATE_OUT_OF_RANGE, np.flatnonzero(whole & known & ~in_range)),
    )
    return Outcome(array=pack(matrix, lengths * usable, array.type), faults=faults)


def _not_dates(text: Text, dates: Dates) -> tuple[tuple[Code, Ints], ...]:
    return ((Code.NOT_A_DATE, np.flatnonzero(text.filled & ~dates.fits)),)


def _number(year: Days, month: Days, day: Days) -> Days:
    """Days since 0000-03-01; the year begins in March, so that the leap day is its last."""
    of_march = month <= 2
    shifted = year - of_march
    month_of_march = month - 3 + 12 * of_march
    leap_days = shifted // 4 - shifted // 100 + shifted // 400
    number: Days = shifted * 365 + leap_days + (153 * month_of_march + 2) // 5 + day - 1
    return number


_FIRST: Final = 306  # 0001-01-01
_LAST: Final = 3652364  # 9999-12-31


def _render(number: Days, dashed: Bools) -> tuple[Bytes, Ints]:
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
