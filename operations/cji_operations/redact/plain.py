"""Texts as plain ASCII in which rules look for persons, with the way back to the bytes of the texts.

One byte for every character: letters without their accents, typographic quotes, dashes and blanks as ASCII ones, any
other sign as `*`. Characters that nobody sees (soft hyphens, joiners, accents that stand alone) are left out, and so is
a hyphen at the end of a line with the line break, if letters are on both sides; so are all blanks of a row but one, and
those beside a line break. Every text ends with a line feed.

A text in which the rules could be blind has no plain form: it is empty here, and its code has the reason.
"""

import unicodedata
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records.column import Bools, Bytes, Ints, read
from cji_core.operations.redact import MAX_TEXT_BYTES, Code

LINE_FEED: Final = 0x0A
_HIDDEN: Final = 0  # a character that is left out
_OTHER_SCRIPT: Final = 1
_FORBIDDEN: Final = 2
_HYPHEN: Final = ord("-")

_APOSTROPHES: Final = frozenset("\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8")
_SIGNS: Final = {"Pd": _HYPHEN, "Pi": ord('"'), "Pf": ord('"'), "Zs": ord(" "), "Zl": LINE_FEED, "Zp": LINE_FEED}
_WITHOUT_PARTS: Final = dict(zip("ßæÆøØđĐłŁþÞðÐıœŒħĦŋŊəƏ", b"saAoOdDlLtTdDioOhHnNaA", strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Plain:
    """`n` texts as ASCII one after another.

    data uint8[m]; starts int64[n + 1]: text i is data[starts[i] : starts[i + 1]], its last byte a line feed. origin
    int64[m + 1]: the byte of the texts' own memory where each character begins. codes uint16[n]: why a text is
    withheld, 0 where it is not.
    """

    data: Bytes
    starts: Ints
    origin: Ints
    codes: npt.NDArray[np.uint16]

    def texts(self) -> pa.Array:
        """binary[n]: the plain texts in one line each: a blank for every line feed but the last."""
        data, offsets = self.data.copy(), self.starts.astype(np.int32)
        data[data == LINE_FEED] = 0x20
        data[self.starts[1:] - 1] = LINE_FEED
        return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])

    def rows(self, positions: Ints) -> Ints:
        """int64[k]: the text in which each position lies."""
        return np.searchsorted(self.starts, positions, "right") - 1


def plain(array: pa.Array) -> Plain:
    """The plain form of a `utf8` or `binary` array; a null is an empty text. `origin` counts in its data."""
    text = read(array)
    n = len(text.starts)
    codes = np.where(text.lengths > MAX_TEXT_BYTES, np.uint16(Code.TOO_LONG), np.uint16(0))
    lengths = np.where(codes > 0, 0, text.lengths)
    total = int(lengths.sum())
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    origin = np.arange(total) + np.repeat(text.starts - starts[:-1], lengths)
    data = text.data[origin]
    data = np.where(data == 0, np.uint8(_FORBIDDEN), data)
    row = np.repeat(np.arange(n), lengths)
    if (data >= 0x80).any():
        data, kept, faults = _characters(data, row, starts)
        codes = np.maximum(codes, faults)
        origin, row = origin[kept], row[kept]
    codes = _control(data, row, codes)
    keep = (codes[row] == 0) & (data != _HIDDEN)
    keep &= ~((data == 0x0D) & np.append(data[1:] == LINE_FEED, np.zeros(min(1, len(data)), np.bool_)))
    data, origin, row = _BLANKS[data[keep]], origin[keep], row[keep]
    keep = ~_wraps(data)
    data, origin, row = data[keep], origin[keep], row[keep]
    keep = ~_spare_blanks(data)
    return _ended(data[keep], origin[keep], row[keep], text.starts + text.lengths, codes)


def _ended(data: Bytes, origin: Ints, row: Ints, ends: Ints, codes: npt.NDArray[np.uint16]) -> Plain:
    """With a line feed at the end of each text, which begins where the text's own bytes end."""
    n = len(ends)
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=n) + 1, out=starts[1:])
    position = np.arange(len(data)) + row
    whole, first = np.empty(starts[-1], np.uint8), np.empty(starts[-1] + 1, np.int64)
    whole[position], first[position] = data, origin
    whole[starts[1:] - 1], first[starts[1:] - 1] = LINE_FEED, ends
    first[-1] = ends[-1] if n else 0
    return Plain(data=whole, starts=starts, origin=first, codes=codes)


# ------------------------------------------------------------------ characters


def _characters(data: Bytes, row: Ints, starts: Ints) -> tuple[Bytes, Ints, npt.NDArray[np.uint16]]:
    """(a byte for each character, the position of its first byte in `data`, uint16[n] codes of texts that fail)."""
    begins = (data & 0xC0) != 0x80
    begins[starts[:-1][starts[:-1] < starts[1:]]] = True
    first = np.flatnonzero(begins)
    lead, size = data[first], np.diff(np.append(first, len(data)))
    expected = _SIZES[lead].astype(np.int64)
    points = lead.astype(np.int64) & _LEAD_BITS[expected]
    last = len(data) - 1
    for step in range(1, 4):
        longer = expected > step
        following = data[np.minimum(first + step, last)].astype(np.int64) & 0x3F
        points = np.where(longer, (points << 6) | following, points)
    bad = (size != expected) | (points < _LEAST[expected]) | (points > 0x10FFFF) | ((points >> 11) == 0x1B)
    faults = np.zeros(len(starts) - 1, np.uint16)
    made = np.where(points < 0x80, points, 0).astype(np.uint8)
    other = np.flatnonzero((points >= 0x80) & ~bad)
    distinct, index = np.unique(points[other], return_inverse=True)
    table = np.fromiter((_byte_of(chr(point)) for point in distinct.tolist()), np.uint8, len(distinct))
    made[other] = table[index]
    for kind, code in ((_OTHER_SCRIPT, Code.OTHER_SCRIPT), (_FORBIDDEN, Code.CONTROL_CHARACTER)):
        rows = row[first[other[made[other] == kind]]]
        faults[rows] = np.maximum(faults[rows], np.uint16(code))
    faults[row[first[bad]]] = Code.NOT_UTF8
    return made, first, faults


def _byte_of(character: str) -> int:
    """The ASCII byte that stands for a character beyond ASCII, or one of the three kinds."""
    category = unicodedata.category(character)
    base = unicodedata.normalize("NFKD", character)[0]
    if category[0] in "MC":
        return _HIDDEN if category[0] == "M" or category == "Cf" else _FORBIDDEN
    if base.isascii() and base.isprintable():
        return ord(base)
    if (digit := unicodedata.digit(character, -1)) >= 0:  # of other scripts, and in a circle
        return ord("0") + digit
    words = unicodedata.name(character, "").split()
    if category == "So" and words[-2:-1] == ["LETTER"] and words[-1].isascii() and len(words[-1]) == 1:
        return ord(words[-1])  # in a square, of a flag
    if category[0] == "L" and base not in _APOSTROPHES:
        return _latin(base)
    return ord("'") if base in _APOSTROPHES else _SIGNS.get(category, ord("*"))


def _latin(letter: str) -> int:
    """A Latin letter that has no parts, as its name calls it: LATIN SMALL LETTER T WITH STROKE."""
    if letter in _WITHOUT_PARTS:
        return _WITHOUT_PARTS[letter]
    words = unicodedata.name(letter, "").split()
    if words[:1] != ["LATIN"]:
        return _OTHER_SCRIPT
    behind = words[words.index("LETTER") + 1 :] if "LETTER" in words else []
    named = next((word for word in behind if len(word) == 1), "x")
    return ord(named if "CAPITAL" in words else named.lower())


def _control(data: Bytes, row: Ints, codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """With the code of texts that have an ASCII control character; blanks and line breaks are none."""
    found = np.zeros(len(codes), np.bool_)
    found[row[_CONTROL[data]]] = True
    return np.where(found & (codes == 0), np.uint16(Code.CONTROL_CHARACTER), codes)


def _wraps(data: Bytes) -> Bools:
    """bool[m]: a hyphen, the line feed after it and the blanks of the next line, between letters."""
    found = np.zeros(len(data), np.bool_)
    hyphens = np.flatnonzero((data[1:-2] == _HYPHEN) & (data[2:-1] == LINE_FEED) & LETTERS[data[:-3]]) + 1
    for hyphen in hyphens.tolist():  # a line at a time
        end = hyphen + 2
        while end < len(data) and data[end] == 0x20:
            end += 1
        if end < len(data) and LETTERS[data[end]]:
            found[hyphen:end] = True
    return found


def _spare_blanks(data: Bytes) -> Bools:
    """bool[m]: a blank behind another one, or beside a line feed."""
    before, after = np.append(np.uint8(LINE_FEED), data[:-1]), np.append(data[1:], np.uint8(0))[: len(data)]
    found: Bools = (data == 0x20) & ((before == 0x20) | (before == LINE_FEED) | (after == LINE_FEED))
    return found


def _lut(characters: bytes) -> Bools:
    found = np.zeros(256, np.bool_)
    found[np.frombuffer(characters, np.uint8)] = True
    return found


LETTERS: Final = _lut(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
UPPER: Final = _lut(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
ALNUM: Final = LETTERS | _lut(b"0123456789")
_CONTROL: Final = _lut(bytes(c for c in (*range(1, 32), 127) if c not in b"\t\n\v\f\r"))
_BLANKS: Final = np.arange(256).astype(np.uint8)
_BLANKS[[0x09, 0x0B, 0x0C]] = 0x20
_BLANKS[0x0D] = LINE_FEED
_SIZES: Final = np.zeros(256, np.uint8)
for _first, _end, _size in ((0, 0x80, 1), (0xC2, 0xE0, 2), (0xE0, 0xF0, 3), (0xF0, 0xF5, 4)):
    _SIZES[_first:_end] = _size
_LEAD_BITS: Final = np.array([0, 0x7F, 0x1F, 0x0F, 0x07])
_LEAST: Final = np.array([0, 0, 0x80, 0x800, 0x10000])
