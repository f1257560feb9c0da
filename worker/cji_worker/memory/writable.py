"""The parts of a region that a process can write to, kept by the one that wipes them."""

from collections.abc import Iterator
from typing import Final

from cji_worker.memory.region import PIECE_BYTES, Region

_TURN_PIECES: Final = 16


class Writable:
    """Of the region of one process: everything, until it is known what is open to it.

    What was closed to the process (`Region.close`) before it ran anything of a stranger's, and was not opened for it
    since by the keeper of this record, is as it was.
    """

    __slots__ = ("_pieces", "_region")

    def __init__(self, region: Region) -> None:
        self._region = region
        self._pieces = bytearray(-(-region.size // PIECE_BYTES))
        self.everything()

    def everything(self) -> None:
        """Nothing is known of what the process can write to."""
        self._pieces[:] = b"\x01" * len(self._pieces)

    def only(self, *parts: tuple[int, int]) -> None:
        """The process can write to these parts alone: (offset, size)."""
        self._pieces[:] = bytes(len(self._pieces))
        for offset, size in parts:
            self._add(offset, size)

    def open(self, address: int, size: int) -> bool:
        """Note a range that is about to be opened; whether it lies in the region, and was not wholly open before.

        So a process can ask no more often than its region has pieces.
        """
        if not (size > 0 and self._region.holds(address) and self._region.holds(address + size - 1)):
            return False
        return self._add(address - self._region.address, size)

    def wipe_in_turns(self) -> Iterator[None]:
        """Overwrite every byte that can have been written with zero, up to a MiB at a time."""
        start = self._pieces.find(1)
        while start >= 0:
            end = self._pieces.find(0, start, start + _TURN_PIECES)
            end = min(start + _TURN_PIECES, len(self._pieces)) if end < 0 else end
            self._region.wipe(start * PIECE_BYTES, min(end * PIECE_BYTES, self._region.size))
            yield
            start = self._pieces.find(1, end)

    def _add(self, offset: int, size: int) -> bool:
        first, end = offset // PIECE_BYTES, min(-(-(offset + size) // PIECE_BYTES), len(self._pieces))
        is_new = 0 in self._pieces[first:end]
        self._pieces[first:end] = b"\x01" * (end - first)
        return is_new
