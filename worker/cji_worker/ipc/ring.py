"""Shared memory through which ciphertext passes between the front and a cell without a copy by the kernel.

Each direction has a few slots of one message each. Messages on the channel beside it pass the ownership of a slot: the
writer fills a free slot and announces it, the reader frees it. Nothing of a job is buffered outside the ring.
"""

import fcntl
import mmap
import os
from typing import Final

SLOTS: Final = 4
"""Slots per direction: the whole window of a job."""

SLOT_BYTES: Final = (1 << 20) + 4096
"""One segment with the header of its stream, rounded up to a page."""

_SIZE: Final = 2 * SLOTS * SLOT_BYTES


def new_ring() -> int:
    """The descriptor of a new ring, which is not mapped here; its size is sealed, so that no peer can truncate it."""
    fd = os.memfd_create("cji-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


class Ring:
    """Input slots, then output slots, in one sealed memfd. It carries ciphertext only."""

    __slots__ = ("_map", "_view", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        if os.fstat(fd).st_size != _SIZE:
            raise ValueError("not a ring")
        self._map = mmap.mmap(fd, _SIZE)
        self._view = memoryview(self._map)

    @classmethod
    def create(cls) -> "Ring":
        """A new ring, mapped."""
        return cls(new_ring())

    def close(self) -> None:
        """Unmap and close; no view may be used afterwards."""
        self._view.release()
        self._map.close()
        os.close(self.fd)

    def input(self, slot: int) -> memoryview:
        """The bytes of input slot `slot`."""
        return self._slot(slot, 0)

    def output(self, slot: int) -> memoryview:
        """The bytes of output slot `slot`."""
        return self._slot(slot, SLOTS)

    def _slot(self, slot: int, first: int) -> memoryview:
        if not 0 <= slot < SLOTS:
            raise ValueError("no such slot")
        at = (first + slot) * SLOT_BYTES
        return self._view[at : at + SLOT_BYTES]
