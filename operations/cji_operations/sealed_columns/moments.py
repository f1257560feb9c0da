"""Dates and times in cells, little-endian.

    date                 3 bytes: days since 0001-01-01
    time(s)              5 bytes: units of 100 ns since midnight, whatever s
    datetime2(s)         time, then date
    datetimeoffset(s)    time and date in UTC, then the offset of the local time in minutes in 2 bytes, signed
    datetime             4 bytes, signed: days since 1900-01-01; 4 bytes: units of 1/300 s since midnight
    smalldatetime        2 bytes: days since 1900-01-01; 2 bytes: minutes since midnight

As text: `2026-11-30`, `12:34:56.789`, `2026-11-30T12:34:56.789`, with the offset behind it; a fraction has as many
digits as the scale, of datetime three. Text to be sealed may have a blank for the T, a date alone stands for its first
moment, and a fraction may have fewer digits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow, dates
from cji_core.format.records.column import Bools, Bytes, Ints, read
from cji_core.format.records.column import Text as Values
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.cells import Codes
from cji_operations.sealed_columns.plain import (
    Decoded,
    Encoding,
    as_text,
    coded,
    digits,
    first_of,
    little_endian,
    number,
    of_width,
    require,
    rows_of,
    text_rows,
)

_LAST_DAY: Final = dates.LAST_DAY - dates.FIRST_DAY
_DAYS_TO_1900: Final = 693_595
_FIRST_OF_DATETIME: Final = -53_690
"""1753-01-01, from 1900-01-01 on."""
_TICKS: Final = 10_000_000
_DAY_S: Final = 86_400
_DAY_TICKS: Final = _DAY_S * _TICKS
_DATETIME_UNITS: Final = 300
_MAX_OFFSET: Final = 840
_MINUTE_TICKS: Final = 60 * _TICKS
_TIME: Final = r"(?P<h>[0-9]{2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2})(?:\.(?P<f>[0-9]{0,7}))?)?"
_OFFSET: Final = r" ?(?P<z>Z|[+-][0-9]{2}:[0-9]{2})"
_DATE: Final = r"(?P<d>[0-9-]{8,10})"


def _dates(days: Ints) -> Bytes:
    """uint8[n, 10]: YYYY-MM-DD of days since 0001-01-01, all of which exist."""
    matrix, _ = dates.render((days + dates.FIRST_DAY).astype(np.int32), np.ones(len(days), np.bool_))
    return matrix


def _times(ticks: Ints, scale: int) -> Bytes:
    """uint8[n, 8] HH:MM:SS, or with a fraction of `scale` digits."""
    matrix = np.full((len(ticks), 9 + scale if scale else 8), ord(":"), np.uint8)
    seconds = ticks // _TICKS
    for place, part in ((0, seconds // 3600), (3, seconds // 60 % 60), (6, seconds % 60)):
        matrix[:, place : place + 2] = digits(part, 2)
    if scale:
        matrix[:, 8] = ord(".")
        matrix[:, 9:] = digits(ticks % _TICKS // 10 ** (7 - scale), scale)
    return matrix


def _moments(days: Ints, ticks: Ints, scale: int) -> Bytes:
    return np.concatenate([_dates(days), np.full((len(days), 1), ord("T"), np.uint8), _times(ticks, scale)], axis=1)


def _inside(days: Ints) -> Bools:
    return (days >= 0) & (days <= _LAST_DAY)


def _decoded(matrix: Bytes, codes: Codes, fits: Bools) -> Decoded:
    return Decoded(text_rows(matrix), first_of(codes, coded(~fits, CellCode.CELL_RANGE)))


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Parts of text that states moments: whole numbers, 0 where a part is missing."""

    days: Ints
    ticks: Ints
    offset: Ints


def _parts(array: pa.Array, pattern: str) -> _Parts:
    """The parts of text in which every value matches; ValueUnfit for others, and for a day or time that is none."""
    text = as_text(array)
    found = pc.extract_regex(text, f"^{pattern}$")
    require(found.null_count == 0)
    names = {field.name for field in found.type}
    days = _days_of(found.field("d")) if "d" in names else np.zeros(len(text), np.int64)
    ticks, offset = np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)
    if "h" in names:
        hours, minutes, seconds = (_int(found.field(name)) for name in "hms")
        require((hours < 24) & (minutes < 60) & (seconds < 60))
        fraction = _int(pc.ascii_rpad(found.field("f"), 7, "0"))
        ticks = ((hours * 60 + minutes) * 60 + seconds) * _TICKS + fraction
    if "z" in names:
        offset = _offsets(found.field("z"))
    return _Parts(days, ticks, offset)


def _int(text: pa.Array) -> Ints:
    """Of text of digits; 0 of none."""
    filled = pc.if_else(pc.equal(pc.binary_length(text), 0), "0", text)
    return arrow.numbers(filled.cast(pa.int64()))


def _days_of(text: pa.Array) -> Ints:
    found = dates.parse(read(text))
    require(found.whole)
    return dates.day_numbers(found.year, found.month, found.day).astype(np.int64) - dates.FIRST_DAY


def _offsets(text: pa.Array) -> Ints:
    """Minutes of Z, +HH:MM and -HH:MM; Z is none."""
    text = pc.if_else(pc.is_in(text, pa.array(["Z", ""])), "+00:00", text)
    sizes = [_int(pc.utf8_slice_codeunits(text, start, start + 2)) for start in (1, 4)]
    minutes = sizes[0] * 60 + sizes[1]
    require((sizes[1] < 60) & (minutes <= _MAX_OFFSET))
    negative = arrow.bools(pc.starts_with(text, "-"))
    return np.where(negative, -minutes, minutes)


def _fits_scale(ticks: Ints, scale: int) -> Bools:
    fits: Bools = ticks % 10 ** (7 - scale) == 0
    return fits


@dataclass(frozen=True, slots=True)
class Dates(Encoding):
    """Days."""

    def decode(self, values: Values) -> Decoded:
        """As text."""
        matrix, codes = of_width(values, 3)
        days = number(matrix, 0, 3)
        fits = _inside(days)
        return _decoded(_dates(days * fits), codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of YYYY-MM-DD and YYYYMMDD."""
        return rows_of(little_endian(_parts(array, _DATE).days, 3))


@dataclass(frozen=True, slots=True)
class Times(Encoding):
    """Times of day with a fraction of `scale` digits."""

    scale: int

    def decode(self, values: Values) -> Decoded:
        """As text."""
        matrix, codes = of_width(values, 5)
        ticks = number(matrix, 0, 5)
        fits = (ticks < _DAY_TICKS) & _fits_scale(ticks, self.scale)
        return _decoded(_times(ticks * fits, self.scale), codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of HH:MM, HH:MM:SS, and with a fraction."""
        ticks = _parts(array, _TIME).ticks
        require(_fits_scale(ticks, self.scale))
        return rows_of(little_endian(ticks, 5))


@dataclass(frozen=True, slots=True)
class Datetime2(Encoding):
    """Moments without a zone, with a fraction of `scale` digits."""

    scale: int

    def decode(self, values: Values) -> Decoded:
        """As text."""
        matrix, codes = of_width(values, 8)
        ticks, days = number(matrix, 0, 5), number(matrix, 5, 3)
        fits = (ticks < _DAY_TICKS) & _inside(days) & _fits_scale(ticks, self.scale)
        return _decoded(_moments(days * fits, ticks * fits, self.scale), codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of a date, and of a date with a time."""
        parts = _parts(array, f"{_DATE}(?:[T ]{_TIME})?")
        require(_fits_scale(parts.ticks, self.scale))
        return rows_of(np.concatenate([little_endian(parts.ticks, 5), little_endian(parts.days, 3)], axis=1))


@dataclass(frozen=True, slots=True)
class DatetimeOffsets(Encoding):
    """Moments with the offset of their zone, with a fraction of `scale` digits."""

    scale: int

    def decode(self, values: Values) -> Decoded:
        """As text: the local time."""
        matrix, codes = of_width(values, 10)
        ticks, days = number(matrix, 0, 5), number(matrix, 5, 3)
        offset = np.ascontiguousarray(matrix[:, 8:]).view("<i2")[:, 0].astype(np.int64)
        local_days, local_ticks = _moved(days, ticks, offset)
        fits = (ticks < _DAY_TICKS) & _inside(days) & _inside(local_days) & _fits_scale(ticks, self.scale)
        fits &= np.abs(offset) <= _MAX_OFFSET
        zone = np.full((len(ticks), 6), ord(":"), np.uint8)
        minutes = np.abs(offset) * fits
        zone[:, 0] = np.where(offset < 0, ord("-"), ord("+"))
        zone[:, 1:3], zone[:, 4:] = digits(minutes // 60, 2), digits(minutes % 60, 2)
        moments = _moments(local_days * fits, local_ticks * fits, self.scale)
        return _decoded(np.concatenate([moments, zone], axis=1), codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of a date with a time and an offset."""
        parts = _parts(array, f"{_DATE}[T ]{_TIME}{_OFFSET}")
        days, ticks = _moved(parts.days, parts.ticks, -parts.offset)
        require(_inside(days) & _fits_scale(ticks, self.scale))
        pieces = (little_endian(ticks, 5), little_endian(days, 3), little_endian(parts.offset, 2))
        return rows_of(np.concatenate(pieces, axis=1))


def _moved(days: Ints, ticks: Ints, minutes: Ints) -> tuple[Ints, Ints]:
    """The moment so many minutes later."""
    moved = ticks + minutes * _MINUTE_TICKS
    days_on = moved // _DAY_TICKS
    return days + days_on, moved - days_on * _DAY_TICKS


@dataclass(frozen=True, slots=True)
class Datetimes(Encoding):
    """Moments in units of 1/300 s, from 1753 on."""

    def decode(self, values: Values) -> Decoded:
        """As text with milliseconds, rounded as SQL Server shows them."""
        matrix, codes = of_width(values, 8)
        days = np.ascontiguousarray(matrix[:, :4]).view("<i4")[:, 0].astype(np.int64)
        units = number(matrix, 4, 4)
        fits = (days >= _FIRST_OF_DATETIME) & _inside(days + _DAYS_TO_1900) & (units < _DAY_S * _DATETIME_UNITS)
        thousandths = (units * fits * 10 + 1) // 3
        moments = _moments((days + _DAYS_TO_1900) * fits, thousandths * (_TICKS // 1000), 3)
        return _decoded(moments, codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of a date, and of a date with a time; its last digit becomes the next of 0, 3 and 7."""
        parts = _parts(array, f"{_DATE}(?:[T ]{_TIME})?")
        require(_fits_scale(parts.ticks, 3))
        units = (parts.ticks // (_TICKS // 1000) * 3 + 5) // 10
        later = units // (_DAY_S * _DATETIME_UNITS)
        days = parts.days - _DAYS_TO_1900 + later
        require((days >= _FIRST_OF_DATETIME) & _inside(days + _DAYS_TO_1900))
        units -= later * _DAY_S * _DATETIME_UNITS
        return rows_of(np.concatenate([little_endian(days, 4), little_endian(units, 4)], axis=1))


@dataclass(frozen=True, slots=True)
class SmallDatetimes(Encoding):
    """Minutes, from 1900 to 2079."""

    def decode(self, values: Values) -> Decoded:
        """As text without seconds."""
        matrix, codes = of_width(values, 4)
        days, minutes = number(matrix, 0, 2), number(matrix, 2, 2)
        fits = minutes < _DAY_S // 60
        moments = _moments(days + _DAYS_TO_1900, minutes * fits * _MINUTE_TICKS, 0)
        return _decoded(np.ascontiguousarray(moments[:, :-3]), codes, fits)

    def encode(self, array: pa.Array) -> Values:
        """Of a date, and of a date with a time to the minute."""
        parts = _parts(array, f"{_DATE}(?:[T ]{_TIME})?")
        days, minutes = parts.days - _DAYS_TO_1900, parts.ticks // _MINUTE_TICKS
        require((days >= 0) & (days < 1 << 16) & (parts.ticks % _MINUTE_TICKS == 0))
        return rows_of(np.concatenate([little_endian(days, 2), little_endian(minutes, 2)], axis=1))
