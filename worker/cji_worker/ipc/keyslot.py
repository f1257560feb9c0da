"""A secret page through which the keys of a job pass from the keyholder to its cell, once.

Layout: u8 count, then per key u8 length and the key. Their order is always this, of which a job may lack the last two:

    1 the data key
    2 project keys, in the order of the plan's `projects`
    3 column encryption keys, in the order of the header's `column_keys`, and in each of its statement's `keys`

No job has as many as the page has room for: a data key, 8 project keys, 64 column encryption keys. The reader wipes it
as it reads. There is one per cell slot;
the keyholder and the zygote map it at start, cells inherit the mapping, and no descriptor of it stays open.
"""

from collections.abc import Sequence
from typing import Final

from cji_worker.memory import Region

SLOT_PAGE_BYTES: Final = 4096


class KeySlot:
    """One end. The constructor closes the descriptor of the page that both ends map."""

    __slots__ = ("_region",)

    def __init__(self, fd: int) -> None:
        self._region = Region(fd)

    def put(self, keys: Sequence[bytes]) -> None:
        """Write keys for the other end. ValueError for more than the page has room for."""
        if 1 + sum(1 + len(key) for key in keys) > SLOT_PAGE_BYTES:
            raise ValueError("too many keys for one job")
        view, at = self._region.view(), 1
        for key in keys:
            view[at] = len(key)
            view[at + 1 : at + 1 + len(key)] = key
            at += 1 + len(key)
        view[0] = len(keys)

    def take(self) -> list[bytes]:
        """Read the keys and wipe the slot."""
        view, at, keys = self._region.view(), 1, []
        for _ in range(view[0]):
            n = view[at]
            keys.append(bytes(view[at + 1 : at + 1 + n]))
            at += 1 + n
        self.wipe()
        return keys

    def unmap(self) -> int:
        """Unmap the page; return the bytes of address space that it had, as `Region.unmap` does."""
        return self._region.unmap()

    def wipe(self) -> None:
        """Overwrite keys that were never taken."""
        self._region.wipe()
