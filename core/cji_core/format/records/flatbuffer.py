"""The few fields of an Arrow IPC message header that must be checked before Arrow itself reads the message.

Arrow IPC describes a message in a FlatBuffers table (Apache Arrow, `Message.fbs`, `Schema.fbs`): its kind, the length
of its body, and the position of each buffer in the body. This reader accepts any bytes: every offset is checked
against the end of the header before it is followed, and none is followed twice, so it terminates and never reads
outside.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from cji_core.errors import Reason, Refusal, Stage

_BUFFER_ALIGNMENT: Final = 8  # Arrow columnar format, "Encapsulated message format"
_VERSIONS: Final = (3, 4)  # MetadataVersion V4 and V5; C# still writes V4, the layouts used here are the same


class MessageKind(enum.Enum):
    """The messages that a stream of records may contain; dictionaries and tensors are refused."""

    SCHEMA = 1
    RECORD_BATCH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHeader:
    """The kind of a message, the rows of its batch (0 for a schema), and the length of its body in bytes."""

    kind: MessageKind
    rows: int
    body_bytes: int


def malformed() -> Refusal:
    """The refusal for anything that is not a stream of plain record batches."""
    return Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)


class _Table:
    """One FlatBuffers table inside `data`; a field that is absent has its default."""

    __slots__ = ("_data", "_position", "_vtable", "_vtable_bytes")

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - self._unpack("<i", position)
        self._vtable_bytes = self._unpack("<H", self._vtable)

    @classmethod
    def root(cls, data: memoryview) -> Self:
        if len(data) < 4:
            raise malformed()
        return cls(data, int.from_bytes(data[:4], "little"))

    def _unpack(self, form: str, position: int) -> int:
        if not 0 <= position <= len(self._data) - struct.calcsize(form):
            raise malformed()
        value: int = struct.unpack_from(form, self._data, position)[0]
        return value

    def _field(self, index: int) -> int | None:
        slot = 4 + 2 * index
        if slot + 2 > self._vtable_bytes:
            return None
        offset = self._unpack("<H", self._vtable + slot)
        return self._position + offset if offset else None

    def scalar(self, index: int, form: str) -> int:
        position = self._field(index)
        return 0 if position is None else self._unpack(form, position)

    def present(self, index: int) -> bool:
        return self._field(index) is not None

    def table(self, index: int) -> "_Table":
        position = self._field(index)
        if position is None:
            raise malformed()
        return _Table(self._data, position + self._unpack("<I", position))

    def pairs(self, index: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """A vector of structs of two int64, shape (count, 2)."""
        position = self._field(index)
        if position is None:
            return np.empty((0, 2), np.int64)
        start = position + self._unpack("<I", position)
        count = self._unpack("<I", start)
        if count > (len(self._data) - start - 4) // 16:
            raise malformed()
        return np.frombuffer(self._data, "<i8", 2 * count, start + 4).reshape(-1, 2)


def read_header(data: memoryview) -> MessageHeader:
    """Read the header of one message and check that everything it refers to lies inside the message.

    Raises: Refusal(SCHEMA_MISMATCH) for any bytes that are not the header of a schema or of an uncompressed,
    dictionary-free record batch in little-endian order.
    """
    message = _Table.root(data)
    body_bytes = message.scalar(3, "<q")
    if message.scalar(0, "<h") not in _VERSIONS or body_bytes < 0 or body_bytes % _BUFFER_ALIGNMENT:
        raise malformed()
    try:
        kind = MessageKind(message.scalar(1, "<B"))
    except ValueError:
        raise malformed() from None
    header = message.table(2)
    if kind is MessageKind.SCHEMA:
        big_endian = header.scalar(0, "<h")
        if big_endian or body_bytes:
            raise malformed()
        return MessageHeader(kind=kind, rows=0, body_bytes=0)
    return MessageHeader(kind=kind, rows=_check_batch(header, body_bytes), body_bytes=body_bytes)


def _check_batch(batch: _Table, body_bytes: int) -> int:
    rows, nodes, buffers = batch.scalar(0, "<q"), batch.pairs(1), batch.pairs(2)
    compression, variadic_counts = batch.present(3), batch.present(4)
    if rows < 0 or compression or variadic_counts:
        raise malformed()
    lengths, null_counts = nodes[:, 0], nodes[:, 1]
    if nodes.min(initial=0) < 0 or (null_counts > lengths).any():
        raise malformed()
    offsets, sizes = buffers[:, 0], buffers[:, 1]
    # sizes are bounded before the subtraction, so that it cannot wrap
    if buffers.min(initial=0) < 0 or sizes.max(initial=0) > body_bytes or (offsets > body_bytes - sizes).any():
        raise malformed()
    if np.bitwise_or.reduce(offsets) % _BUFFER_ALIGNMENT:
        raise malformed()
    return rows
