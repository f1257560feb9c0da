"""Formats of dates in text, and dates in such a format as `YYYYMMDD`, which every operation accepts.

A format is written with `YYYY`, `MM` or `MON` (JAN, February), `DD` and the separators `- / . ,` and a blank. Between
separators, months and days have one digit or two. X is an unknown digit, as in `XX/XX/1982`. A time of day behind the
date is recognised and left out.

The worker's own forms, `YYYYMMDD` and `YYYY-MM-DD`, are *plain*: they are sent as they are.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import column, dates
from cji_core.format.records.arrow import from_numpy, from_texts

Bools = npt.NDArray[np.bool_]

_MONTHS: Final = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE"),
    *("JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
_NAMES: Final = from_texts([*(month[:3] for month in _MONTHS), *_MONTHS, "SEPT"], pa.utf8())
_NUMBERS: Final = from_texts([*(f"{n:02d}" for _ in range(2) for n in range(1, 13)), "09"], pa.utf8())

EIGHT_DIGITS: Final = "NNNNNNNN"
"""The shape of YYYYMMDD, MMDDYYYY and DDMMYYYY."""

_TOKENS: Final = ("YYYY", "MON", "MM", "DD")
_SPLIT: Final = re.compile(r"YYYY|MON|MM|DD|.", re.DOTALL)
_SEPARATORS: Final = {"-": "-", "/": "/", ".": r"\.", ",": ",", " ": " +"}
_LATE_YEAR: Final = "(?P<y>(?:1[89]|[2-9][0-9]|X[0-9X]|[1-9]X)[0-9X]{2})"
_DIGITS: Final = {"YYYY": "(?P<y>[0-9X]{4})", "MM": "(?P<m>[0-9X]{2})", "DD": "(?P<d>[0-9X]{2})"}
_SHORT: Final = {"MM": "(?P<m>[0-9]|[0-9X]{2})", "DD": "(?P<d>[0-9]|[0-9X]{2})"}
_MONTH_NAME: Final = "(?P<m>[A-Z]{3,9})"
_TIME: Final = (
    r"(?P<t>[T ] *[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?[AP]M)?(?: ?Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format: its text, its expression (RE2), and its `shape`, in which month and day have one name.

    Values of one shape can be read in each order that has this shape. Eight digits are one shape, wherever the year is.
    """

    text: str
    expression: str
    shape: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The format that is written like this; ValueError if there is none."""
        parts = _SPLIT.findall(text)
        tokens = [part for part in parts if part in _TOKENS]
        unknown = [part for part in parts if part not in _TOKENS and part not in _SEPARATORS]
        month = [part for part in tokens if part in ("MM", "MON")]
        if unknown or len(tokens) != 3 or len(month) != 1 or not {"YYYY", "DD"} <= set(tokens):
            raise ValueError(
                f"date format {text!r}: write YYYY, MM or MON, and DD, with - / . , or a blank between them"
            )
        apart = not any(one in _TOKENS and other in _TOKENS for one, other in pairwise(parts))
        written = _SEPARATORS | _DIGITS | {"MON": _MONTH_NAME} | (_SHORT if apart else {})
        shape = EIGHT_DIGITS if len(text) == 8 else text.replace("MM", "NN").replace("DD", "NN")
        if shape == EIGHT_DIGITS and not text.startswith("YYYY"):
            written["YYYY"] = _LATE_YEAR
        expression = f"^ *{''.join(written[part] for part in parts)}{_TIME} *$"
        return cls(text, expression, shape)

    @property
    def contradicts_plain(self) -> bool:
        """Whether it gives values of a plain form another meaning, as YYYY-DD-MM does."""
        return self.text in ("YYYY-DD-MM", "YYYYDDMM")

    def read(self, values: pa.Array) -> tuple[pa.Array, Bools]:
        """(`values` of this format as YYYYMMDD, null where a value has another or is not a date; has a time of day)."""
        found = pc.extract_regex(pc.utf8_upper(values), self.expression)
        year, month, day, time = (pc.struct_field(found, name) for name in "ymdt")
        if "MON" in self.text:
            month = _NUMBERS.take(pc.index_in(month, _NAMES))
        text = pc.binary_join_element_wise(year, _two(month), _two(day), "")
        fits = _dates(text)
        timed = pc.fill_null(pc.greater(pc.binary_length(time), 0), fill_value=False)
        return pc.if_else(from_numpy(fits), text, None), fits & timed.to_numpy(zero_copy_only=False)


def plain_dates(values: pa.Array, formats: Iterable[DateFormat]) -> Bools:
    """bool[n]: the value is a date that the worker reads as it is, and no format contradicts that.

    MMDDYYYY and DDMMYYYY do not: their century stands where a plain date has its month. They read no year before 1800:
    20010230, a day that does not exist, is not in the year 230.
    """
    if any(one.contradicts_plain for one in formats):
        return np.zeros(len(values), np.bool_)
    return _dates(values)


def compact(values: pa.Array) -> pa.Array:
    """Plain dates as YYYYMMDD, X for an unknown digit."""
    return pc.utf8_upper(pc.replace_substring(values, "-", ""))


def shape_of(value: str) -> str:
    """The shape of a value: digits as 9, letters as A, at most 24 characters."""
    return re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", value))[:24]


CANDIDATES: Final = tuple(
    DateFormat.parse(text)
    for text in (
        *("MM/DD/YYYY", "DD/MM/YYYY", "YYYY-MM-DD", "MM-DD-YYYY", "DD-MM-YYYY", "DD.MM.YYYY", "MM.DD.YYYY"),
        *("MMDDYYYY", "DDMMYYYY", "YYYY/MM/DD", "YYYY.MM.DD", "YYYYMMDD"),
        *("DD-MON-YYYY", "DD MON YYYY", "DDMONYYYY", "MON DD, YYYY"),
    )
)
"""The formats that are tried if none is stated."""


def _dates(values: pa.Array) -> Bools:
    return dates.parse(column.read(values)).fits


def _two(part: pa.Array) -> pa.Array:
    return pc.utf8_lpad(part, 2, "0")
