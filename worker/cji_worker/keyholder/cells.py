"""The warm cells: announced by the zygote, and not used yet."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from cji_worker.ipc import Channel, ChannelClosed, KeySlot
from cji_worker.ipc.messages import CellFromKeyholder, KeyholderFromCell, KeysReady


@dataclass(slots=True, weakref_slot=True, kw_only=True)
class Cell:
    """One warm cell. The control channel and the key slot are ours; the data socket and the ring go to the front."""

    number: int
    control: Channel[KeyholderFromCell, CellFromKeyholder]
    key_slot: KeySlot
    data_fd: int
    ring_fd: int
    replaced: bool = False
    """Whether its slot has another cell, which may have a job of its own: it must see no keys of this one's."""

    def put_keys(self, keys: Sequence[bytes]) -> None:
        """Put the keys of its job into its slot. Raises ChannelClosed if it has ended: then no cell has them."""
        if self.replaced:
            raise ChannelClosed
        self.key_slot.put(keys)
        try:
            self.control.send(KeysReady())
        except ChannelClosed:
            self.key_slot.wipe()
            raise

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
        self._reserved: dict[int, Cell] = {}
        self._latest: WeakValueDictionary[int, Cell] = WeakValueDictionary()
        """By slot, while the cell is in use elsewhere: who takes it closes its channel."""

    def add(self, number: int, *, cell_slot: int, fds: list[int]) -> None:
        """Add a cell with its descriptors: control, data, ring."""
        control, data, ring = fds
        self.populated = True
        if (before := self._latest.get(cell_slot)) is not None:
            before.replaced = True
        self._latest[cell_slot] = cell = Cell(
            number=number,
            control=Channel(control, KeyholderFromCell),
            key_slot=self._key_slots[cell_slot],
            data_fd=data,
            ring_fd=ring,
        )
        self._warm.append(cell)

    @property
    def warm(self) -> bool:
        """Whether there is a warm cell."""
        return bool(self._warm)

    @property
    def count(self) -> int:
        """Number of warm cells."""
        return len(self._warm)

    def reserve(self) -> Cell:
        """Reserve a warm cell for a job that waits for the pool ledger; there must be one."""
        cell = self._warm.popleft()
        self._reserved[cell.number] = cell
        return cell

    def take(self, cell: Cell) -> bool:
        """Take a reserved cell, whose channel the caller closes; False if it has ended."""
        return self._reserved.pop(cell.number, None) is not None

    def give_back(self, cell: Cell) -> None:
        """It is not needed: the next job gets it, unless it has ended."""
        if self.take(cell):
            self._warm.appendleft(cell)

    def remove(self, number: int) -> None:
        """Forget a warm or reserved cell that ended by itself."""
        found = [c for c in self._warm if c.number == number]
        for cell in found:
            self._warm.remove(cell)
        if (reserved := self._reserved.pop(number, None)) is not None:
            found.append(reserved)
        for cell in found:
            cell.close_front_ends()
            cell.control.close()
