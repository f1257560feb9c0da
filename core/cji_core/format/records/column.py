"""Text columns as numpy arrays, and back: no copy on the way in, no Python object per value.

A column of `utf8` or `binary` is bytes and offsets (Arrow columnar format, "Variable-size Binary Layout").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.char import str_len  # numpy would import it when first used, which a sealed cell cannot

from cji_core.format.records import arrow

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Text:
    """A column of `n` values: value i is data[starts[i] : starts[i] + lengths[i]].

    data uint8; starts int64[n]; lengths int64[n], 0 for null. A value of no bytes counts as missing, as null does.
    """

    data: Bytes
    starts: Ints
    lengths: Ints

    @property
    def filled(self) -> Bools:
        """bool[n]: the value is neither null nor empty."""
        return self.lengths > 0


def read(array: pa.Array) -> Text:
    """A validated `utf8` or `binary` array as Text; `data` is a view of the array's memory."""
    offsets, data = arrow.text(array)
    starts = offsets[:-1].astype(np.int64)
    lengths = offsets[1:] - starts
    if array.null_count:
        lengths *= arrow.present(array)
    return Text(data=data, starts=starts, lengths=lengths)


def fixed(text: Text, rows: Ints, width: int) -> Bytes:
    """uint8[len(rows), width]: the values of `rows`, each of which has exactly `width` bytes."""
    if not len(rows):
        return np.empty((0, width), np.uint8)
    starts = text.starts[rows]
    first, last = int(starts[0]), int(starts[-1]) + width
    if last - first == width * len(rows) and (np.diff(starts) == width).all():
        return text.data[first:last].reshape(-1, width)
    # every position of `data` seen as one item of `width` bytes
    positions = np.ndarray((len(text.data) - width + 1,), f"V{width}", text.data, strides=(1,))
    return positions[starts].view(np.uint8).reshape(-1, width)


def items(matrix: Bytes) -> npt.NDArray[np.void]:
    """V<width>[n]: a view of uint8[n, width], whose rows must be contiguous, with each row as one item.

    numpy gathers and scatters items whole, and rows byte by byte, which takes ten times as long.
    """
    return matrix.view(f"V{matrix.shape[1]}")[:, 0]


def pack_strings(values: npt.NDArray[np.bytes_]) -> pa.Array:
    """A `binary` array of byte strings, null where there is nothing."""
    width = max(values.dtype.itemsize, 1)
    matrix = np.ascontiguousarray(values.astype(f"S{width}")).view(np.uint8).reshape(-1, width)
    return pack(matrix, str_len(values).astype(np.int64), pa.binary())


def pack(matrix: Bytes, lengths: Ints, data_type: pa.DataType) -> pa.Array:
    """An array whose value i is the first lengths[i] bytes of row i of `matrix`, null where lengths[i] is 0."""
    width = matrix.shape[1]
    whole = lengths == width
    if whole.all():
        data = matrix
    elif (whole | (lengths == 0)).all():
        data = items(matrix)[whole].view(np.uint8)
    else:
        data = matrix[np.arange(width) < lengths[:, None]]
    return arrow.from_bytes(data, lengths, data_type)
