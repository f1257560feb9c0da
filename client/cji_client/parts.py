"""One part of a job: Arrow messages into sealed segments, and sealed segments back into Arrow batches.

Neither direction holds more than one segment and one batch. On the wire, the data of segment 0 begins with the
74-byte FLOE header; every segment before the last is exactly 1 MiB long (docs/format.md).
"""

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, TypeAlias

import pyarrow as pa

from cji_client.errors import LimitExceeded, Unverified
from cji_client.sources import Batches
from cji_core.errors import Refusal
from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES, Sealer, Unsealer
from cji_core.format.job import LIMITS
from cji_core.format.records import END_OF_STREAM, StreamWriter

Bytes: TypeAlias = "bytes | memoryview | pa.Buffer"

_PAYLOAD: Final = SEGMENT_BYTES - OVERHEAD_BYTES


def arrow_messages(batches: Batches) -> Iterator[Bytes]:
    """The Arrow IPC stream of these batches, message by message."""
    writer = StreamWriter(batches.schema, max_batch_bytes=LIMITS.batch_bytes)
    yield writer.schema_message()
    for batch in batches.batches:
        try:
            yield from writer.batch_messages(batch)
        except Refusal:
            most = LIMITS.batch_bytes
            message = "one row exceeds the size limit of a batch (16 MiB)"
            raise LimitExceeded(message, limit="batch_bytes", found=None, most=most) from None
    yield END_OF_STREAM


def seal_stream(key: bytes, aad: bytes, messages: Iterable[Bytes]) -> Iterator[bytes]:
    """The data of each segment of one FLOE stream, in order; at least one."""
    sealer = Sealer(key, aad)
    prefix = sealer.header
    staged, used = memoryview(bytearray(_PAYLOAD)), 0
    for message in messages:
        rest = memoryview(message).cast("B")
        while rest:
            if used == _PAYLOAD:
                yield prefix + sealer.seal(staged, last=False)
                prefix, used = b"", 0
            n = min(len(rest), _PAYLOAD - used)
            staged[used : used + n] = rest[:n]
            used, rest = used + n, rest[n:]
    yield prefix + sealer.seal(staged[:used], last=True)
    staged[:] = bytes(_PAYLOAD)


def open_part(key: bytes, aad: bytes, sealed: BinaryIO, *, name: str, padded: bool) -> Iterator[pa.RecordBatch]:
    """The batches of a part whose whole ciphertext was verified before; Unverified(name) for any fault.

    `sealed` is positioned at the part's first byte. The schema comes first, as a batch of 0 rows. Outputs of size class
    POWER_OF_TWO are `padded`: zeros follow the end of the Arrow stream, up to the least power of two that holds it.
    """
    try:
        plaintext = _Plaintext(Unsealer(key, aad, sealed.read(FLOE_HEADER_BYTES)), sealed)
        buffered = _Buffered(plaintext, SEGMENT_BYTES)
        with pa.PythonFile(buffered, mode="r") as file, pa.ipc.open_stream(file) as stream:
            yield pa.RecordBatch.from_arrays([pa.array([], f.type) for f in stream.schema], schema=stream.schema)
            for batch in stream:
                batch.validate(full=True)
                yield batch
            if buffered.last != END_OF_STREAM:
                raise Unverified(name, "no end marker")
            zeros = 0
            while padding := buffered.read(SEGMENT_BYTES):
                if not padded or padding.count(0) != len(padding):
                    raise Unverified(name, "bytes after the end")
                zeros += len(padding)
            if padded and plaintext.bytes_read != 1 << (plaintext.bytes_read - zeros - 1).bit_length():
                raise Unverified(name, "not padded to the next power of two")
            # the loop ended, so the last segment has been verified
            if sealed.read(1):
                raise Unverified(name, "bytes after the last segment")
    except (Refusal, pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise Unverified(name, f"the part does not open ({type(error).__name__})") from None


class _Buffered(io.BufferedReader):
    """Gives Arrow full reads where a segment ends in the middle of one. `last`: the last 8 bytes, none at the end.

    Arrow itself takes the end of a file for the end of a stream, and four zero bytes, too.
    """

    last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """As io.BufferedReader."""
        data = super().read(size)
        self.last = (self.last + data[-8:])[-8:] if data else b""
        return data


class _Plaintext(io.RawIOBase):
    """The plaintext of one FLOE stream as a readable file."""

    def __init__(self, unsealer: Unsealer, sealed: BinaryIO) -> None:
        super().__init__()
        self._unsealer = unsealer
        self._sealed = sealed
        self._buffer = memoryview(bytearray(_PAYLOAD))
        self._ready = self._buffer[:0]
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, out: memoryview) -> int:  # type: ignore[override]  # Buffer is Python 3.12
        """As io.RawIOBase; 0 only after the last segment has been verified."""
        while not self._ready and not self._unsealer.complete:
            segment = memoryview(self._sealed.read(SEGMENT_BYTES))
            n = self._unsealer.unseal_into(self._buffer, segment)
            self.bytes_read += n
            self._ready = self._buffer[:n]
        view = memoryview(out).cast("B")
        n = min(len(view), len(self._ready))
        view[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n
