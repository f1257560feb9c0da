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
_LAST_DAY: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_YEAR: Final = 2099
_CENTURY: Final = np.uint8(19)


_NOT_DIGITS, _TWO_BLANKS = np.uint8(100), np.uint8(101)


def _pairs() -> npt.NDArray[np.uint8]:
    """uint8[65536]: the number of two digits, by its bytes as one little-endian number; else why it is none."""
    of_pair = np.full(1 << 16, _NOT_DIGITS, np.uint8)
    of_pair[np.frombuffer(b"  ", "<u2")] = _TWO_BLANKS
    of_pair[np.frombuffer(b"".join(b"%02d" % number for number in range(100)), "<u2")] = np.arange(100)
    return of_pair


_PAIR: Final = _pairs()


_TWO: Final = 102
"""How many numbers _PAIR has."""
_EVERY_YEAR, _LEAP_YEAR = np.uint8(1), np.uint8(2)


def _days() -> Bytes:
    """uint8[_TWO * _TWO]: in which years there is a day of a month, 0 for none."""
    years = np.zeros((_TWO, _TWO), np.uint8)
    for month, last_day in enumerate(_LAST_DAY, 1):
        years[month, 1 : last_day + 1] = _EVERY_YEAR
    years[2, 29] = _LEAP_YEAR
    return years.ravel()


_IS_DAY: Final = _days()


def _two(values: Bytes, position: int) -> npt.NDArray[np.uint8]:
    """uint8[n]: what _PAIR has for two bytes of each row."""
    two: Bytes = _PAIR[values[:, position : position + 2].view("<u2")[:, 0]]
    return two


def _positional(values: Bytes) -> tuple[Whole, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The decimal value of each row that is all digits, whether it is, and whether it is all blanks."""
    n, width = values.shape
    number: Whole = np.zeros(n, np.int32 if width <= 9 else np.int64)
    digits, blank = np.ones(n, np.bool_), np.ones(n, np.bool_)
    if width % 2:
        digit = values[:, 0] - _ZERO
        digits, blank, number = digit < 10, values[:, 0] == BLANK, digit.astype(number.dtype)
    for position in range(width % 2, width, 2):
        two = _two(values, position)
        digits &= two < _NOT_DIGITS
        blank &= two == _TWO_BLANKS
        number *= 100
        number += two
    return number, digits, blank


def numbers(values: Bytes, low: int, high: int) -> Whole:
    """int[n]: unsigned numbers with zero left-fill, from `low` to `high`."""
    if values.shape[1] == 2:
        of_pair = np.arange(_TWO, dtype=np.int32)
        of_pair[(of_pair < low) | (of_pair > high)] = OUT_OF_RANGE
        of_pair[[_NOT_DIGITS, _TWO_BLANKS]] = BAD_VALUE, BLANK_VALUE
        return of_pair[_two(values, 0)]
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
    century, year, month, day = (_two(values, position) for position in (0, 2, 4, 6))
    is_day = _IS_DAY[month * np.uint16(_TWO) + day]
    leap = (year & 3 == 0) & ((century != _CENTURY) | (year != 0))  # 2000 is a leap year, 1900 is none
    good = (is_day == _EVERY_YEAR) | ((is_day == _LEAP_YEAR) & leap)
    good &= (century - _CENTURY <= 1) & (year < _NOT_DIGITS)
    number = (century * np.uint16(100) + year).astype(np.int32)
    number *= 10_000
    number += month * np.uint16(100) + day
    number[~good] = BAD_VALUE
    if not good.all():
        number[(century == _TWO_BLANKS) & (year == _TWO_BLANKS) & (month == _TWO_BLANKS) & (day == _TWO_BLANKS)] = (
            BLANK_VALUE
        )
    return number


def periods(values: Bytes, first_year: int) -> Whole:
    """int32[n]: MMYYYY as the number YYYYMM, for months 01 to 12 of `first_year` to 2099."""
    number, digits, blank = _positional(values)
    month, year = number // 10_000, number % 10_000
    good = digits & (month >= 1) & (month <= 12) & (year >= first_year) & (year <= _LAST_YEAR)
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


_NEWBORN, _BLANK_HALF, _BAD_HALF, _INDENTED_HALF, _HALVES = 100, 101, 102, 103, 104


def _halves() -> npt.NDArray[np.uint8]:
    of_pair = np.full(1 << 16, _BAD_HALF, np.uint8)
    of_pair[int(BLANK) :: 1 << 8] = _INDENTED_HALF
    for word, meaning in (("NN", _NEWBORN), ("NB", _NEWBORN), ("BB", _NEWBORN), ("  ", _BLANK_HALF)):
        of_pair[np.frombuffer(word.encode(), "<u2")] = meaning
    for age in range(100):
        of_pair[np.frombuffer(f"{age:02d}".encode(), "<u2")] = age
    return of_pair


def _of_halves(first: Ints, second: Ints) -> tuple[Ints, Bytes, Ints, Ints]:
    """See `ages`; of two halves each."""
    form = np.full(len(first), AgeForm.BAD_EXACT, np.uint8)
    exact = second == _BLANK_HALF
    form[exact & (first < _NEWBORN)] = AgeForm.EXACT
    form[exact & (first == 0)] = AgeForm.UNKNOWN
    form[exact & (first == _NEWBORN)] = AgeForm.NEWBORN
    is_range = (first < _NEWBORN) & (second < _NEWBORN)
    form[~exact] = AgeForm.BAD_RANGE
    form[is_range] = AgeForm.RANGE
    form[(first == _INDENTED_HALF) | (first == _BLANK_HALF)] = AgeForm.INDENTED
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


_HALF: Final = _halves()
_AGE: Final = _of_halves(*np.divmod(np.arange(_HALVES**2), _HALVES))
"""Of each first half and second half, as _HALF has them."""


def ages(values: Bytes) -> tuple[Ints, Bytes, Ints, Ints]:
    """Ages of four characters: years, form (AgeForm), and the low and high ends where the form is RANGE, else 0.

    Years of a range are the average, its fraction cut off; those of a newborn are 0. A range whose first age is
    00 or not below its second is BAD_VALUE. NIBRS Technical Specification 3.1, data elements 26, 37 and 47.
    """
    first, second = (_HALF[values[:, half : half + 2].view("<u2")[:, 0]] for half in (0, 2))
    years, form, low, high = (of_halves[first * np.uint16(_HALVES) + second] for of_halves in _AGE)
    return years, form, low, high
