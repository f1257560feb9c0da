"""Messages between the keyholder and the zygote."""

from typing import ClassVar

from cji_worker.ipc.messages.base import Beat, Message


class CellReady(Message, frozen=True, kw_only=True):
    """A warm cell in a cell slot. Descriptors: its control socket, data socket and ring."""

    descriptors: ClassVar[int] = 3
    cell: int
    cell_slot: int


class CellGone(Message, frozen=True, kw_only=True):
    """The cell's process ended; `status` is its exit status, negative for a signal."""

    cell: int
    status: int


class Kill(Message, frozen=True, kw_only=True):
    """End a cell."""

    cell: int


class WipeReference(Message, frozen=True, kw_only=True):
    """Wipe a reference slot; no cell maps it any more."""

    slot: int


class Touch(Message, frozen=True, kw_only=True):
    """Touch what is left of the secret memory: jobs may come soon, and the processes have started."""


class ReferenceWiped(Message, frozen=True, kw_only=True):
    """The reference slot is wiped."""

    slot: int


KeyholderFromZygote = CellReady | CellGone | ReferenceWiped | Beat
ZygoteFromKeyholder = Kill | WipeReference | Touch
