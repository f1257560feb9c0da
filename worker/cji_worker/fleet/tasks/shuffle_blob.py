"""All shuffle streams that one attempt of a task wrote, in one blob.

    table     for each stream, and for the end: u64be, where it begins in the blob
    streams   one after another, in the order in which the task writes them

A reader takes two numbers of the table, and then its range. Segments arrive interleaved, as a cell fills them; they are
kept until a block is worth an upload, and the blocks are put in order at the end. A table that lies leads to bytes that
no cell accepts.
"""

import struct
from collections.abc import Sequence
from typing import Final

from cji_core.errors import Reason, Refusal
from cji_core.errors import Stage as Where
from cji_core.pool.documents import DocumentError
from cji_core.pool.store import MAX_BLOCKS, Blobs, Version

HELD_BYTES: Final = 32 << 20
"""Most bytes that a writer keeps."""
BLOCK_BYTES: Final = 4 << 20
"""A block of several streams ends after this."""
_ENTRY: Final = 8


class ShuffleBlobWriter:
    """Collects the segments of `streams` streams, and makes the blob."""

    def __init__(self, blobs: Blobs, name: str, streams: int, *, held_bytes: int = HELD_BYTES) -> None:
        self._blobs = blobs
        self._name = name
        self._most = held_bytes
        self._kept = [bytearray() for _ in range(streams)]
        self._staged: list[list[int]] = [[] for _ in range(streams)]
        self._sizes = [0] * streams
        self._held = 0
        self._blocks = 1  # block 0 is the table

    def add(self, stream: int, data: bytes) -> None:
        """Append to a stream. Raises StoreError; LIMIT_EXCEEDED for too many blocks."""
        self._kept[stream] += data
        self._sizes[stream] += len(data)
        self._held += len(data)
        while self._held > self._most:
            largest = max(range(len(self._kept)), key=lambda at: len(self._kept[at]))
            self._staged[largest].append(self._stage(self._kept[largest]))
            self._kept[largest] = bytearray()

    def commit(self) -> int:
        """Create the blob; returns its bytes. Raises StoreError; LIMIT_EXCEEDED for too many blocks."""
        order, together = [0], bytearray()
        for kept, staged in zip(self._kept, self._staged, strict=True):
            if staged or len(together) >= BLOCK_BYTES:
                order += [self._stage(together)] if together else []
                together = bytearray()
            order += staged
            together += kept
        order += [self._stage(together)] if together else []
        table = _table(self._sizes)
        self._blobs.stage(self._name, 0, table)
        size = len(table) + sum(self._sizes)
        self._blobs.commit_in_order(self._name, order, size=size)
        return size

    def _stage(self, data: bytearray) -> int:
        number, self._blocks = self._blocks, self._blocks + 1
        if number >= MAX_BLOCKS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Where.COMPUTE)
        self._blobs.stage(self._name, number, memoryview(data))
        self._held -= len(data)
        return number


def read_table(blobs: Blobs, name: str, version: Version, streams: int) -> Sequence[int]:
    """The start of each stream, and the end of the last. Raises StoreError, DocumentError."""
    length = (streams + 1) * _ENTRY
    if version.size < length:
        raise DocumentError
    found = struct.unpack(f">{streams + 1}Q", blobs.read_range(name, version, offset=0, length=length))
    if found[0] != length or found[-1] != version.size or list(found) != sorted(found):
        raise DocumentError
    return found


def _table(sizes: Sequence[int]) -> bytes:
    starts = [(len(sizes) + 1) * _ENTRY]
    for size in sizes:
        starts.append(starts[-1] + size)
    return struct.pack(f">{len(starts)}Q", *starts)
