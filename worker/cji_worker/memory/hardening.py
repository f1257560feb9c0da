"""The rights that every process of the worker gives up before it handles a key or a record.

Sources: prctl(2), setrlimit(2), proc(5).
"""

import os
import resource
import signal
from typing import Final

from cji_worker.libc import check, libc

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL: Final = 9


def harden(*, parent: int | None) -> None:
    """Forbid cores, ptrace by others, and new privileges.

    A process with a `parent` also dies with it, or at once if it is gone, and ignores SIGINT and SIGTERM: a terminal
    and a service manager send them to every process of the group, but only the supervisor drains. `parent` is the id by
    which os.getppid() names it while it lives. That is 0 in a PID namespace of its own, before and after: such a
    process must learn of an earlier end from a socket, as a cell does when it reports to the zygote.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    forbid_new_privileges()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        check(libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))
        if os.getppid() != parent:  # it ended before, and the kernel will not signal that
            signal.raise_signal(_SIGKILL)


def forbid_new_privileges() -> None:
    """Forbid what seccomp and Landlock require to be forbidden: that a program gives this process more rights."""
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
