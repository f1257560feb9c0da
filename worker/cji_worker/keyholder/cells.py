"""The warm cells: announced by the zygote, and not used yet."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cji_worker.ipc import Channel, KeySlot
from cji_worker.ipc.messages import CellFromKeyholder, KeyholderFromCell


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One warm cell. The control channel and the key slot are ours; the data socket and the ring go to the front."""

    number: int
    control: Channel[KeyholderFromCell, CellFromKeyholder]
    key_slot: KeySlot
    data_fd: int
    ring_fd: int

    def close_front_ends(self) -> None:
        """Close the descriptors that were sent to the front, which has its own copies."""
        os.close(self.data_fd)
        os.close(self.ring_fd)


class Cells:
    """Warm cells, oldest first."""

    populated = False
    """Whether there has been a cell since the start."""

    def __init__(self, key_slots: Sequence[KeySlot]) -> None:
        """`key_slots` stand in the order of the cell slots."""
        self._key_slots = key_slots
        self._warm: deque[Cell] = deque()

    def add(self, number: int, *, cell_slot: int, fds: list[int]) -> None:
        """Add a cell with its descriptors: control, data, ring."""
        control, data, ring = fds
        self.populated = True
        self._warm.append(
            Cell(
                number=number,
                control=Channel(control, KeyholderFromCell),
                key_slot=self._key_slots[cell_slot],
                data_fd=data,
                ring_fd=ring,
            )
        )

    @property
    def warm(self) -> bool:
        """Whether there is a warm cell."""
        return bool(self._warm)

    @property
    def count(self) -> int:
        """Number of warm cells."""
        return len(self._warm)

    def take(self) -> Cell:
        """Take a warm cell; there must be one."""
        return self._warm.popleft()

    def remove(self, number: int) -> None:
        """Forget a warm cell that ended by itself."""
        for cell in [c for c in self._warm if c.number == number]:
            self._warm.remove(cell)
            cell.close_front_ends()
            cell.control.close()
