"""The rights that every process of the worker gives up before it handles a key or a record.

Sources: prctl(2), setrlimit(2), proc(5).
"""

import resource
import signal
from typing import Final

from cji_worker.libc import check, libc

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL: Final = 9
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES: Final = 64 << 20
_LARGE_BYTES: Final = 32 << 20
"""The most that glibc takes for M_MMAP_THRESHOLD."""


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


def keep_free_memory() -> None:
    """Have glibc's heap keep what is freed, up to 64 MiB, in one arena. For a process that moves large messages.

    Otherwise a freed message of a megabyte goes back to the kernel, and the next one is made of pages that it fills
    with zeros first: up to 190 000 faults for each GB. `return_free_memory` returns what is kept. Before threads.
    """
    for name, value in ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES)):
        if libc.mallopt(name, value) != 1:
            raise OSError("glibc refuses an option of its heap")


def return_free_memory() -> None:
    """Return what glibc's heap holds free to the kernel. For a process with an ordinary heap."""
    libc.malloc_trim(0)
