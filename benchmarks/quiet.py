"""The quietest of several windows: what others take of the machine while something is measured.

Others are all processes but this one and those below it, and the host where it gives this machine's cores to another
(steal; proc_stat(5)). A measurement is repeated in windows until one is quiet, a few times at most; the window with the
least load of others counts, and its figures keep that load.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

__all__ = ["QUIET", "WINDOWS", "LoadClock", "Measured", "Window", "busiest", "quietest"]

T = TypeVar("T")

QUIET: Final = 0.05
"""The share of the machine's cores that others may take of a figure that is kept."""
WINDOWS: Final = 3
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_BUSY: Final = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; guests are among user and nice
_STEAL: Final = 7


class Measured(float):
    """A number, and the share of the machine that others took in its window."""

    load: float

    @classmethod
    def of(cls, value: float, load: float) -> Self:
        """Put a number and its load together."""
        found = cls(value)
        found.load = load
        return found

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    name: str
    seconds: float
    """CPU time of itself."""
    with_children: float
    """That of the children that it waited for included."""


def _processes() -> dict[int, _Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                head, _, rest = (folder / "stat").read_text().rpartition(") ")
            except OSError:
                continue  # it has ended
            fields = rest.split()
            user, system, *children = (int(field) / _TICKS for field in fields[11:15])
            spent = user + system
            found[int(folder.name)] = _Process(int(fields[1]), head.partition("(")[2], spent, spent + sum(children))
    return found


def _own(processes: dict[int, _Process]) -> set[int]:
    """Return the ids of our own process and of all below it."""
    children: dict[int, list[int]] = {}
    for pid, process in processes.items():
        children.setdefault(process.parent, []).append(pid)
    own, waiting = set[int](), [os.getpid()]
    while waiting:
        own.add(pid := waiting.pop())
        waiting += children.get(pid, ())
    return own


def _machine() -> tuple[float, float, int]:
    """(busy seconds, stolen seconds, cores), of all cores since the boot."""
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = [int(field) for field in lines[0].split()[1:]]
    cores = sum(line.startswith("cpu") for line in lines) - 1
    return sum(ticks[field] for field in _BUSY) / _TICKS, ticks[_STEAL] / _TICKS, cores


class LoadClock:
    """From its making on: the share of the machine that others take."""

    def __init__(self) -> None:
        self._own = self._own_seconds()
        self._at, (self._busy, self._stolen, _) = time.monotonic(), _machine()

    @staticmethod
    def _own_seconds() -> float:
        processes = _processes()
        return sum(processes[pid].with_children for pid in _own(processes))

    def read(self) -> float:
        """0 for a machine of our own, 1 where others take all of it; one tick a core is the error."""
        busy, stolen, cores = _machine()
        seconds = time.monotonic() - self._at
        others = busy - self._busy - (self._own_seconds() - self._own) + stolen - self._stolen
        return min(1.0, max(0.0, others / (max(seconds, 1 / _TICKS) * cores)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[T]):
    """The value of the quietest window, its load, and its number among those that were measured, from 0."""

    value: T
    load: float
    number: int


def quietest(measure: Callable[[], T], *, windows: int = WINDOWS) -> Window[T]:
    """Measure until a window is quiet, `windows` times at most; the window with the least load of others."""
    best: Window[T] | None = None
    for number in range(windows):
        clock = LoadClock()
        value = measure()
        load = clock.read()
        if best is None or load < best.load:
            best = Window(value=value, load=load, number=number)
        if load <= QUIET:
            break
    assert best is not None
    return best


def busiest(seconds: float = 2.0, *, most: int = 3) -> tuple[float, list[tuple[str, int, float]]]:
    """The share that others take now, and the processes among them that take most: name, id, cores."""
    before, clock = _processes(), LoadClock()
    time.sleep(seconds)
    load, now = clock.read(), _processes()
    own = _own(now)
    spent = {pid: p.seconds - (before[pid].seconds if pid in before else 0.0) for pid, p in now.items()}
    others = sorted((pid for pid in now if pid not in own), key=lambda pid: -spent[pid])
    return load, [(now[pid].name, pid, spent[pid] / seconds) for pid in others[:most] if spent[pid] > 0]
