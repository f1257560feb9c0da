"""The calls of a process that watches its children: hear them, note their end, kill them, report, exit.

No file, socket, program or process can be had with them. A signal needs one of the children's pidfds: they have numbers
from `PIDFDS` on, which nothing that is received or closed can take. Source: pidfd_send_signal(2).
"""

import mmap
import signal
from collections.abc import Iterable
from typing import Final

import pyseccomp as seccomp

from cji_worker.rights.denial import deny_all_but

_ALLOWED: Final = (
    # descriptors that are open: channels, log, files of the host's conditions, the service manager
    *("recvmsg", "sendto", "sendmsg", "poll", "ppoll", "read", "pread64", "write"),
    # children, and signals to this process
    *("wait4", "waitid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack"),
    # memory
    *("munmap", "mremap", "madvise", "brk"),
    # time, randomness, bookkeeping
    *("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom", "futex", "sched_yield"),
    *("restart_syscall", "getpid", "gettid", "exit", "exit_group"),
)
_PROTECTION_ARGUMENT: Final = 2
PIDFDS: Final = 512
"""The first number of a pidfd; a process has at most as many other descriptors."""


def watch_only(pidfds: Iterable[int]) -> None:
    """Deny every other call; the processes of these descriptors, each from `PIDFDS` on, can be killed.

    Needs no_new_privs. Raises StartupError.
    """
    killed = seccomp.Arg(1, seccomp.EQ, signal.SIGKILL)
    not_executable = seccomp.Arg(_PROTECTION_ARGUMENT, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0)
    deny_all_but(
        (
            *_ALLOWED,
            *((name, not_executable) for name in ("mmap", "mprotect")),
            ("close", seccomp.Arg(0, seccomp.LT, PIDFDS)),
            *(("pidfd_send_signal", seccomp.Arg(0, seccomp.EQ, pidfd), killed) for pidfd in pidfds),
        )
    )
