"""Fixed-width numbers, dates, periods and ages over whole columns, as one integer a value.

A value that can be used is 0 or more. BLANK_VALUE and BAD_VALUE are those of `code_tables`; OUT_OF_RANGE is a number in
good form that is too small or too large, UNKNOWN_AGE an age that is stated to be unknown.
"""

import enum
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE

OUT_OF_RANGE: Final = -3
UNKNOWN_AGE: Final = -4

Whole = npt.NDArray[np.signedinteger]

_ZERO: Final = np.uint8(ord("0"))
_LAST_DAY: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int32)
_CENTURIES: Final = (1900, 2099)


def _positional(values: Bytes) -> tuple[Whole, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The decimal value of each row, whether it is all digits, and whether it is all blanks."""
    n, width = values.shape
    number: Whole = np.zeros(n, np.int32 if width <= 9 else np.int64)
    digits = np.ones(n, np.bool_)
    blank = np.ones(n, np.bool_)
    for position in range(width):
        column = values[:, position]
        digit = column - _ZERO
        digits &= digit < 10
        blank &= column == BLANK
        number *= 10
        number += digit
    return number, digits, blank


def numbers(values: Bytes, low: int, high: int) -> Whole:
    """int[n]: unsigned numbers with zero left-fill, from `low` to `high`."""
    number, digits, blank = _positional(values)
    number[(number < low) | (number > high)] = OUT_OF_RANGE
    number[~digits] = BAD_VALUE
    number[blank] = BLANK_VALUE
    return number


def quantities(values: Bytes) -> Ints:
    """int64[n]: thousandths; nine digits of units and three of thousandths, either of which may be blank.

    NIBRS Technical Specification 3.1, data element 21, "Data Values".
    """
    units, units_digits, units_blank = _positional(values[:, :9])
    parts, parts_digits, parts_blank = _positional(values[:, 9:])
    number = np.where(units_blank, 0, units.astype(np.int64)) * 1000 + np.where(parts_blank, 0, parts)
    number[~(units_digits | units_blank) | ~(parts_digits | parts_blank)] = BAD_VALUE
    number[units_blank & parts_blank] = BLANK_VALUE
    return number


def dates(values: Bytes) -> Whole:
    """int32[n]: YYYYMMDD as a number, for days that exist in the years 1900 to 2099."""
    number, digits, blank = _positional(values)
    year = number // 10_000
    of_year = number - year * 10_000  # numpy takes five times as long for a remainder
    month = of_year // 100
    day = of_year - month * 100
    leap = (year & 3 == 0) & (year != _CENTURIES[0])  # 2000 is a leap year, 1900 is none
    good = digits & (year >= _CENTURIES[0]) & (year <= _CENTURIES[1]) & (month >= 1) & (month <= 12)
    month[~good] = 0
    last_day = _LAST_DAY[month]
    last_day[leap & (month == 2)] = 29
    good &= (day >= 1) & (day <= last_day)
    number[~good] = BAD_VALUE
    number[blank] = BLANK_VALUE
    return number


def periods(values: Bytes, first_year: int) -> Whole:
    """int32[n]: MMYYYY as the number YYYYMM, for months 01 to 12 of `first_year` to 2099."""
    number, digits, blank = _positional(values)
    month, year = number // 10_000, number % 10_000
    good = digits & (month >= 1) & (month <= 12) & (year >= first_year) & (year <= _CENTURIES[1])
    number = np.where(good, year * 100 + month, BAD_VALUE)
    number[blank] = BLANK_VALUE
    return number


class AgeForm(enum.IntEnum):
    """How an age of four characters is written: `25  `, `NB  `, `00  `, `2530`, or wrongly."""

    BLANK = 0
    EXACT = 1
    NEWBORN = 2
    UNKNOWN = 3
    RANGE = 4
    INDENTED = 5
    BAD_RANGE = 6
    BAD_EXACT = 7


_NEWBORN, _BLANK_HALF, _BAD_HALF = 100, 101, 102


def _halves() -> npt.NDArray[np.uint8]:
    of_pair = np.full(1 << 16, _BAD_HALF, np.uint8)
    for word, meaning in (("NN", _NEWBORN), ("NB", _NEWBORN), ("BB", _NEWBORN), ("  ", _BLANK_HALF)):
        of_pair[np.frombuffer(word.encode(), "<u2")] = meaning
    for age in range(100):
        of_pair[np.frombuffer(f"{age:02d}".encode(), "<u2")] = age
    return of_pair


_HALF: Final = _halves()


def ages(values: Bytes) -> tuple[Ints, npt.NDArray[np.uint8], Ints, Ints]:
    """Ages of four characters: years, form (AgeForm), and the low and high ends where the form is RANGE, else 0.

    Years of a range are the average, its fraction cut off; those of a newborn are 0. A range whose first age is
    00 or not below its second is BAD_VALUE. NIBRS Technical Specification 3.1, data elements 26, 37 and 47.
    """
    first = _HALF[values[:, 0] + (values[:, 1].astype(np.uint16) << 8)].astype(np.int64)
    second = _HALF[values[:, 2] + (values[:, 3].astype(np.uint16) << 8)].astype(np.int64)
    form = np.full(len(values), AgeForm.BAD_EXACT, np.uint8)
    exact = second == _BLANK_HALF
    form[exact & (first < _NEWBORN)] = AgeForm.EXACT
    form[exact & (first == 0)] = AgeForm.UNKNOWN
    form[exact & (first == _NEWBORN)] = AgeForm.NEWBORN
    is_range = (first < _NEWBORN) & (second < _NEWBORN)
    form[~exact] = AgeForm.BAD_RANGE
    form[is_range] = AgeForm.RANGE
    form[values[:, 0] == BLANK] = AgeForm.INDENTED
    form[exact & (first == _BLANK_HALF)] = AgeForm.BLANK
    low, high = first * is_range, second * is_range
    years = np.select(
        [form == AgeForm.EXACT, form == AgeForm.NEWBORN, form == AgeForm.UNKNOWN, form == AgeForm.BLANK],
        [first, 0, UNKNOWN_AGE, BLANK_VALUE],
        BAD_VALUE,
    )
    ordered = is_range & (low > 0) & (low < high)
    years[ordered] = ((low + high) // 2)[ordered]
    return years, form, low, high
