"""Dates made less exact, or moved: years and months, age bands, and the shift of a subject's dates.

Results keep the style of their input, YYYYMMDD or YYYY-MM-DD. A value that does not fit is null in the result and
listed with its code; a missing value (null or empty) is null without a code.
"""

import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records.column import Bools, Ints, Text, pack, read
from cji_core.format.records.dates import FIRST_DAY, LAST_DAY, Dates, day_numbers, last_days, parse, render
from cji_core.operations.deidentify.declaration import Code
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_operations.deidentify.outcome import Outcome

Days = npt.NDArray[np.int32]

_DASH = np.uint8(ord("-"))


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

    A person born on 29 February is a year older on 1 March of a common year. A partial date has a band when
    every day that it may stand for lies in that band; else it does not fit.
    """
    text = read(array)
    dates = parse(text)
    oldest = _age(dates.year, np.maximum(dates.month, 1), np.maximum(dates.day, 1), as_of)
    month = np.where(dates.month > 0, dates.month, 12)
    youngest = _age(dates.year, month, np.where(dates.day > 0, dates.day, last_days(dates.year, month)), as_of)
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
    number = day_numbers(dates.year, dates.month, dates.day) + np.where(known, days, 0).astype(np.int32)
    in_range = (number >= FIRST_DAY) & (number <= LAST_DAY)
    usable = whole & known & in_range
    matrix, lengths = render(np.where(usable, number, FIRST_DAY), dates.dashed)
    faults = (
        *_not_dates(text, dates),
        (Code.PARTIAL_DATE, np.flatnonzero(dates.fits & ~whole)),
        (Code.NO_SUBJECT, np.flatnonzero(whole & ~known)),
        (Code.DATE_OUT_OF_RANGE, np.flatnonzero(whole & known & ~in_range)),
    )
    return Outcome(array=pack(matrix, lengths * usable, array.type), faults=faults)


def _not_dates(text: Text, dates: Dates) -> tuple[tuple[RowCode, Ints], ...]:
    return ((ValueCode.NOT_A_DATE, np.flatnonzero(text.filled & ~dates.fits)),)
