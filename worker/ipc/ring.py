"""Slots of shared memory through which ciphertext passes between front and cell without a copy by the kernel.

Each direction has a few slots of one message each. Who owns a slot is said on the channel beside it: the writer
fills a free slot and names it, the reader frees it by name. The ring is as much as is ever buffered of a job.
"""

import fcntl
import mmap
import os
from typing import Final

from worker.ipc.limits import SLOT_BYTES, SLOTS

__all__ = ["Ring"]

_SIZE: Final = 2 * SLOTS * SLOT_BYTES


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
        """A new ring whose size nobody can change any more, so that no peer can pull pages away."""
        fd = os.memfd_create("cji-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, _SIZE)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return cls(fd)

    def close(self) -> None:
        """Give mapping and descriptor back; no view may be used any more."""
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
