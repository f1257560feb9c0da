"""Counting a sealed part at both ends of the ring.

The front and the cell count every part on their own: its segments, its bytes, and a digest over the AEAD tags of its
segments, in order. Nobody can make other segments with the same tags without the key, so where both counts agree the
cell sealed or unsealed exactly the segments that passed the front. Only the front hashes the bytes themselves.

Both count bytes in memory of their own, never in the ring: the other end could change them there between two reads.
"""

import hashlib
from typing import Final

from cji_worker.ipc.messages import CountedPart, SealedPart

_TAG_BYTES: Final = 16
"""The last bytes of every FLOE segment (docs/format.md §3)."""


class PartCounter:
    """One part, segment by segment."""

    __slots__ = ("_bytes", "_segments", "_tags")

    def __init__(self) -> None:
        self._segments = self._bytes = 0
        self._tags = hashlib.sha256()

    def add(self, data: memoryview) -> None:
        """The next segment; the first has the header of its stream in front."""
        self._segments += 1
        self._bytes += len(data)
        self._tags.update(data[-_TAG_BYTES:])

    def counted(self) -> CountedPart:
        """The part so far."""
        return CountedPart(segments=self._segments, bytes=self._bytes, tags_sha256=self._tags.digest())


class PartDigester:
    """One part, segment by segment, with the digest of its bytes."""

    __slots__ = ("_counter", "_digest")

    def __init__(self) -> None:
        self._counter, self._digest = PartCounter(), hashlib.sha256()

    def add(self, data: memoryview) -> None:
        """The next segment; the first has the header of its stream in front."""
        self._counter.add(data)
        self._digest.update(data)

    def sealed(self) -> SealedPart:
        """The part so far."""
        return SealedPart(sha256=self._digest.digest(), counted=self._counter.counted())
