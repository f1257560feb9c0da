"""One secret page through which a job's keys pass from the keyholder to its cell, once.

Layout: u8 count, then per key u8 length and the key. The reader wipes it as it reads.
"""

import os
from collections.abc import Sequence
from typing import Final

from worker.memory import Region, RegionFactory

__all__ = ["KeySlot"]

_PAGE: Final = 4096


class KeySlot:
    """Both ends make one from the same descriptor."""

    __slots__ = ("_region",)

    def __init__(self, fd: int) -> None:
        self._region = Region(fd)

    @staticmethod
    def create(memory: RegionFactory) -> int:
        """A descriptor for a new slot."""
        return memory(_PAGE)

    def put(self, keys: Sequence[bytes]) -> None:
        """Hand keys over."""
        view, at = self._region.view(), 1
        for key in keys:
            view[at] = len(key)
            view[at + 1 : at + 1 + len(key)] = key
            at += 1 + len(key)
        view[0] = len(keys)

    def take(self) -> list[bytes]:
        """The keys, which are gone from the slot afterwards."""
        view, at, keys = self._region.view(), 1, []
        for _ in range(view[0]):
            n = view[at]
            keys.append(bytes(view[at + 1 : at + 1 + n]))
            at += 1 + n
        self._region.wipe()
        return keys

    def unmap(self) -> None:
        """Give the mapping back; what was put stays for the other end to take, and the descriptor open."""
        self._region.unmap()

    def close(self) -> None:
        """Give mapping and descriptor back; what was put stays for the other end to take."""
        self._region.unmap()
        os.close(self._region.fd)
