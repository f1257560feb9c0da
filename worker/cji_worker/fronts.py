"""The fronts of a worker: how many there are, and what belongs to each by its number.

A front has a name, sockets and the numbers of its calls. The first one has the sockets that worker.toml names, another
one these names with a dot and its number after them. The number of a call has that of its front in it (`front_of`); if
the call comes on the channel of another front, the keyholder hangs up. So no front can speak of another's job.

A front takes about two fifths of the processor time of a worker and its door (docs/benchmarks.md). So `auto` is one
front for every three cores, rounded up, that this process may use, by its affinity and the quotas of its control
groups. Sources: sched_getaffinity(2); Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
scheduler/sched-bwc.rst (cpu.cfs_quota_us).
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from cji_core.format.configuration.worker import FrontSetting

FrontName: TypeAlias = Literal[
    "front",
    "front-1",
    "front-2",
    "front-3",
    "front-4",
    "front-5",
    "front-6",
    "front-7",
    "front-8",
    "front-9",
    "front-10",
    "front-11",
    "front-12",
    "front-13",
    "front-14",
    "front-15",
]
FRONT_NAMES: Final[tuple[FrontName, ...]] = get_args(FrontName)
"""By number."""
_MOST: Final = len(FRONT_NAMES)
_CALL_BITS: Final = 40
"""Of a call's number within its front, below that of the front."""
_CORES_PER_FRONT: Final = 3


def front_count(setting: FrontSetting) -> int:
    """The number of fronts of this worker, and of the workers of its door."""
    if setting != "auto":
        return setting
    return max(1, min(_MOST, math.ceil(usable_cores() / _CORES_PER_FRONT)))


def cores_counted(setting: FrontSetting) -> float | None:
    """The cores from which `auto` takes the number, None for a number that is set."""
    return usable_cores() if setting == "auto" else None


def socket_of(socket: str, number: int) -> str:
    """The socket of the front with this number; `socket` is that of the first."""
    return f"{socket}.{number}" if number else socket


def front_of(call: int) -> int:
    """The number of the front that has this call."""
    return call >> _CALL_BITS


def call_numbers(front: int) -> Iterator[int]:
    """The numbers of a front's calls, each once."""
    return itertools.count((front << _CALL_BITS) + 1)


def usable_cores(root: Path = Path("/")) -> float:
    """The cores that this process may use, fractions included. `root` is the folder with /proc and /sys."""
    return min(float(len(os.sched_getaffinity(0))), *_quotas(root), math.inf)


def _quotas(root: Path) -> Iterator[float]:
    """The quota of each control group that this process is in, and of those above it, in cores."""
    groups = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = groups / controllers if controllers else groups
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == top:
                break


def _quota(folder: Path) -> Iterator[float]:
    """That of one group, by either version of the interface."""
    v2 = _text(folder / "cpu.max").split()
    v1 = [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
    for found in (v2, v1):
        with contextlib.suppress(ValueError, ZeroDivisionError):
            quota, period = map(int, found)  # "max" and the -1 of v1 are none
            if quota > 0:
                yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
