"""Users of the worker's processes: each has an id of its own, which owns nothing.

None is in another group, but for the front, which shares that of its socket's folder with the TLS door.

The keyholder remains the user of the unit, who owns the audit folder, may read the configuration and may open the TPM.
Every other process becomes a user of nobody's once it has read what it needs, so that user's files, devices and
processes are out of its reach. Zygote and cells have their ids in a user namespace (`namespaces`). Sources:
credentials(7), capabilities(7); the ids are unused in systemd's UIDS-GIDS.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cji_core.errors import StartupError
from cji_worker.libc import check, libc
from cji_worker.rights.limits import drop_capabilities

CELL_IDS: Final = range(0x7FFF0000, 0x7FFF0080)
"""Of the zygote, which has the first, and of the cells."""
FRONT: Final = CELL_IDS.stop
SUPERVISOR: Final = FRONT + 1
CAP_KILL, CAP_SETGID, CAP_SETUID = 5, 6, 7
_PR_SET_KEEPCAPS: Final = 8


def can_become_users() -> bool:
    """Whether this process may give its children users of their own, and end them afterwards."""
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    spans = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    exist = any(first <= CELL_IDS.start and first + count > SUPERVISOR for first, _, count in spans)
    return exist and all(effective >> number & 1 for number in (CAP_KILL, CAP_SETGID, CAP_SETUID))


def require_users() -> None:
    """Raise StartupError unless each process can have a user of its own."""
    if not can_become_users():
        raise StartupError(
            "The worker's processes cannot have users of their own",
            "Start the worker with the unit of deploy/systemd (AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL), or "
            "as root, where user ids up to 2147418241 exist.",
        )


def become(number: int, *, groups: Sequence[int] = (), keep: Iterable[int] = ()) -> None:
    """Be the user and group of this number, in these other groups, with these capabilities, for good.

    Clears the parent-death signal.
    """
    check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups(groups)
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    drop_capabilities(keep=keep)
