"""The machine around a worker: its start, starts of its units, the room on the disk of the trail.

A unit's start is known by its invocation id, 128 random bits that systemd leaves for its journal as a link's
target (systemd.exec(5), INVOCATION_ID). The names of units are a closed set; the ids are compared, and never shown.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

UNITS: Final = ("audit", "broker", "door", "fleet", "probe", "worker")
"""Of cji-UNIT.service; a machine may lack some."""
INVOCATIONS: Final = Path("/run/systemd/units")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes of one file system; `free` are those that a process without privileges can use."""

    free: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Facts of one moment: `started` in seconds since 1970; starts of units since the first look."""

    started: float | None = None
    restarts: Mapping[str, int] = field(default_factory=dict)
    disk: Disk | None = None


UNKNOWN: Final = Machine()


class MachineObserver:
    """Looks at one machine; for one thread."""

    def __init__(
        self,
        disk: str | None,
        *,
        invocations: Path = INVOCATIONS,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._disk, self._invocations = disk, invocations
        self._started = float(round(clock() - uptime()))
        self._last: dict[str, str] = {}
        self._restarts: dict[str, int] = {}

    def look(self) -> Machine:
        """The machine now. A unit that has not run has no count."""
        for unit in UNITS:
            try:
                found = os.readlink(self._invocations / f"invocation:cji-{unit}.service")
            except OSError:
                continue
            if self._last.get(unit, found) != found:
                self._restarts[unit] += 1
            self._restarts.setdefault(unit, 0)
            self._last[unit] = found
        return Machine(started=self._started, restarts=dict(self._restarts), disk=self._room())

    def _room(self) -> Disk | None:
        if self._disk is None:
            return None
        try:
            found = os.statvfs(self._disk)
        except OSError:
            return None
        return Disk(free=found.f_bavail * found.f_frsize, size=found.f_blocks * found.f_frsize)
