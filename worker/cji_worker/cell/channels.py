"""The two channels of a cell, waited on together.

The cell is single-threaded. While it waits for one kind of message it queues the others. Its job ends at once when
either peer hangs up.
"""

import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from cji_core.operations.registry import STEPS
from cji_worker.ipc import Channel, ChannelClosed, Ring
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    Finish,
    FrontFromCell,
    InputReady,
    KeyholderFromCell,
    KeysReady,
    OpenJob,
    OutputFreed,
    OutputReady,
    ProgressMade,
)
from cji_worker.ipc.ring import SLOTS
from cji_worker.memory import overwrite_registers

Control = Channel[CellFromKeyholder, KeyholderFromCell]
Data = Channel[CellFromFront, FrontFromCell]


class CellChannels:
    """Control and data channel, the ring, and the owner of each slot."""

    _reported = ("", 0)

    def __init__(
        self, *, control: Control, data: Data, ring: Ring, received: Callable[[int], None] = lambda _: None
    ) -> None:
        """`received` is called with the size of each sealed segment before it is taken."""
        self.control, self.data, self.ring, self._received = control, data, ring, received
        self._inputs: deque[InputReady | Finish] = deque()
        self._free_outputs = deque(range(SLOTS))
        self._opened: OpenJob | None = None
        self._keys_ready = False
        self._poll = select.poll()
        for channel in (control, data):
            self._poll.register(channel.fileno(), select.POLLIN)

    def close(self) -> None:
        """Close both channels and the ring."""
        self.control.close()
        self.data.close()
        self.ring.close()

    def await_open(self) -> OpenJob:
        """Wait for the job of this cell."""
        self._until(lambda: self._opened is not None)
        assert self._opened is not None  # noqa: S101 - for the type checker
        return self._opened

    def await_keys(self) -> None:
        """Wait until the keys of the job are in the key slot."""
        self._until(lambda: self._keys_ready)

    def await_input(self) -> InputReady | Finish:
        """Wait for the next sealed segment, or the end of input."""
        self._until(lambda: bool(self._inputs))
        message = self._inputs.popleft()
        if isinstance(message, InputReady):
            self._received(message.length)
        return message

    def await_output_slot(self) -> int:
        """A free output slot; waits while the reader is slow, which is the whole back-pressure."""
        self._until(lambda: bool(self._free_outputs))
        return self._free_outputs.popleft()

    def emit(self, part: int, index: int, sealed: memoryview) -> None:
        """Hand a sealed segment of an output to the front."""
        slot = self.await_output_slot()
        self.ring.output(slot)[: len(sealed)] = sealed
        self.data.send(OutputReady(slot=slot, part=part, index=index, length=len(sealed)))

    def report(self, step: str, per_cent: int) -> None:
        """Report progress to the front, unless it has heard of as much."""
        if step != self._reported[0] or per_cent > self._reported[1]:
            self._reported = (step, per_cent)
            self.data.send(ProgressMade(step=STEPS.index(step), per_cent=per_cent))

    def await_end(self) -> None:
        """Hang up on the front and wait for the keyholder to end this cell.

        A cell that ended by itself could be noticed before the front's reason for the end of the job. And what it has
        to clean up would be in the way of its own receipt.
        """
        self.data.close()
        with suppress(ChannelClosed):
            while True:
                overwrite_registers()
                self.control.receive()

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            overwrite_registers()  # a cell is still while it waits, and its registers can be read
            for fd, _ in self._poll.poll():
                if fd == self.control.fileno():
                    self._control()
                else:
                    self._data()

    def _control(self) -> None:
        message, _ = self.control.receive()
        match message:
            case OpenJob():
                self._opened = message
            case KeysReady():
                self._keys_ready = True

    def _data(self) -> None:
        message, _ = self.data.receive()
        match message:
            case InputReady() | Finish() if len(self._inputs) <= SLOTS:
                self._inputs.append(message)
            case OutputFreed(slot=slot) if slot not in self._free_outputs:
                self._free_outputs.append(slot)
            case _:
                raise ChannelClosed  # more than there are slots
