"""The one message from a cell to the zygote."""

from typing import ClassVar

from cji_worker.ipc.messages.base import Message


class Confined(Message, frozen=True):
    """The cell is in its sandbox. Descriptor: the listener of its filter of system calls."""

    descriptors: ClassVar[int] = 1
