"""The processes of a running worker, and what /proc says of each, while cells come and go.

A cell runs one job and ends, so one that was just listed may be gone when it is looked at. `each_process` leaves out
such a cell, and nothing else: that any other process is gone, or that a living one cannot be read, is an error.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["children", "each_process", "ended", "state", "until_idle", "worker_processes"]

_EXITING: Final = 0x4
"""Of a process that gives back what it had (Linux, include/linux/sched.h, PF_EXITING)."""
_FLAGS: Final = 6
"""Their place in proc(5) behind the name of the program, the state being first."""
_QUIET_LOOKS: Final = 10
Found = TypeVar("Found")


def children(pid: int) -> list[int]:
    """Process ids of the children of a process that its main thread started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    """The state of a process: R runs or waits for a processor, S sleeps, Z waits to be reaped, X is gone (proc(5))."""
    return _stat(pid)[0]


def ended(pid: int) -> bool:
    """Whether a process runs no longer; a zombie does not."""
    return state(pid) in {"Z", "X"}


def worker_processes(pids: Mapping[str, int]) -> dict[str, int]:
    """The named processes and the cells, which are the zygote's children: `cell 0`, `cell 1`, ..."""
    return {**pids, **{f"cell {number}": pid for number, pid in enumerate(children(pids["zygote"]))}}


def each_process(pids: Mapping[str, int], look: Callable[[str, int], Found], *, cells: int = 1) -> dict[str, Found]:
    """The finding of `look` for each process of a worker, by name, but for a cell that ended after it was listed.

    LookupError if fewer than so many cells were looked at.
    """
    found: dict[str, Found] = {}
    for name, pid in worker_processes(pids).items():
        try:
            found[name] = look(name, pid)
        except (FileNotFoundError, ProcessLookupError):
            if name in pids or not _leaves(pid):
                raise
    seen = len(found.keys() - pids.keys())
    if seen < cells:
        raise LookupError(f"{seen} cells were looked at, not {cells}: the others ended meanwhile")
    return found


def until_idle(pids: Mapping[str, int], *, seconds: float = 60) -> None:
    """Until every cell sleeps and none of them has run for a while; AssertionError if that takes longer than this."""

    def look(name: str, pid: int) -> tuple[str, str]:
        if name in pids:
            return "", ""
        if ended(pid):
            raise ProcessLookupError(pid)
        return state(pid), Path(f"/proc/{pid}/schedstat").read_text()

    end, quiet, before = time.monotonic() + seconds, 0, dict[str, tuple[str, str]]()
    while quiet < _QUIET_LOOKS:
        assert time.monotonic() < end, "the cells do not come to rest"
        time.sleep(0.05)
        now = each_process(pids, look)
        asleep = all(doing in {"", "S"} for doing, _ in now.values())
        quiet, before = (quiet + 1 if asleep and now == before else 0), now


def _leaves(pid: int) -> bool:
    """Whether a process has ended or is about to: some of what it had is no longer there."""
    found = _stat(pid)
    return found[0] in {"Z", "X"} or bool(int(found[_FLAGS]) & _EXITING)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name, from the state on; of a process that is gone, that it is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"]
