"""Numbers in cells: whole ones, decimals, money, and those of IEEE 754.

    bit tinyint smallint int bigint, long     8 bytes, two's complement
    decimal(p,s) numeric(p,s)     17 bytes: 1 or 0 for the sign (0 is negative), the magnitude at scale s in 16
    money smallmoney              8 bytes of value * 10 000: its high four bytes, then its low four
    real, float and double        4 and 8 bytes of IEEE 754
    bool                          8 bytes, 1 or 0

All are little-endian. As text, decimals have all digits of their scale and money has four; real and float have the
shortest digits that are the same number.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Text
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.plain import (
    Decoded,
    Encoding,
    as_text,
    cast,
    coded,
    first_of,
    of_width,
    require,
    rows_of,
)

_INTEGER: Final = r"^[+-]?[0-9]+$"
_DECIMAL: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
_REAL: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_MONEY_SCALE: Final = 4
_WIDE: Final = 38
_SIGNED: Final = 1
_WORD: Final = 1 << 64
_HALF: Final = 32


def _matching(array: pa.Array, pattern: str) -> pa.Array:
    """Text in which every value matches, without a leading plus. Raises ValueUnfit."""
    text = as_text(array)
    require(len(text) == 0 or pc.all(pc.match_substring_regex(text, pattern)).as_py())
    return pc.replace_substring_regex(text, r"^\+", "")


def _bits_of(text: pa.Array) -> pa.Array:
    """Text in which 1 stands for true and 0 for false, as columns of text have truth values of JSON."""
    for bit, word in enumerate(("false", "true")):
        text = pc.replace_substring_regex(text, f"^{word}$", str(bit))
    return text


@dataclass(frozen=True, slots=True)
class Integers(Encoding):
    """Whole numbers from `least` to `greatest`; `bits` are truth values, `words` those of JSON: true and false."""

    least: int
    greatest: int
    bits: bool = False
    words: bool = False

    def decode(self, values: Text) -> Decoded:
        """As int64, or truth values."""
        matrix, codes = of_width(values, 8)
        found = np.ascontiguousarray(matrix).view("<i8")[:, 0]
        outside = (found < self.least) | (found > self.greatest)
        array = arrow.from_numpy(found == 1) if self.bits else arrow.from_numpy(found)
        return Decoded(array, first_of(codes, coded(outside, CellCode.CELL_RANGE)))

    def encode(self, array: pa.Array) -> Text:
        """Of truth values, numbers and digits, and of words."""
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int64())
        elif not pa.types.is_integer(array.type):
            array = _matching(_bits_of(as_text(array)) if self.words else array, _INTEGER)
        found = arrow.numbers(cast(array, pa.int64()))
        require((found >= self.least) & (found <= self.greatest))
        return rows_of(np.ascontiguousarray(found, "<i8").view(np.uint8).reshape(-1, 8))


@dataclass(frozen=True, slots=True)
class Decimals(Encoding):
    """Decimals with so many digits, `scale` of them behind the point."""

    precision: int
    scale: int

    def decode(self, values: Text) -> Decoded:
        """As text."""
        matrix, codes = of_width(values, 17)
        words = np.ascontiguousarray(matrix[:, 1:]).view("<u8").astype(np.uint64)
        low, high = words[:, 0], words[:, 1]
        bound = 10**self.precision
        most_high, most_low = np.uint64(bound // _WORD), np.uint64(bound % _WORD)
        inside = (high < most_high) | ((high == most_high) & (low < most_low))
        inside &= matrix[:, 0] <= _SIGNED
        words = words * inside[:, None]
        negative = (matrix[:, 0] != _SIGNED) & words.any(axis=1)
        magnitudes = pa.Array.from_buffers(
            pa.decimal128(_WIDE, 0), len(words), [None, pa.py_buffer(np.ascontiguousarray(words))]
        )
        text = _with_point(magnitudes.cast(pa.utf8()), self.scale, negative)
        return Decoded(text, first_of(codes, coded(~inside, CellCode.CELL_RANGE)))

    def encode(self, array: pa.Array) -> Text:
        """Of numbers and text; digits that the scale does not have are refused, not rounded."""
        text = _matching(array, _DECIMAL)
        words, negative = _words(cast(text, pa.decimal128(self.precision, self.scale)))
        matrix = np.empty((len(words), 17), np.uint8)
        matrix[:, 0] = ~negative
        matrix[:, 1:] = words.view(np.uint8).reshape(-1, 16)
        return rows_of(matrix)


def _words(array: pa.Array) -> tuple[npt.NDArray[np.uint64], Bools]:
    """(uint64[n, 2] magnitudes, low word first; whether each is negative) of decimals."""
    n = len(array)
    words = np.frombuffer(array.buffers()[1], np.uint64, 2 * n, 16 * array.offset).reshape(-1, 2).copy()
    negative = (words[:, 1] >> np.uint64(63)) == 1
    rows = np.flatnonzero(negative)
    words[rows] = ~words[rows]
    words[rows, 0] += np.uint64(1)
    words[rows, 1] += words[rows, 0] == 0
    return words, negative


def _with_point(magnitudes: pa.Array, scale: int, negative: Bools) -> pa.Array:
    """Digits with a point before the last `scale` of them, and a minus before negative ones."""
    text = magnitudes
    if scale:
        text = pc.ascii_lpad(text, scale + 1, "0")
        text = pc.utf8_replace_slice(text, start=-scale, stop=-scale, replacement=".")
    if negative.any():
        text = pc.if_else(arrow.from_numpy(negative), pc.binary_join_element_wise("-", text, ""), text)
    return text


@dataclass(frozen=True, slots=True)
class Money(Encoding):
    """Money of so many bits."""

    bits: int

    def decode(self, values: Text) -> Decoded:
        """As text with four digits behind the point."""
        matrix, codes = of_width(values, 8)
        halves = np.ascontiguousarray(matrix).view("<u4").astype(np.int64)
        found = (halves[:, 0] << _HALF) | halves[:, 1]
        limit = 1 << (self.bits - 1)
        outside = (found < -limit) | (found > limit - 1)
        magnitude = np.where(found < 0, -found.view(np.uint64), found.view(np.uint64))
        text = _with_point(arrow.from_numpy(magnitude).cast(pa.utf8()), _MONEY_SCALE, found < 0)
        return Decoded(text, first_of(codes, coded(outside, CellCode.CELL_RANGE)))

    def encode(self, array: pa.Array) -> Text:
        """Of numbers and text with at most four digits behind the point."""
        words, negative = _words(cast(_matching(array, _DECIMAL), pa.decimal128(_WIDE, _MONEY_SCALE)))
        limit = np.uint64(1 << (self.bits - 1))
        require((words[:, 1] == 0) & (words[:, 0] <= limit - np.uint64(1) + negative.astype(np.uint64)))
        found = np.where(negative, -words[:, 0], words[:, 0])
        halves = np.stack([found >> np.uint64(_HALF), found & np.uint64((1 << _HALF) - 1)], axis=1).astype("<u4")
        return rows_of(halves.view(np.uint8).reshape(-1, 8))


@dataclass(frozen=True, slots=True)
class Reals(Encoding):
    """Numbers of IEEE 754 in 4 or 8 bytes; none of them is infinite or no number."""

    width: int

    def decode(self, values: Text) -> Decoded:
        """As text."""
        matrix, codes = of_width(values, self.width)
        found = np.ascontiguousarray(matrix).view(f"<f{self.width}")[:, 0]
        infinite = ~np.isfinite(found)
        text = arrow.from_numpy(np.where(infinite, 0, found).astype(found.dtype)).cast(pa.utf8())
        return Decoded(text, first_of(codes, coded(infinite, CellCode.CELL_RANGE)))

    def encode(self, array: pa.Array) -> Text:
        """Of numbers and text; in 4 bytes the nearest number."""
        kind = pa.float32() if self.width == 4 else pa.float64()
        found = arrow.numbers(cast(_matching(array, _REAL), kind))
        require(np.isfinite(found))
        return rows_of(np.ascontiguousarray(found, f"<f{self.width}").view(np.uint8).reshape(-1, self.width))
