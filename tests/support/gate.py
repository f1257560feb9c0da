"""Where the processes of a worker of `halting` halt: at one named step, until a test lets them go on."""

import mmap
from pathlib import Path

from cji_simulator.raw import until
from tests.support.halted_process import HALTED, IDLE, MAY_GO_ON, NAME_BYTES, PAGE, STATE, WHO, padded, page_of
from tests.support.steps import Step

__all__ = ["Gate"]


class Gate:
    """Halts a worker at one step at a time. `path` is a new file of one page."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(mmap.PAGESIZE))
        self._page = page_of(str(path))
        self.variable = f"{PAGE}={path}"
        """For the worker's environment."""

    def arm(self, step: Step) -> None:
        """Halt at the next time that this step is reached."""
        self._page[STATE] = IDLE
        self._page[:NAME_BYTES] = padded(str(step))

    def wait(self) -> None:
        """Wait until a process halts."""
        until(lambda: self._page[STATE] == HALTED)

    @property
    def halted(self) -> str:
        """The name of the process that halted last."""
        return self._page[WHO].rstrip(b"\0").decode()

    def open(self) -> None:
        """Let it go on, and halt nothing."""
        self._page[:NAME_BYTES] = bytes(NAME_BYTES)
        self._page[STATE] = MAY_GO_ON
