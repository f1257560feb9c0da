"""A value made of arrays, laid out in a region of memory where another process finds it again.

The region begins with the length of a catalogue (8 bytes, little-endian) and the catalogue, MessagePack: the value's
own structure, and for each array its type, shape, order and where its bytes lie, at multiples of 64. Reading it back is
decoding by type: the region holds no code, and arrays are views of it that cannot be written to.
"""

from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.documents import msgpack
from cji_core.errors import Reason, Refusal, Stage

T = TypeVar("T")

_ALIGNMENT: Final = 64  # bytes, as Arrow's buffers have
_LENGTH_BYTES: Final = 8


class _ArrayEntry(msgspec.Struct, frozen=True, array_like=True):
    """The catalogue entry of one array: where it lies, and how to view it."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    fortran: bool


def store(value: object, room: memoryview) -> None:
    """Lay out a dataclass of arrays, record batches, and dataclasses and mappings of such.

    Raises: Refusal(LIMIT_EXCEEDED) where there is not enough room; `room` then holds nothing that can be restored.
    """
    arrays = list[npt.NDArray[Any]]()

    def listed(part: object) -> int:
        if isinstance(part, pa.RecordBatch):
            part = np.frombuffer(_stream(part), np.uint8)
        if not isinstance(part, np.ndarray):
            raise TypeError(type(part).__name__)
        arrays.append(part)
        return len(arrays) - 1

    structure = msgspec.msgpack.encode(value, enc_hook=listed)
    room[:_LENGTH_BYTES] = bytes(_LENGTH_BYTES)
    entries, end = list[_ArrayEntry](), 0
    for array in arrays:
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        entries.append(_ArrayEntry(offset=end, dtype=array.dtype.str, shape=array.shape, fortran=fortran))
        end = _aligned(end + array.nbytes)
    catalogue = msgspec.msgpack.encode((entries, structure))
    first = _aligned(_LENGTH_BYTES + len(catalogue))
    if first + end > len(room):
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    for array, entry in zip(arrays, entries, strict=True):
        _view(room, first, entry)[...] = array
    room[_LENGTH_BYTES : _LENGTH_BYTES + len(catalogue)] = catalogue
    room[:_LENGTH_BYTES] = len(catalogue).to_bytes(_LENGTH_BYTES, "little")


def restore(kind: type[T], room: memoryview) -> T:
    """The value of type `kind` that `store` laid out.

    Raises: Refusal(INTERNAL) where none was.
    """
    room = room.toreadonly()
    length = int.from_bytes(room[:_LENGTH_BYTES], "little")
    first = _aligned(_LENGTH_BYTES + length)
    if not length or first > len(room):
        raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
    entries, structure = msgpack(room[_LENGTH_BYTES : _LENGTH_BYTES + length], tuple[list[_ArrayEntry], bytes])

    def found(part: type, number: int) -> object:
        array = _view(room, first, entries[number])
        return _batch(array) if part is pa.RecordBatch else array

    return msgpack(structure, kind, dec_hook=found)


def _view(room: memoryview, first: int, entry: _ArrayEntry) -> npt.NDArray[Any]:
    at = first + entry.offset
    return np.ndarray(entry.shape, np.dtype(entry.dtype), room, at, order="F" if entry.fortran else "C")


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _batch(stream: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    return pa.ipc.open_stream(pa.py_buffer(stream)).read_next_batch()


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
