"""The warm cells that the zygote announced and nobody uses yet."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from worker.errors import Reason, Refusal, Stage
from worker.ipc import Channel, KeySlot
from worker.ipc.messages import CellFromKeyholder, KeyholderFromCell

__all__ = ["Cell", "Cells"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One warm cell: control channel and key slot are ours, data socket and ring go to the front."""

    number: int
    control: Channel[KeyholderFromCell, CellFromKeyholder]
    slot: KeySlot
    data_fd: int
    ring_fd: int

    def let_go(self) -> None:
        """Close what is the front's; it has its own copies by now."""
        os.close(self.data_fd)
        os.close(self.ring_fd)


class Cells:
    """Cells in the order they became warm."""

    populated = False
    """Whether there has been a cell at all since the start."""

    def __init__(self, slots: Sequence[KeySlot]) -> None:
        """`slots` are the key slots, by cell slot."""
        self._slots = slots
        self._warm: deque[Cell] = deque()

    def add(self, number: int, *, cell_slot: int, fds: list[int]) -> None:
        """Take over a cell's descriptors: control, data, ring."""
        control, data, ring = fds
        self.populated = True
        self._warm.append(
            Cell(
                number=number,
                control=Channel(control, KeyholderFromCell),
                slot=self._slots[cell_slot],
                data_fd=data,
                ring_fd=ring,
            )
        )

    def take(self) -> Cell:
        """A warm cell, or OVERLOADED."""
        if not self._warm:
            raise Refusal(Reason.OVERLOADED, stage=Stage.ADMIT)
        return self._warm.popleft()

    def give_back(self, cell: Cell) -> None:
        """A cell that was taken but never told anything."""
        self._warm.appendleft(cell)

    def remove(self, number: int) -> None:
        """A warm cell ended by itself."""
        for cell in [c for c in self._warm if c.number == number]:
            self._warm.remove(cell)
            cell.let_go()
            cell.control.close()
