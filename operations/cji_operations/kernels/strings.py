"""Distinct words as byte matrices, for the kernels that compare names."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bytes, Ints, read

MAX_BYTES: Final = 255
"""A longer value is cut to this length, so that one long text does not widen the matrix of all names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Words:
    """`k` distinct values: value i is data[i, : lengths[i]].

    data uint8[k, w], w at most MAX_BYTES, zero beyond the length; in Fortran order, because kernels go through all
    words position by position. lengths int64[k].
    """

    data: Bytes
    lengths: Ints

    def __len__(self) -> int:
        return len(self.lengths)


def words(array: pa.Array) -> tuple[Words, Ints]:
    """(the distinct values of a `utf8` or `binary` array by first appearance, int64[n]: which of them a row has).

    A row that is null or empty has -1. Values are bytes: no case folding, no trimming. Values that differ only beyond
    MAX_BYTES are distinct, with the same bytes.
    """
    encoded = pc.dictionary_encode(array)
    text = read(encoded.dictionary)
    named = np.flatnonzero(text.filled)
    number = np.full(len(text.lengths) + 1, -1, np.int64)  # the last one is that of null
    number[named] = np.arange(len(named))
    code = arrow.numbers(encoded.indices.fill_null(len(text.lengths)))
    starts, lengths = text.starts[named], np.minimum(text.lengths[named], MAX_BYTES)
    columns = np.zeros((int(lengths.max(initial=0)), len(named)), np.uint8)
    for position, column in enumerate(columns):
        rows = np.flatnonzero(lengths > position)
        column[rows] = text.data[starts[rows] + position]
    return Words(data=columns.T, lengths=lengths), number[code]


def only(spoken: Words, table: Bytes) -> Words:
    """The words with each byte as in `table` uint8[256], and without those that are 0 there."""
    data = np.asfortranarray(table[spoken.data])
    kept = data != 0
    lengths = kept.sum(axis=1)
    rows = np.flatnonzero(lengths < spoken.lengths)
    order = np.argsort(~kept[rows], axis=1, kind="stable")
    data[rows] = np.take_along_axis(data[rows], order, axis=1)
    return Words(data=data, lengths=lengths)


def fold(data: Bytes) -> Bytes:
    """ASCII letters as capitals, every other byte as it is."""
    return data - np.uint8(0x20) * ((data >= ord("a")) & (data <= ord("z")))


def folded(array: pa.Array) -> pa.Array:
    """binary[n]: the values of a `utf8` or `binary` array with ASCII letters as capitals."""
    validity, offsets, data = array.buffers()
    letters = b"" if data is None else fold(np.frombuffer(data, np.uint8))
    buffers = [validity, offsets, pa.py_buffer(letters)]
    return pa.Array.from_buffers(pa.binary(), len(array), buffers, offset=array.offset)


def trimmed(array: pa.Array) -> pa.Array:
    """binary[n]: the values of a `utf8` or `binary` array without ASCII blanks at their ends."""
    return pc.ascii_trim_whitespace(array.view(pa.utf8())).view(pa.binary())
