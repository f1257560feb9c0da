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

import click

from cji_simulator.processes import children

__all__ = ["CpuClock", "PeakMemory", "Resident", "require_root", "spent"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE_S: Final = 0.01
_RESIDENT_SAMPLE_S: Final = 0.25


def require_root() -> None:
    """Refuse to start a worker whose processes could not be measured."""
    if os.geteuid() != 0:
        raise click.UsageError("run as root: reading the worker's /proc requires it")


def _cpu(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children that it waited for (proc_pid_stat(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    user, system, child_user, child_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, child_user + child_system


def spent(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds by process name since each started; `cell` is all cells, `door` the door with its workers."""
    seconds = {name: _own(name, pid) for name, pid in pids.items()}
    seconds["cell"] = _cpu(pids["zygote"])[1] + sum(_cpu(cell)[0] for cell in children(pids["zygote"]))
    return seconds


def _own(name: str, pid: int) -> float:
    """CPU seconds of a process; of the door, whose master has this id, with those of its workers."""
    return _cpu(pid)[0] + sum(_cpu(worker)[0] for worker in (children(pid) if name == "door" else ()))


class CpuClock:
    """CPU seconds by process name. `client` is this process; `cell` is all cells that ended, `door` as in `spent`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)

    def read(self) -> dict[str, float]:
        """Seconds since each process started."""
        seconds = {"client": time.process_time()}
        for name, pid in self._pids.items():
            seconds[name] = _own(name, pid)
            if name == "zygote":
                seconds["cell"] = _cpu(pid)[1]
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
        self.front_mib = _kib(self._front, "VmHWM") / 1024
        self.cell_mib = max(self._cells.values()) / 1024

    @property
    def mib(self) -> float:
        """Front and the largest cell together."""
        return self.front_mib + self.cell_mib

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            for pid in children(self._zygote):
                self._cells[pid] = max(_kib(pid, "VmHWM"), self._cells.get(pid, 0))


class Resident:
    """Resident memory of every process of a worker, in MiB, by name; `cells` are all cells together.

    `peak` holds the largest of the samples, one in a quarter of a second, that were taken while the `with` block ran.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def read(self) -> dict[str, float]:
        """The present."""
        found = {name: _kib(pid, "VmRSS") / 1024 for name, pid in self._pids.items()}
        return found | {"cells": sum(_kib(pid, "VmRSS") for pid in children(self._pids["zygote"])) / 1024}

    def _watch(self) -> None:
        while not self._stop.wait(_RESIDENT_SAMPLE_S):
            self.peak = {name: max(now, self.peak.get(name, 0.0)) for name, now in self.read().items()}


def _kib(pid: int, field: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")), 0)
