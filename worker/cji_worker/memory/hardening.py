"""The rights that every process of the worker gives up before it handles a key or a record.

Sources: prctl(2), setrlimit(2), proc(5).
"""

import resource
import signal
from typing import Final

from cji_worker.libc import check, libc

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL: Final = 9


def harden(*, die_with_parent: bool) -> None:
    """Forbid cores, ptrace by others, and new privileges.

    A child of the supervisor also dies with its parent, and ignores SIGINT and SIGTERM: a terminal and a service
    manager send them to every process of the group, but only the supervisor drains.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    forbid_new_privileges()
    if die_with_parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        check(libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))


def forbid_new_privileges() -> None:
    """Forbid what seccomp and Landlock require to be forbidden: that a program gives this process more rights."""
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
