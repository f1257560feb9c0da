"""One process of a worker, the worker's own code, that halts before a message or around a line of the audit trail.

`python -m tests.support.halted_process BOOT` with the process's name and module in `PART`, as `halting` starts it. It
looks at a page of shared memory before it acts, and waits there while a test has something to do. A cell inherits the
page and may make no system call for this, so the wait is a loop; a test that stops a process sends the signal itself.
"""

import mmap
import os
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cji_worker.fronts import FRONT_NAMES
from cji_worker.ipc import Channel

__all__ = ["HALTED", "IDLE", "MAY_GO_ON", "NAME_BYTES", "PAGE", "PART", "STATE", "WHO", "padded", "page_of"]

PART: Final = "CJI_TEST_PART"
PAGE: Final = "CJI_TEST_PAGE"
"""Names of environment variables."""
NAME_BYTES: Final = 64
STATE: Final = NAME_BYTES
WHO: Final = slice(2 * NAME_BYTES, 3 * NAME_BYTES)
"""Places in the page: what a step waits for, and the name of the process that waits, since any front may."""
IDLE, HALTED, MAY_GO_ON = 0, 1, 2


def page_of(path: str) -> mmap.mmap:
    """The shared page: the name of a step, a byte for the state, and the name of a process."""
    with Path(path).open("r+b") as file:
        return mmap.mmap(file.fileno(), mmap.PAGESIZE)


def padded(step: str) -> bytes:
    """A name as it stands in the page."""
    return step.encode().ljust(NAME_BYTES, b"\0")


class _Halts:
    def __init__(self, page: mmap.mmap) -> None:
        self._page = page

    def at(self, process: str, name: str) -> None:
        page, actor = self._page, "front" if process in FRONT_NAMES else process
        if page[0] and page[:NAME_BYTES] == padded(f"{actor}-{name}"):
            page[:NAME_BYTES] = bytes(NAME_BYTES)
            page[WHO] = padded(process)
            page[STATE] = HALTED
            while page[STATE] == HALTED:
                os.sched_yield()


def _halt_before_messages(part: str, halts: _Halts) -> None:
    send: Callable[..., None] = Channel.send
    first = os.getpid()

    def sending(self: Any, message: Any, fds: Sequence[int] = ()) -> None:
        # a cell is a child of the zygote
        halts.at(part if os.getpid() == first else "cell", type(message).__name__)
        send(self, message, fds)

    Channel.send = sending  # type: ignore[method-assign]


def _halt_around_lines(part: str, halts: _Halts) -> None:
    from cji_worker.trail.file import AuditFile

    append: Callable[..., Any] = AuditFile.append
    enter: Callable[..., Any] = AuditFile.enter

    def appending(self: Any, event: Any) -> Any:
        halts.at(part, type(event).__name__)
        record = append(self, event)
        halts.at(part, f"{type(event).__name__}+")
        return record

    def entering(self: Any, event: Any, then: Any, **options: Any) -> Any:
        halts.at(part, type(event).__name__)

        def decided(lost: Any) -> None:
            if lost is None:
                halts.at(part, f"{type(event).__name__}+")
            then(lost)

        return enter(self, event, decided, **options)

    AuditFile.append = appending  # type: ignore[method-assign]
    AuditFile.enter = entering  # type: ignore[method-assign]


def main() -> None:
    """Run the process."""
    name, module = os.environ[PART].split()
    halts = _Halts(page_of(os.environ[PAGE]))
    _halt_before_messages(name, halts)
    if name == "keyholder":
        _halt_around_lines(name, halts)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
