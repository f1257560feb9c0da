"""Arrow IPC streams of records, read in place and written as messages.

`StreamReader` reads out of one window of memory that the caller owns and fills: the caller writes plaintext
to `free`, says how much with `advance`, and takes the batches that are complete. Nothing is copied but the
incomplete tail, which moves to the window's start when there is no more room behind it.

Invariants:
* A batch is handed out only after Arrow's own full validation of it: offsets, lengths, UTF-8, null counts.
* Compression, dictionaries, types that no schema has, big-endian data and the pre-1.0 framing are refused.
* Sizes are known from the header before a body is waited for; what cannot fit is LIMIT_EXCEEDED at once, so
  `free` is never empty while a legal message is incomplete and `batches` has been drained.
* A stream is complete only with its end marker and nothing behind it: truncation is a failure of its own.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import pyarrow as pa

from worker.errors import Reason, Refusal, Stage
from worker.records.arrow import text
from worker.records.flatbuffer import MessageKind, malformed, read_header
from worker.records.schemas import TYPES

__all__ = ["END_OF_STREAM", "MAX_HEADER_BYTES", "RESERVE_BYTES", "StreamReader", "StreamWriter", "window_bytes"]

MAX_HEADER_BYTES: Final = 256 * 1024  # of one message: 26 B a buffer and the names of columns; ours are under 16 KiB
RESERVE_BYTES: Final = 1 << 20  # the largest piece a caller writes at once: one FLOE segment
_CONTINUATION: Final = b"\xff\xff\xff\xff"  # Arrow columnar format, "Encapsulated message format"
_PREFIX_BYTES: Final = 8
END_OF_STREAM: Final = _CONTINUATION + bytes(4)

T = TypeVar("T")


def window_bytes(max_batch_bytes: int) -> int:
    """The smallest window in which `free` has room for RESERVE_BYTES whenever `batches` was drained."""
    return _PREFIX_BYTES + MAX_HEADER_BYTES + max_batch_bytes + RESERVE_BYTES


def _too_large() -> Refusal:
    return Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)


def _ask_arrow(read: Callable[[], T]) -> T:
    """The result of an Arrow call on untrusted bytes; all its ways to fail are one refusal."""
    try:
        return read()
    except MemoryError:
        raise _too_large() from None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        # Arrow's text can quote bytes of the record
        raise malformed() from None


class StreamReader:
    """Reads one Arrow IPC stream out of `window`, which must be writable, contiguous and 8-byte aligned.

    `max_batch_rows` and `max_batch_bytes` bound one batch. The window may have any size; a message that is
    larger than it is LIMIT_EXCEEDED. Give it `window_bytes(max_batch_bytes)` to be able to write RESERVE_BYTES
    after every drained `batches()`.
    """

    def __init__(self, window: memoryview, *, max_batch_rows: int, max_batch_bytes: int) -> None:
        self._window = window.cast("B")
        if self._window.readonly or pa.py_buffer(self._window).address % _PREFIX_BYTES:
            raise ValueError("the window must be writable and 8-byte aligned")
        self._max_rows = max_batch_rows
        self._max_bytes = max_batch_bytes
        self._start = 0
        self._end = 0
        self._ended = False
        self._schema: pa.Schema | None = None

    @property
    def free(self) -> memoryview:
        """Where the next bytes of the stream go. Valid until `batches` is next called or advanced."""
        return self._window[self._end :]

    def advance(self, n: int) -> None:
        """Say that the first `n` bytes of `free` are now part of the stream."""
        if not 0 <= n <= len(self._window) - self._end:
            raise ValueError("more bytes than there is room for")
        self._end += n

    @property
    def schema(self) -> pa.Schema | None:
        """The stream's schema, once `batches` has met it."""
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches that are complete, as views of the window: each is valid until the next one is requested.

        Raises: Refusal(SCHEMA_MISMATCH) for anything that is not a plain record stream, LIMIT_EXCEEDED for a
        batch of too many rows or bytes.
        """
        while (message := self._next_message()) is not None:
            kind, body = message
            if kind is MessageKind.SCHEMA:
                self._schema = self._read_schema(body)
            else:
                yield self._read_batch(body)

    def finish(self) -> None:
        """Refuse a stream that has not ended, or that goes on behind its end. Call it after the last `batches`."""
        if not self._ended or self._start != self._end or self._schema is None:
            raise malformed()

    def _next_message(self) -> tuple[MessageKind, pa.Buffer] | None:
        """Consume one complete message; None when the next one is incomplete, or after the end marker."""
        available = self._end - self._start
        if self._ended and available:
            raise malformed()
        if available < _PREFIX_BYTES:
            self._make_room(_PREFIX_BYTES)
            return None
        prefix = bytes(self._window[self._start : self._start + _PREFIX_BYTES])
        header_bytes = int.from_bytes(prefix[4:], "little")
        if prefix[:4] != _CONTINUATION or header_bytes % _PREFIX_BYTES:
            raise malformed()
        if header_bytes == 0:
            self._start += _PREFIX_BYTES
            self._ended = True
            return self._next_message()
        if header_bytes > MAX_HEADER_BYTES:
            raise _too_large()
        needed = _PREFIX_BYTES + header_bytes
        if available < needed:
            self._make_room(needed)
            return None
        header = read_header(self._window[self._start + _PREFIX_BYTES : self._start + needed])
        if (header.kind is MessageKind.SCHEMA) is not (self._schema is None):
            raise malformed()
        if header.rows > self._max_rows or header.body_bytes > self._max_bytes:
            raise _too_large()
        needed += header.body_bytes
        if available < needed:
            self._make_room(needed)
            return None
        message = pa.py_buffer(self._window[self._start : self._start + needed])
        self._start += needed
        return header.kind, message

    def _make_room(self, needed: int) -> None:
        """See to it that a message of `needed` bytes that starts at `_start` fits, and the caller's next piece."""
        if needed > len(self._window):
            raise _too_large()
        tail = self._end - self._start
        room = len(self._window) - max(self._end + RESERVE_BYTES, self._start + needed)
        # early as well where it costs no more than what was read since: the window stays in the cache, and memory
        # follows the batch and not the job
        if self._start and (room < 0 or tail <= self._start):
            # the two may overlap; assignment between views of one memory is a memmove
            self._window[:tail] = self._window[self._start : self._end]
            self._start, self._end = 0, tail

    @staticmethod
    def _read_schema(message: pa.Buffer) -> pa.Schema:
        schema = _ask_arrow(lambda: pa.ipc.read_schema(message))
        names = _ask_arrow(lambda: schema.names)
        if any(field.type not in TYPES for field in schema) or len(set(names)) != len(names):
            raise malformed()
        return schema

    def _read_batch(self, message: pa.Buffer) -> pa.RecordBatch:
        batch = _ask_arrow(lambda: pa.ipc.read_record_batch(pa.ipc.read_message(message), self._schema))
        _ask_arrow(lambda: _validate(batch))
        return batch


def _validate(batch: pa.RecordBatch) -> None:
    """Arrow's own full validation, except that all-ASCII text is validated as bytes.

    Arrow checks the UTF-8 of each value by itself, which takes ten times as long as all the rest.
    """
    batch.validate()
    for column in batch.columns:
        (column.view(pa.binary()) if _is_ascii_text(column) else column).validate(full=True)


def _is_ascii_text(column: pa.Array) -> bool:
    if column.type != pa.utf8():
        return False
    _, data = text(column)
    return bool(data.max(initial=0) < 0x80)


class StreamWriter:
    """Makes the messages of one Arrow IPC stream: `schema_message`, any `batch_messages`, then END_OF_STREAM.

    A batch whose message would be larger than `max_batch_bytes` is cut by rows into several.
    """

    def __init__(self, schema: pa.Schema, *, max_batch_bytes: int) -> None:
        self._schema = schema
        self._max_bytes = max_batch_bytes

    def schema_message(self) -> pa.Buffer:
        """The first message."""
        return self._schema.serialize()

    def batch_messages(self, batch: pa.RecordBatch) -> Iterator[pa.Buffer]:
        """The messages of one batch, in row order; at least one, also for 0 rows.

        Raises: ValueError when the batch is of another schema; Refusal(LIMIT_EXCEEDED) when one row alone is
        larger than a batch may be.
        """
        if not batch.schema.equals(self._schema, check_metadata=False):
            raise ValueError("a batch of another schema")
        if pa.ipc.get_record_batch_size(batch) <= self._max_bytes:
            yield batch.serialize()
            return
        if batch.num_rows <= 1:
            raise _too_large()
        half = batch.num_rows // 2
        yield from self.batch_messages(batch.slice(0, half))
        yield from self.batch_messages(batch.slice(half))
