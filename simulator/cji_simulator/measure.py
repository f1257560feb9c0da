"""The memory of a process, and its peak while something runs.

`private_bytes` counts what a process needs for itself: anonymous pages, the touched pages of secret memory (each cell
maps its region again, so what earlier cells touched does not count), and its share of memory files such as the ring.
Code and other files are the same for every job and are left out. Source: proc(5), smaps.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_simulator.processes import each_process
from cji_simulator.worker import Worker

__all__ = ["Peak", "peak_of_job", "private_bytes"]

_KIB: Final = 1024
_EVERY_S: Final = 0.005


def private_bytes(pid: int) -> int:
    """As the module says; 0 without the rights to trace the process. ProcessLookupError if it gave its memory back."""
    total, area = 0, ""
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except PermissionError:
        return 0
    if not lines:
        raise ProcessLookupError(pid)
    for line in lines:
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            area = rest
        elif name == ("Rss:" if "/secretmem" in area else "Pss:" if "/memfd:" in area else "Anonymous:"):
            total += int(rest.split()[0]) * _KIB
    return total


@dataclass(slots=True, kw_only=True)
class Peak:
    """Bytes: the most that the front and the heaviest cell had at any time, each on its own."""

    front: int = 0
    cell: int = 0

    @property
    def total(self) -> int:
        """Front and cell together."""
        return self.front + self.cell

    def look(self, worker: Worker) -> None:
        """Take the processes of this moment into account; there may be no cell just now."""
        wanted = {name: worker.pids[name] for name in ("front", "zygote")}
        now = each_process(wanted, lambda name, pid: private_bytes(pid) if name != "zygote" else 0, cells=0)
        self.front = max(self.front, now["front"])
        self.cell = max([self.cell, *(size for name, size in now.items() if name not in wanted)])


@contextmanager
def peak_of_job(worker: Worker) -> Iterator[Peak]:
    """The peak while the body runs, sampled every few milliseconds."""
    peak, over = Peak(), threading.Event()

    def sample() -> None:
        while not over.wait(_EVERY_S):
            peak.look(worker)

    with ThreadPoolExecutor(1) as pool:
        sampling = pool.submit(sample)
        try:
            yield peak
        finally:
            over.set()
            sampling.result()
