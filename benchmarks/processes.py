"""CPU time and peak memory of a worker's processes, from /proc.

A cell ends with its job, so its CPU time is read from the zygote, which has waited for it. Its peak memory (VmHWM) is
sampled while it runs; secret memory counts page by page as the cell touches it. Reading /proc of another process needs
root, because the processes are not dumpable.
"""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

__all__ = ["CpuClock", "PeakMemory"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE_S: Final = 0.01


def _cpu(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children that it waited for (proc_pid_stat(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    user, system, child_user, child_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, child_user + child_system


class CpuClock:
    """CPU seconds by process name. `client` is this process; `cell` covers all cells that ended."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)

    def read(self) -> dict[str, float]:
        """Seconds since each process started."""
        seconds = {"client": time.process_time()}
        for name, pid in self._pids.items():
            seconds[name], children = _cpu(pid)
            if name == "zygote":
                seconds["cell"] = children
        return seconds


class PeakMemory:
    """Samples the peak resident memory of the front and of every cell while the `with` block runs, in MiB."""

    def __init__(self, *, front: int, zygote: int) -> None:
        self._front, self._zygote = front, zygote
        self._cells: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.front_mib = self.cell_mib = 0.0

    def __enter__(self) -> Self:
        Path(f"/proc/{self._front}/clear_refs").write_text("5")  # resets VmHWM
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.front_mib = _peak_kib(self._front) / 1024
        self.cell_mib = max(self._cells.values()) / 1024

    @property
    def mib(self) -> float:
        """Front and the largest cell together."""
        return self.front_mib + self.cell_mib

    def _watch(self) -> None:
        children = Path(f"/proc/{self._zygote}/task/{self._zygote}/children")
        while not self._stop.wait(_SAMPLE_S):
            for pid in map(int, children.read_text().split()):
                self._cells[pid] = max(_peak_kib(pid), self._cells.get(pid, 0))


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
