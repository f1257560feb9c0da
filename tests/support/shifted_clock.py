"""The wall clock of one worker, moved while it runs, in every one of its processes.

A time namespace moves monotonic clocks only, and to set the machine's clock would set everybody's. libfaketime opens
files and semaphores while a process runs, which front, zygote and cells may not. So `shifted_clock.c`, a library that
is preloaded, reads the shift from a page that it maps at start; cells inherit it.
"""

import mmap
import struct
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["SHIFT", "ShiftedClock", "compile_clock"]

SHIFT: Final = "CJI_TEST_SHIFT"
_SOURCE: Final = Path(__file__).with_name("shifted_clock.c")


def compile_clock(folder: Path, *, always: int | None = None) -> Path:
    """Make the library in `folder`; with `always` it needs no page and moves each clock by so many seconds."""
    library = folder / "shifted_clock.so"
    flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", *([] if always is None else [f"-DALWAYS={always}LL"])]
    subprocess.run(["gcc", *flags, "-o", library, _SOURCE], check=True)
    return library


class ShiftedClock:
    """A clock for one worker. `command` is put before the worker's own; `folder` gets a library and a page."""

    def __init__(self, folder: Path) -> None:
        library, path = compile_clock(folder), folder / "shift"
        path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.command = ["env", f"LD_PRELOAD={library}", f"{SHIFT}={path}"]

    def shift(self, seconds: int) -> None:
        """Set the clock to so many seconds after the machine's, or before it."""
        struct.pack_into("<q", self._page, 0, seconds)
