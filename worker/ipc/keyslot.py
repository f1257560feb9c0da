"""One secret page through which a job's keys pass from the keyholder to its cell, once.

Layout: u8 count, then per key u8 length and the key. The reader wipes it as it reads. There is one for each region;
keyholder and zygote map it at their start, cells inherit the mapping, and no descriptor of it stays anywhere.
"""

from collections.abc import Sequence
from typing import Final

from worker.memory import Region

__all__ = ["SLOT_PAGE_BYTES", "KeySlot"]

SLOT_PAGE_BYTES: Final = 4096


class KeySlot:
    """Both ends make one from a descriptor of the same page, which it closes."""

    __slots__ = ("_region",)

    def __init__(self, fd: int) -> None:
        self._region = Region(fd)

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
        self.wipe()
        return keys

    def unmap(self) -> None:
        """Give the mapping back."""
        self._region.unmap()

    def wipe(self) -> None:
        """Forget keys that were put and not taken."""
        self._region.wipe()
