"""Text, bytes and identifiers in cells.

    nchar(n) nvarchar(n)        UTF-16LE
    char(n) varchar(n)          the bytes of a code page, or UTF-8
    string                      UTF-8
    binary(n) varbinary(n)      the bytes
    uniqueidentifier            16 bytes, the first three groups little-endian

The length of text counts UTF-16 code units, as SQL Server's client does, that of bytes bytes. None is padded in a cell:
char and nchar are opened with blanks up to their length and binary with zeros, as drivers return them, and sealed as
they are given. Bytes that are not text, such as half a surrogate pair, are refused.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bytes, Ints, Text, fixed, read
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.code_pages import Coding
from cji_operations.sealed_columns.plain import (
    Decoded,
    Encoding,
    as_text,
    coded,
    compact,
    first_of,
    of_width,
    packed,
    require,
    rows_of,
    text_rows,
)

_GUID_ORDER: Final = np.array([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15])
_DASHES: Final = (8, 13, 18, 23)
_GUID_DIGITS: Final = np.array([place for place in range(36) if place not in _DASHES])
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_GUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True, slots=True)
class Texts(Encoding):
    """Text of at most `limit` code units, of any length without one; `padded` to it."""

    coding: Coding
    limit: int | None
    padded: bool

    def decode(self, values: Text) -> Decoded:
        """As text."""
        whole = values.lengths % self.coding.width == 0
        found = compact(Text(data=values.data, starts=values.starts, lengths=values.lengths * whole))
        offsets, data = arrow.text(found)
        text = self.coding.decode(data, offsets.astype(np.int64))
        codes = first_of(coded(~whole, CellCode.CELL_FORM), coded(text.wrong, CellCode.CELL_TEXT))
        array = text.text
        if self.limit is not None:
            codes = first_of(codes, coded(text.sizes > self.limit, CellCode.CELL_TOO_LONG))
            if self.padded:
                array = _padded(array, np.maximum(self.limit - text.sizes, 0), ord(" "))
        return Decoded(array, codes)

    def encode(self, array: pa.Array) -> Text:
        """Of text; a character that the code page does not have is refused."""
        data, lengths, sizes = self.coding.encode(as_text(array))
        require(self.limit is None or sizes <= self.limit)
        return Text(data=data, starts=np.cumsum(lengths) - lengths, lengths=lengths)

    def bare(self, values: Text) -> Text:
        """The values without the blanks that a reader pads them with."""
        return _stripped(values, " ".encode("utf-16-le")[: self.coding.width]) if self.padded else values


@dataclass(frozen=True, slots=True)
class Binaries(Encoding):
    """At most `limit` bytes, of any number without one; `padded` to it."""

    limit: int | None
    padded: bool

    def decode(self, values: Text) -> Decoded:
        """As bytes."""
        array, codes = compact(values), np.zeros(len(values.lengths), np.uint16)
        if self.limit is not None:
            codes = coded(values.lengths > self.limit, CellCode.CELL_TOO_LONG)
            if self.padded:
                array = _padded(array, np.maximum(self.limit - values.lengths, 0), 0)
        return Decoded(array, codes)

    def encode(self, array: pa.Array) -> Text:
        """Of bytes, and of text as UTF-8."""
        values = read(array if pa.types.is_binary(array.type) else as_text(array))
        require(self.limit is None or values.lengths <= self.limit)
        return values

    def bare(self, values: Text) -> Text:
        """The values without the zeros that a reader pads them with."""
        return _stripped(values, b"\0") if self.padded else values


def _padded(array: pa.Array, missing: Ints, padding: int) -> pa.Array:
    """The values with so many bytes of padding behind each."""
    total = int(missing.sum())
    if not total:
        return array
    filling = packed(np.full(total, padding, np.uint8), missing, array.type)
    return pc.binary_join_element_wise(array, filling, packed(np.empty(0, np.uint8), missing * 0, array.type))


def _stripped(values: Text, padding: bytes) -> Text:
    """The values without this padding at their ends."""
    lengths, width = values.lengths.copy(), len(padding)
    rows = np.arange(len(lengths))
    while len(rows := rows[lengths[rows] >= width]):
        ends = values.starts[rows] + lengths[rows] - width
        same = np.ones(len(rows), np.bool_)
        for place, byte in enumerate(padding):
            same &= values.data[ends + place] == byte
        rows = rows[same]
        lengths[rows] -= width
    return Text(data=values.data, starts=values.starts, lengths=lengths)


@dataclass(frozen=True, slots=True)
class Guids(Encoding):
    """Identifiers of 16 bytes."""

    def decode(self, values: Text) -> Decoded:
        """As text: 32 hexadecimal digits in lower case, in five groups."""
        matrix, codes = of_width(values, len(_GUID_ORDER))
        found = matrix[:, _GUID_ORDER]
        text = np.full((len(matrix), 36), ord("-"), np.uint8)
        text[:, _GUID_DIGITS] = _HEX[np.stack([found >> 4, found & 15], axis=2).reshape(-1, 32)]
        return Decoded(text_rows(text), codes)

    def encode(self, array: pa.Array) -> Text:
        """Of text in five groups, upper or lower case."""
        text = pc.ascii_lower(as_text(array))
        require(len(text) == 0 or pc.all(pc.match_substring_regex(text, _GUID)).as_py())
        digits: Bytes = fixed(read(text), np.arange(len(text)), 36)[:, _GUID_DIGITS]
        halves = np.searchsorted(_HEX, digits)
        values: Bytes = ((halves[:, ::2] << 4) | halves[:, 1::2]).astype(np.uint8)
        return rows_of(values[:, _GUID_ORDER])
