"""Encodings of text as whole columns: UTF-16LE, UTF-8 and the code pages of SQL Server's collations, to UTF-8 and back.

All go through UTF-16 code units, which are also what a declared length counts. Code pages are tables made of Python's
codecs when the type is first used; as on Windows, a byte from 80 to 9F that stands for nothing is the control
character of its number. A code page of two bytes a character has lead bytes: a byte begins a character if an even
number of bytes in the range of lead bytes stands right before it.

Bytes that are not text become question marks, and their value is marked.
"""

import codecs
import functools
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.columns import CODE_PAGES
from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.sealed_columns.plain import packed, require

Units = npt.NDArray[np.uint16]
"""UTF-16 code units."""

_NOTHING: Final = 0xFFFF
_INSTEAD: Final = ord("?")
_HIGH, _LOW, _SURROGATE = 0xD800, 0xDC00, 0xFC00
_ASTRAL: Final = 0x10000
_POINTS: Final = 1 << 16

for _name in sorted(CODE_PAGES):  # Python would look for the codec's module when first used, which a sealed cell cannot
    codecs.lookup(_name)


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """`text` is utf8[n]; `sizes` int64[n] are UTF-16 code units; `wrong` bool[n] marks values that are not text."""

    text: pa.Array
    sizes: Ints
    wrong: Bools


class Coding(Protocol):
    """An encoding."""

    width: int
    """Bytes of a code unit: a value has a multiple of it."""

    def decode(self, data: Bytes, offsets: Ints) -> Decoding:
        """The text of values that lie one after another."""

    def encode(self, text: pa.Array) -> tuple[Bytes, Ints, Ints]:
        """(bytes of all values, the length of each, its UTF-16 code units). Raises ValueUnfit."""


class Utf16:
    """UTF-16LE."""

    width = 2

    def decode(self, data: Bytes, offsets: Ints) -> Decoding:
        """The text."""
        units, starts = data.view("<u2"), offsets // 2
        lone = _lone(units, starts)
        if lone.any():
            units = np.where(lone, np.uint16(_INSTEAD), units)
        return Decoding(to_utf8(units, starts), np.diff(starts), _with(lone, starts))

    def encode(self, text: pa.Array) -> tuple[Bytes, Ints, Ints]:
        """The bytes."""
        units, sizes = from_utf8(text)
        return units.astype("<u2").view(np.uint8), 2 * sizes, sizes


class Utf8:
    """UTF-8, as Unicode has it: no surrogates, no longer form than needed."""

    width = 1

    def decode(self, data: Bytes, offsets: Ints) -> Decoding:
        """The text."""
        wrong = np.zeros(len(offsets) - 1, np.bool_)
        if len(data) and data.max() >= 0x80:
            wrong = _with(_ill_formed(data, offsets), offsets)
            if wrong.any():
                data = np.where(np.repeat(wrong, np.diff(offsets)), np.uint8(_INSTEAD), data)
        units = ((data & 0xC0) != 0x80).astype(np.int8) + (data >= 0xF0)
        return Decoding(packed(data, np.diff(offsets), pa.utf8()), _sums(units, offsets), wrong)

    def encode(self, text: pa.Array) -> tuple[Bytes, Ints, Ints]:
        """The bytes."""
        offsets, data = arrow.text(text)
        data, starts = data[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)
        units = ((data & 0xC0) != 0x80).astype(np.int8) + (data >= 0xF0)
        return data, np.diff(starts), _sums(units, starts)


class CodePage:
    """A code page; `name` is that of Python's codec."""

    width = 1

    def __init__(self, name: str) -> None:
        self._units = np.full(_POINTS, _NOTHING, np.uint16)
        self._leads = np.zeros(256, np.bool_)
        for byte in range(256):
            text = _text_of(bytes((byte,)), name)
            if text is None and 0x80 <= byte <= 0x9F and name not in _DOUBLE:
                text = chr(byte)
            if text is not None:
                self._units[byte] = ord(text)
        if name in _DOUBLE:
            for code in range(_DOUBLE[name] << 8, _POINTS):
                text = _text_of(code.to_bytes(2, "big"), name)
                if text is not None and len(text) == 1 and ord(text) < _POINTS:
                    self._units[code], self._leads[code >> 8] = ord(text), True
        self._codes = np.full(_POINTS, _NOTHING, np.uint16)
        known = np.flatnonzero(self._units != _NOTHING)[::-1]  # of two codes of a character the first
        self._codes[self._units[known]] = known

    def decode(self, data: Bytes, offsets: Ints) -> Decoding:
        """The text."""
        codes, starts = data.astype(np.uint16), offsets
        if self._leads.any() and len(data) and data.max() >= 0x80:
            codes, starts = self._characters(data, offsets)
        units = self._units[codes]
        unknown = units == _NOTHING
        if unknown.any():
            units = np.where(unknown, np.uint16(_INSTEAD), units)
        return Decoding(to_utf8(units, starts), np.diff(starts), _with(unknown, starts))

    def _characters(self, data: Bytes, offsets: Ints) -> tuple[Units, Ints]:
        """The code of each character, and where each value begins among them; a lead byte alone has no character."""
        leads = self._leads[data]
        place = np.arange(len(data))
        # the last place at or before each at which a run of lead bytes begins
        fresh = np.zeros(len(data), np.bool_)
        fresh[offsets[:-1][offsets[:-1] < offsets[1:]]] = True
        fresh[1:] |= ~leads[:-1]
        run = np.maximum.accumulate(np.where(fresh, place, 0))
        begins = (place - run) % 2 == 0
        first = np.flatnonzero(begins)
        following = np.append(data[1:], np.uint8(0))[first]
        alone = np.append(begins[1:], True)[first]
        codes = np.where(leads[first], (data[first].astype(np.uint16) << 8) | following, data[first])
        codes = np.where(leads[first] & alone, np.uint16(_NOTHING), codes)
        counts = np.zeros(len(data) + 1, np.int64)
        np.cumsum(begins, out=counts[1:])
        return codes, counts[offsets]

    def encode(self, text: pa.Array) -> tuple[Bytes, Ints, Ints]:
        """The bytes; a character that the code page does not have is refused."""
        units, sizes = from_utf8(text)
        codes = self._codes[units]
        require(codes != _NOTHING)
        double = codes > 0xFF
        both = np.stack([(codes >> 8).astype(np.uint8), codes.astype(np.uint8)], axis=1)
        there = np.stack([double, np.ones(len(codes), np.bool_)], axis=1)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        return both[there], _sums(double.astype(np.int8) + np.int8(1), starts), sizes


_DOUBLE: Final = {"cp932": 0x81, "cp936": 0x81, "cp949": 0x81, "cp950": 0x81}
"""The code pages with characters of two bytes, and the first lead byte."""


@functools.cache
def coding(name: str | None) -> Coding:
    """The encoding of this code page; UTF-16LE for none."""
    if name is None:
        return Utf16()
    return Utf8() if name == "utf-8" else CodePage(name)


def _text_of(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        return None


def _sums(numbers: npt.NDArray[np.int8], starts: Ints) -> Ints:
    """int64[n]: the sum of the numbers of each value."""
    sums = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(numbers, out=sums[1:])
    return np.diff(sums[starts])


def _with(marks: Bools, starts: Ints) -> Bools:
    """bool[n]: the value has a mark."""
    if not marks.any():
        return np.zeros(len(starts) - 1, np.bool_)
    marked: Bools = _sums(marks.view(np.int8), starts) > 0
    return marked


def _lone(units: Units, starts: Ints) -> Bools:
    """Halves of surrogate pairs without the other half."""
    high, low = (units & _SURROGATE) == _HIGH, (units & _SURROGATE) == _LOW
    follows = np.zeros(len(units) + 1, np.bool_)
    follows[1:] = high
    follows[starts] = False  # the one before is another value's
    pair = low & follows[:-1]
    second = np.append(pair[1:], np.zeros(min(1, len(pair)), np.bool_))
    lone: Bools = (high & ~second) | (low & ~pair)
    return lone


def to_utf8(units: Units, starts: Ints) -> pa.Array:
    """utf8[n] of code units without lone surrogates; value i is units[starts[i] : starts[i + 1]]."""
    if not len(units) or units.max() < 0x80:
        return packed(units.astype(np.uint8), np.diff(starts), pa.utf8())
    high, low = (units & _SURROGATE) == _HIGH, (units & _SURROGATE) == _LOW
    size = 1 + (units >= 0x80).astype(np.int8) + (units >= 0x800)
    size[high], size[low] = 4, 0
    ends = np.cumsum(size, dtype=np.int64)
    at = ends - size
    points = units.astype(np.int64)
    places = np.flatnonzero(high)
    points[places] = _ASTRAL + ((points[places] - _HIGH) << 10) + points[places + 1] - _LOW
    out = np.empty(int(ends[-1]), np.uint8)
    for length, lead in ((1, 0), (2, 0xC0), (3, 0xE0), (4, 0xF0)):
        rows = np.flatnonzero(size == length)
        point = points[rows]
        for place in range(length - 1, 0, -1):
            out[at[rows] + place] = 0x80 | (point & 0x3F)
            point >>= 6
        out[at[rows]] = lead | point
    return packed(out, _sums(size.astype(np.int8), starts), pa.utf8())


def from_utf8(text: pa.Array) -> tuple[Units, Ints]:
    """(the code units of all values, one after another; how many each has) of valid text."""
    offsets, data = arrow.text(text)
    data, starts = data[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)
    if not len(data) or data.max() < 0x80:
        return data.astype(np.uint16), np.diff(starts)
    first = np.flatnonzero((data & 0xC0) != 0x80)
    lead = data[first].astype(np.int64)
    size = 1 + (lead >= 0xC0).astype(np.int64) + (lead >= 0xE0) + (lead >= 0xF0)
    points = np.where(size == 1, lead, lead & (0x7F >> size))
    for place in range(1, 4):
        rows = np.flatnonzero(size > place)
        points[rows] = (points[rows] << 6) | (data[first[rows] + place] & 0x3F)
    astral = points >= _ASTRAL
    both = np.stack([_HIGH + ((points - _ASTRAL) >> 10), _LOW + ((points - _ASTRAL) & 0x3FF)], axis=1)
    both[~astral, 1] = points[~astral]
    there = np.stack([astral, np.ones(len(astral), np.bool_)], axis=1)
    of_byte = np.zeros(len(data), np.int8)
    of_byte[first] = 1 + astral
    return both[there].astype(np.uint16), _sums(of_byte, starts)


def _ill_formed(data: Bytes, offsets: Ints) -> Bools:
    """Bytes that UTF-8 does not have where they stand (Unicode, table 3-7)."""
    follows = (data & 0xC0) == 0x80
    size = (data >= 0xC2).astype(np.int8) + (data >= 0xE0) + (data >= 0xF0)
    ends = np.repeat(offsets[1:], np.diff(offsets))
    expected = np.zeros(len(data), np.bool_)
    wrong: Bools = (data == 0xC0) | (data == 0xC1) | (data > 0xF4)
    for place in (1, 2, 3):
        rows = np.flatnonzero(size >= place)
        inside = rows + place < ends[rows]
        expected[rows[inside] + place] = True
        wrong[rows[~inside]] = True
    second = np.append(data[1:], np.uint8(0))
    wrong |= (expected != follows) | ((data == 0xE0) & (second < 0xA0)) | ((data == 0xED) & (second >= 0xA0))
    wrong |= ((data == 0xF0) & (second < 0x90)) | ((data == 0xF4) & (second >= 0x90))
    return wrong
