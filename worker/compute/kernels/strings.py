"""Distinct words as byte matrices: what the kernels that compare names take."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Bytes, Ints, read

__all__ = ["Words", "fold", "words"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Words:
    """`k` distinct values: value i is data[i, : lengths[i]].

    data uint8[k, w], C order, zero beyond the length; lengths int64[k].
    """

    data: Bytes
    lengths: Ints

    def __len__(self) -> int:
        return len(self.lengths)


def words(array: pa.Array) -> tuple[Words, Ints]:
    """The distinct values of a `utf8` or `binary` array in the order of first appearance, and int64[n]: which a row has.

    A row that is null or empty has -1. Values are bytes: no case folding, no trimming.
    """
    encoded = pc.dictionary_encode(array)
    text = read(encoded.dictionary)
    named = np.flatnonzero(text.filled)
    number = np.full(len(text.lengths) + 1, -1, np.int64)  # the last one is that of null
    number[named] = np.arange(len(named))
    indices = encoded.indices.fill_null(len(text.lengths))
    code = np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset) if len(indices) else _NONE
    lengths = text.lengths[named]
    data = np.zeros((len(named), int(lengths.max(initial=0))), np.uint8)
    # the bytes of all values in one go: row by row, each up to its length
    inside = np.arange(data.shape[1]) < lengths[:, None]
    offsets = np.cumsum(lengths) - lengths
    places = np.repeat(text.starts[named] - offsets, lengths) + np.arange(int(lengths.sum()))
    data[inside] = text.data[places]
    return Words(data=data, lengths=lengths), number[code]


def fold(data: Bytes) -> Bytes:
    """uint8: ASCII letters as capitals, every other byte as it is."""
    return data - np.uint8(0x20) * ((data >= ord("a")) & (data <= ord("z")))


_NONE = np.empty(0, np.int32)
