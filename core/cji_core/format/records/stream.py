"""Arrow IPC streams of records, read in place and written as messages.

`StreamReader` reads from one window of memory that the caller owns and fills: the caller writes plaintext to `free`,
passes its length to `advance`, and takes the complete batches. Only the incomplete tail is copied, to the start of the
window when there is no room after it.

Invariants:
* A batch is returned only after Arrow's own full validation: offsets, lengths, UTF-8, null counts.
* Compression, dictionaries, types outside all schemas, big-endian data and the pre-1.0 framing are refused.
* The header gives all sizes before the body arrives; a message that cannot fit is LIMIT_EXCEEDED at once, so `free` is
  never empty while a legal message is incomplete and `batches` has been drained.
* A stream is complete only with its end marker and nothing after it, but zeros where it is padded: truncation is a
  failure of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records.arrow import text
from cji_core.format.records.flatbuffer import MessageHeader, MessageKind, malformed, read_header
from cji_core.format.records.schemas import KINDS

MAX_HEADER_BYTES: Final = 256 * 1024  # of one message: 26 B a buffer and the names of columns; ours are under 16 KiB
RESERVE_BYTES: Final = 1 << 20  # the largest piece a caller writes at once: one FLOE segment
_CONTINUATION: Final = b"\xff\xff\xff\xff"  # Arrow columnar format, "Encapsulated message format"
_PREFIX_BYTES: Final = 8
_CARRIED: Final = b"cji.input."
_TYPES: Final = frozenset(kind.arrow for kind in KINDS)
END_OF_STREAM: Final = _CONTINUATION + bytes(4)

T = TypeVar("T")


def window_bytes(max_batch_bytes: int) -> int:
    """The smallest window in which `free` has room for RESERVE_BYTES whenever `batches` was drained."""
    return _PREFIX_BYTES + MAX_HEADER_BYTES + max_batch_bytes + RESERVE_BYTES


def _too_large() -> Refusal:
    return Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)


def _ask_arrow(read: Callable[[], T]) -> T:
    """The result of an Arrow call on untrusted bytes; every failure becomes the same refusal."""
    try:
        return read()
    except MemoryError:
        raise _too_large() from None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        # Arrow's text can quote bytes of the record
        raise malformed() from None


class StreamReader:
    """Reads one Arrow IPC stream out of `window`, which must be writable, contiguous and 8-byte aligned.

    `max_batch_rows` and `max_batch_bytes` limit one batch. The window may have any size; a message larger than the
    window is LIMIT_EXCEEDED. A window of `window_bytes(max_batch_bytes)` has room for RESERVE_BYTES after every
    drained `batches()`.
    """

    def __init__(
        self,
        window: memoryview,
        *,
        max_batch_rows: int,
        max_batch_bytes: int,
        only: pa.Schema | None = None,
        padded: bool = False,
    ) -> None:
        """`only`: the one schema that is accepted, in place of any with the types of records; metadata included.

        With it, the stream may carry the schemas of the inputs that it was made from (`carrying`).
        """
        self._only, self._padded = only, padded
        self.carried: dict[str, bytes] = {}
        """The schemas that the stream carries, by the names of the inputs, once `schema` is known."""
        self._window = window.cast("B")
        if self._window.readonly or pa.py_buffer(self._window).address % _PREFIX_BYTES:
            raise ValueError("the window must be writable and 8-byte aligned")
        self._max_rows = max_batch_rows
        self._max_bytes = max_batch_bytes
        self._start = 0
        self._end = 0
        self._ended = False
        self._schema: pa.Schema | None = None
        self._header: tuple[MessageHeader, int] | None = None
        """Of the message at `_start`, once it was read, and how many bytes the message has with it."""

    @property
    def free(self) -> memoryview:
        """The buffer for the next bytes of the stream. Valid until the next call of `batches` or its next batch."""
        return self._window[self._end :]

    def advance(self, n: int) -> None:
        """Add the first `n` bytes of `free` to the stream."""
        if not 0 <= n <= len(self._window) - self._end:
            raise ValueError("more bytes than there is room for")
        self._end += n

    @property
    def schema(self) -> pa.Schema | None:
        """The stream's schema, once `batches` has read it."""
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The complete batches, as views of the window; each is valid until the next one is requested.

        Raises: Refusal(SCHEMA_MISMATCH) for anything but a plain record stream, LIMIT_EXCEEDED for a batch with too
        many rows or bytes.
        """
        while (message := self._next_message()) is not None:
            kind, body = message
            if kind is MessageKind.SCHEMA:
                self._schema = self._read_schema(body)
            else:
                yield self._read_batch(body)

    def finish(self) -> None:
        """Refuse a stream that has not ended, or that continues after its end. Call it after the last `batches`."""
        if not self._ended or self._start != self._end or self._schema is None:
            raise malformed()

    def _next_message(self) -> tuple[MessageKind, pa.Buffer] | None:
        """Consume one complete message; None when the next one is incomplete, or after the end marker."""
        available = self._end - self._start
        if self._ended and available:
            self._skip_padding()
            return None
        if self._header is None:
            self._header = self._read_header(available)
        if self._header is None:
            return None
        header, needed = self._header
        if available < needed:
            self._make_room(needed)
            return None
        message = pa.py_buffer(self._window[self._start : self._start + needed])
        self._start += needed
        self._header = None
        return header.kind, message

    def _read_header(self, available: int) -> tuple[MessageHeader, int] | None:
        """The header at `_start` and the bytes of its message; None if it is incomplete, or the end marker."""
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
            if available > _PREFIX_BYTES:
                self._skip_padding()
            else:
                self._make_room(_PREFIX_BYTES)
            return None
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
        return header, needed + header.body_bytes

    def _skip_padding(self) -> None:
        rest = self._window[self._start : self._end]
        if not self._padded or np.frombuffer(rest, np.uint8).any():
            raise malformed()
        self._start = self._end = 0

    def _make_room(self, needed: int) -> None:
        """Ensure room for a message of `needed` bytes at `_start` and for the caller's next piece."""
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

    def _read_schema(self, message: pa.Buffer) -> pa.Schema:
        schema = _ask_arrow(lambda: pa.ipc.read_schema(message))
        if self._only is not None:
            metadata = dict(schema.metadata or {})
            carried = [key for key in metadata if key.startswith(_CARRIED)]
            self.carried = {key.removeprefix(_CARRIED).decode(errors="replace"): metadata.pop(key) for key in carried}
            if not schema.with_metadata(metadata or None).equals(self._only, check_metadata=True):
                raise malformed()
            return self._only
        names = _ask_arrow(lambda: schema.names)
        if any(field.type not in _TYPES for field in schema) or len(set(names)) != len(names):
            raise malformed()
        return schema

    def _read_batch(self, message: pa.Buffer) -> pa.RecordBatch:
        batch = _ask_arrow(lambda: pa.ipc.read_record_batch(pa.ipc.read_message(message), self._schema))
        _ask_arrow(lambda: _validate(batch))
        return batch


def _validate(batch: pa.RecordBatch) -> None:
    """Arrow's own full validation, with pure ASCII text validated as binary.

    Arrow checks the UTF-8 of each value separately, which takes ten times as long as everything else.
    """
    batch.validate()
    for column in batch.columns:
        (column.view(pa.binary()) if _is_ascii_text(column) else column).validate(full=True)


def _is_ascii_text(column: pa.Array) -> bool:
    if column.type != pa.utf8():
        return False
    _, data = text(column)
    return bool(data.max(initial=0) < 0x80)


def carrying(schema: pa.Schema, inputs: Mapping[str, pa.Schema]) -> pa.Schema:
    """The schema of a stream that carries the schemas of the inputs that it was made from, by name."""
    carried = {_CARRIED + name.encode(): each.serialize().to_pybytes() for name, each in inputs.items()}
    return schema.with_metadata({**(schema.metadata or {}), **carried} or None)


class StreamWriter:
    """Builds the messages of one Arrow IPC stream: `schema_message`, any `batch_messages`, then END_OF_STREAM.

    A batch whose message would exceed `max_batch_bytes` is split by rows into several.
    """

    def __init__(self, schema: pa.Schema, *, max_batch_bytes: int) -> None:
        self._schema = schema
        self._max_bytes = max_batch_bytes

    def schema_message(self) -> pa.Buffer:
        """The first message."""
        return self._schema.serialize()

    def batch_messages(self, batch: pa.RecordBatch) -> Iterator[pa.Buffer]:
        """The messages of one batch, in row order; at least one, even for 0 rows.

        Raises: ValueError if the batch has another schema; Refusal(LIMIT_EXCEEDED) if a single row exceeds the limit
        of a batch.
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
