"""The one bridge between Arrow and numpy: numpy views of Arrow arrays, and Arrow arrays built from numpy memory.

Nothing is copied unless a docstring states it, and no value becomes a Python object. `pa.array` is not used for
them: it first looks for pandas, which takes longer than the rest of a start, and a sealed cell cannot import it.

Layouts: Arrow columnar format, "Fixed-size Primitive", "Variable-size Binary" and "Variable-size List Layout".
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


def numbers(array: pa.Array) -> npt.NDArray[Any]:
    """T[n]: the values of an array of numbers, as a view. The value of a null is undefined."""
    dtype, n = np.dtype(array.type.to_pandas_dtype()), len(array)
    return np.frombuffer(array.buffers()[1], dtype, n, dtype.itemsize * array.offset) if n else np.empty(0, dtype)


def bools(array: pa.Array) -> Bools:
    """bool[n]: the values of an array of booleans, unpacked. The value of a null is undefined."""
    return _unpacked(array.buffers()[1], array.offset, len(array))


def present(array: pa.Array) -> Bools:
    """bool[n]: the value is not null."""
    validity = array.buffers()[0]
    return np.ones(len(array), np.bool_) if validity is None else _unpacked(validity, array.offset, len(array))


def text(array: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """(int32[n + 1] offsets, uint8 data) of a `utf8` or `binary` array, as views.

    Value i is data[offsets[i] : offsets[i + 1]].
    """
    _, offsets, data = array.buffers()
    if not len(array):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    start = 4 * array.offset
    return (
        np.frombuffer(offsets, np.int32, len(array) + 1, start),
        np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8),
    )


def from_numpy(
    values: npt.NDArray[Any], data_type: pa.DataType | None = None, *, valid: Bools | None = None
) -> pa.Array:
    """Numbers or booleans T[n] as an array, null where not `valid`.

    Without a `data_type` it is that of `values`. Booleans, another type and memory with gaps are copied.
    """
    kind = pa.from_numpy_dtype(values.dtype) if data_type is None else data_type
    data = _packed(values) if kind == pa.bool_() else np.ascontiguousarray(values, kind.to_pandas_dtype())
    validity = None if valid is None else pa.py_buffer(_packed(valid))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(data)])


def from_rows(rows: Bytes) -> pa.Array:
    """The rows of uint8[n, width] as fixed-size binary values."""
    n, width = rows.shape
    return pa.Array.from_buffers(pa.binary(width), n, [None, pa.py_buffer(np.ascontiguousarray(rows))])


def from_texts(texts: Iterable[str], data_type: pa.DataType) -> pa.Array:
    """A few texts of the program as a `utf8` or `binary` array, null where empty."""
    values = [text.encode() for text in texts]
    return from_bytes(np.frombuffer(b"".join(values), np.uint8), np.array([len(value) for value in values]), data_type)


def from_bytes(data: Bytes, lengths: npt.NDArray[np.integer[Any]], data_type: pa.DataType) -> pa.Array:
    """A `utf8` or `binary` array of values that lie in `data` one after another, null where the length is 0."""
    n = len(lengths)
    offsets = np.zeros(n + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    nulls = n - int(np.count_nonzero(lengths))
    validity = pa.py_buffer(_packed(lengths > 0)) if nulls else None
    flat = np.ascontiguousarray(data).reshape(-1)
    return pa.Array.from_buffers(data_type, n, [validity, pa.py_buffer(offsets), pa.py_buffer(flat)], nulls)


def from_lists(offsets: npt.NDArray[np.int32], values: npt.NDArray[Any], data_type: pa.DataType) -> pa.Array:
    """A list array: list i is values[offsets[i] : offsets[i + 1]]."""
    children = [from_numpy(values, data_type.value_type)]
    return pa.Array.from_buffers(data_type, len(offsets) - 1, [None, pa.py_buffer(offsets)], children=children)


def concat(arrays: Iterable[pa.Array], data_type: pa.DataType) -> pa.Array:
    """One array of all values, copied; of none where there is no array."""
    return pa.concat_arrays([pa.nulls(0, data_type), *arrays])


def cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """Views of the batch of at most `rows` rows each; none of an empty batch."""
    return (batch.slice(first, rows) for first in range(0, batch.num_rows, rows))


def own(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A copy of the batch in memory of its own; batches that a reader yields are views that it takes back."""
    return pa.ipc.read_record_batch(pa.ipc.read_message(batch.serialize()), batch.schema)


def with_text(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with text where it has bytes and the schema has text, as views that are not checked."""
    if batch.schema.equals(schema) or len(batch.schema) != len(schema):
        return batch
    text = [a.type == pa.binary() and b.type == pa.utf8() for a, b in zip(batch.schema, schema, strict=True)]
    return pa.RecordBatch.from_arrays(
        [column.view(pa.utf8()) if is_text else column for column, is_text in zip(batch.columns, text, strict=True)],
        schema=pa.schema(
            [
                field.with_type(pa.utf8()) if is_text else field
                for field, is_text in zip(batch.schema, text, strict=True)
            ]
        ),
    )


def _unpacked(bits: pa.Buffer | None, offset: int, n: int) -> Bools:
    if bits is None or not n:
        return np.zeros(n, np.bool_)
    unpacked = np.unpackbits(np.frombuffer(bits, np.uint8), count=offset + n, bitorder="little")
    return unpacked[offset:].view(np.bool_)


def _packed(flags: Bools) -> Bytes:
    return np.packbits(flags, bitorder="little")
