"""Sealed streams of a cell: segments to record batches, Arrow messages to segments.

Plaintext exists only in the window (input), in the heap (batches) and in the stage of an output; all three are secret
memory. Segments are counted, verified and sealed in the cell's own memory, never in the ring: the front could change
them there between two reads of the same bytes.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES, Sealer, Unsealer
from cji_core.format.records import StreamReader
from cji_worker.ipc import PartCounter
from cji_worker.ipc.messages import CountedPart

Emit = Callable[[int, int, memoryview], None]
"""(part, index, sealed segment): copy it to a free slot and send it on."""


def _buffer(size: int) -> memoryview:
    """Memory that is not touched before it is written: the first touch of a secret page is expensive."""
    return np.empty(size, np.uint8).data


def sealing_buffer(segment: int = SEGMENT_BYTES) -> memoryview:
    """The memory in which outputs that share it seal a segment, one after the other."""
    return _buffer(FLOE_HEADER_BYTES + segment)


class InputStream:
    """One input part: unseals into the reader's window and yields its batches."""

    def __init__(self, *, key: bytes, aad: bytes, reader: StreamReader, segment: int = SEGMENT_BYTES) -> None:
        self._key, self._aad, self._segment = key, aad, segment
        self._unsealer: Unsealer | None = None
        self._counter = PartCounter()
        self._own = _buffer(FLOE_HEADER_BYTES + segment)
        self.reader = reader

    @property
    def complete(self) -> bool:
        """Whether its last segment has been verified."""
        return self._unsealer is not None and self._unsealer.complete

    def unseal(self, shared: memoryview) -> None:
        """Verify one segment (the first with its stream's header) and decrypt it to the window."""
        n = len(shared)
        if n > len(self._own):
            raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
        self._own[:n] = shared
        data = self._own[:n]
        self._counter.add(data)
        if self._unsealer is None:
            if len(data) < FLOE_HEADER_BYTES:
                raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
            self._unsealer = Unsealer(self._key, self._aad, data[:FLOE_HEADER_BYTES], segment=self._segment)
            data = data[FLOE_HEADER_BYTES:]
        room = self.reader.free
        if len(room) < len(data) - OVERHEAD_BYTES:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.UNSEAL)
        self.reader.advance(self._unsealer.unseal_into(room, data))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches that are complete so far; each is a view that is valid until the next one."""
        return self.reader.batches()

    def finish(self) -> CountedPart:
        """The count of the complete part. Raises INCOMPLETE for a stream without its end."""
        if not self.complete:
            raise Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
        self.reader.finish()
        return self._counter.counted()


class OutputStream:
    """One output part: gathers plaintext into full segments and sends each one when more bytes follow it."""

    def __init__(
        self,
        *,
        part: int,
        key: bytes,
        aad: bytes,
        emit: Emit,
        segment: int = SEGMENT_BYTES,
        stage_bytes: int | None = None,
        own: memoryview | None = None,
    ) -> None:
        """`stage_bytes` is the room for plaintext at first; it grows to a segment's. Streams may share their `own`."""
        self._part, self._emit = part, emit
        self._sealer = Sealer(key, aad, segment=segment)
        self._stage = _buffer(min(stage_bytes or self._sealer.payload, self._sealer.payload))
        self._staged = 0
        self._index = 0
        self._counter = PartCounter()
        self._own = sealing_buffer(segment) if own is None else own
        self.plain_bytes = 0

    def write(self, data: memoryview) -> None:
        """Append plaintext bytes. A segment leaves only when more bytes follow it, so `finish` makes the last one."""
        self.plain_bytes += len(data)
        payload = self._sealer.payload
        while data:
            if self._staged == payload:
                self._send(self._stage, last=False)
                self._staged = 0
            if self._staged == 0 and len(data) > payload:
                self._send(data[:payload], last=False)
                data = data[payload:]
                continue
            n = min(payload - self._staged, len(data))
            if self._staged + n > len(self._stage):
                self._grow(self._staged + n)
            self._stage[self._staged : self._staged + n] = data[:n]
            self._staged += n
            data = data[n:]

    def pad(self) -> None:
        """Zero bytes up to the next power of two, after the end marker of the Arrow stream."""
        self.zeros((1 << max(self.plain_bytes - 1, 0).bit_length()) - self.plain_bytes)

    def zeros(self, count: int) -> None:
        """Append zero bytes."""
        zeros = memoryview(bytes(min(count, self._sealer.payload)))
        while count > 0:
            n = min(count, len(zeros))
            self.write(zeros[:n])
            count -= n

    def finish(self) -> CountedPart:
        """Seal and send the last segment; return the count of the complete part."""
        self._send(self._stage[: self._staged], last=True)
        return self._counter.counted()

    def _grow(self, needed: int) -> None:
        larger = _buffer(min(max(2 * len(self._stage), needed), self._sealer.payload))
        larger[: self._staged] = self._stage[: self._staged]
        self._stage = larger

    def _send(self, plaintext: memoryview, *, last: bool) -> None:
        at = 0
        if self._index == 0:
            self._own[:FLOE_HEADER_BYTES] = self._sealer.header
            at = FLOE_HEADER_BYTES
        sealed = self._own[: at + self._sealer.seal_into(self._own[at:], plaintext, last=last)]
        self._counter.add(sealed)
        self._emit(self._part, self._index, sealed)
        self._index += 1
