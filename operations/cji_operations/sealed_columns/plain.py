"""Shared by the encodings of all types: values into a column, checked, and out of it again.

An encoding turns the bytes that a cell holds into a column in the form in which a client sends such a value, and back.
It gets the values whose cells are sound. A value that its type does not have gets a code, and the
entry of the column for it is never used.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Text, fixed
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.cells import Codes


class ValueUnfit(Exception):  # noqa: N818 - it becomes the Refusal of the job
    """A value cannot be sealed as the column's type; which one, and why, depends on values and is not reported."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Decoded:
    """`array` is text, bytes, truth values or whole numbers; `codes` are 0 where the value is one of the type."""

    array: pa.Array
    codes: Codes


class Encoding(ABC):
    """How the values of one type lie in cells."""

    __slots__ = ()

    @abstractmethod
    def decode(self, values: Text) -> Decoded:
        """The column."""

    @abstractmethod
    def encode(self, array: pa.Array) -> Text:
        """The bytes of each value of a column without nulls. Raises ValueUnfit."""

    def bare(self, values: Text) -> Text:
        """The values without what a reader pads them with."""
        return values


def of_width(values: Text, width: int) -> tuple[Bytes, Codes]:
    """(uint8[n, width], zero where a value has another length; CELL_FORM there)."""
    fits = values.lengths == width
    if fits.all():
        return fixed(values, np.arange(len(fits)), width), np.zeros(len(fits), np.uint16)
    matrix = np.zeros((len(fits), width), np.uint8)
    rows = np.flatnonzero(fits)
    matrix[rows] = fixed(values, rows, width)
    return matrix, coded(~fits, CellCode.CELL_FORM)


def coded(wrong: Bools, code: CellCode) -> Codes:
    """The code where it is wrong."""
    return wrong * np.uint16(code)


def first_of(*codes: Codes) -> Codes:
    """For each value the first code that it has."""
    found = codes[0]
    for more in codes[1:]:
        found = np.where(found > 0, found, more)
    return found


def number(matrix: Bytes, first: int, width: int) -> npt.NDArray[np.int64]:
    """int64[n]: the little-endian number without sign in so many bytes of each row, at most 7."""
    found = np.zeros(len(matrix), np.int64)
    for place in range(width):
        found |= matrix[:, first + place].astype(np.int64) << (8 * place)
    return found


def little_endian(numbers: npt.NDArray[np.int64], width: int) -> Bytes:
    """uint8[n, width]: the low bytes of each number."""
    return np.ascontiguousarray(numbers, "<i8").view(np.uint8).reshape(-1, 8)[:, :width]


def compact(values: Text) -> pa.Array:
    """The values as a `binary` array; those of no bytes are empty, not null."""
    n = len(values.lengths)
    ends = np.empty(2 * n + 1, np.int32)
    ends[0] = 0
    # every second value of an array of gaps and values
    ends[1::2], ends[2::2] = values.starts, values.starts + values.lengths
    if n:
        ends[0] = ends[1]
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(values.data)]
    with_gaps = pa.Array.from_buffers(pa.binary(), 2 * n, buffers)
    return with_gaps.take(arrow.from_numpy(np.arange(1, 2 * n, 2)))


def packed(data: Bytes, lengths: npt.NDArray[Any], data_type: pa.DataType) -> pa.Array:
    """An array of values that lie in `data` one after another; those of no bytes are empty, not null."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    flat = np.ascontiguousarray(data).reshape(-1)
    return pa.Array.from_buffers(data_type, len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(flat)])


def text_rows(matrix: Bytes) -> pa.Array:
    """The rows of uint8[n, width] as text."""
    return packed(matrix, np.full(len(matrix), matrix.shape[1]), pa.utf8())


def rows_of(matrix: Bytes) -> Text:
    """The rows of uint8[n, width] as values."""
    n, width = matrix.shape
    return Text(
        data=np.ascontiguousarray(matrix).reshape(-1), starts=np.arange(n) * width, lengths=np.full(n, width, np.int64)
    )


def digits(numbers: npt.NDArray[np.int64], width: int) -> Bytes:
    """uint8[n, width]: the decimal digits of each number, with leading zeros."""
    matrix = np.empty((len(numbers), width), np.uint8)
    left = numbers
    for place in range(width - 1, -1, -1):
        tens = left // 10
        matrix[:, place] = left - 10 * tens + ord("0")
        left = tens
    return matrix


def require(fits: Bools | bool) -> None:
    """Raise ValueUnfit unless every value fits."""
    if not np.all(fits):
        raise ValueUnfit


def as_text(array: pa.Array) -> pa.Array:
    """The values as `utf8`: of text and bytes as they are, of truth values 1 and 0, of numbers their digits."""
    if pa.types.is_binary(array.type):
        text = array.view(pa.utf8())
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            raise ValueUnfit from None
        return text
    if pa.types.is_boolean(array.type):
        return array.cast(pa.int8()).cast(pa.utf8())
    return array if array.type == pa.utf8() else cast(array, pa.utf8())


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array as another type. Raises ValueUnfit for a value that it does not have."""
    try:
        return array.cast(kind)
    except pa.ArrowException:
        raise ValueUnfit from None
