"""The rights of a cell: use its two channels, manage its memory, read the clock, exit.

Every other system call stops the cell, and the kernel reports it to the zygote. In particular there is no open, no
socket, no connect, no fcntl, no fork, no exec, no signal, and no memory can become executable. A cell passes no
descriptor: `sendmsg` works on `REPORT` alone, which is closed, and a number that high cannot be had again.

No memory becomes writable either, but by the zygote's leave: mprotect(2) for writing stops the cell as well, and the
zygote notes what it opens before the call goes on. mremap(2), which could map more of a region, is refused.
"""

import errno
import mmap
import os
from fcntl import F_DUPFD, fcntl
from typing import Final

import pyseccomp as seccomp

from cji_worker.rights import SyscallFilter, bound_resources, forbid_files_and_network

CONTROL, DATA, _LISTENER = 3, 4, 5
"""The two channels of a cell, and its filter's listener for a moment; 0 to 2 are empty and can only be read."""
DESCRIPTORS: Final = _LISTENER + 1
"""Maximum number of descriptors, so none can have a number that high."""
REPORT: Final = 63
"""The way to the zygote, open until the listener of the filter has gone there."""

ALLOWED: Final = (
    # the channels
    *("recvmsg", "sendto", "poll", "ppoll", "close"),
    # memory
    *("munmap", "madvise", "brk", "membarrier"),
    # time where the machine's clock cannot be read without the kernel, randomness, bookkeeping
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom", "futex", "sched_yield", "getcpu"),
    *("restart_syscall", "rt_sigprocmask", "rt_sigreturn", "getpid", "gettid"),
    *("exit", "exit_group"),
)
FAILING: Final = {"write": errno.EBADF, "writev": errno.EBADF}
"""C libraries write their last words to descriptor 2, which nobody reads."""

_PROTECTION_ARGUMENT: Final = 2
_SLACK_BYTES: Final = 32 << 20


def cell_filter() -> SyscallFilter:
    """The system calls of a cell, compiled; the zygote does this once."""
    conditional = (
        ("mmap", seccomp.Arg(_PROTECTION_ARGUMENT, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0)),
        ("mprotect", seccomp.Arg(_PROTECTION_ARGUMENT, seccomp.MASKED_EQ, mmap.PROT_EXEC | mmap.PROT_WRITE, 0)),
        ("sendmsg", seccomp.Arg(0, seccomp.EQ, REPORT)),
    )
    return SyscallFilter([*ALLOWED, *conditional], failing=FAILING)


def keep_descriptors(*, control: int, data: int, report: int, nothing: int) -> None:
    """Move these descriptors to their numbers and close every other; `nothing` is /dev/null, opened for reading."""
    kept = {0: nothing, 1: nothing, 2: nothing, CONTROL: control, DATA: data, REPORT: report}
    # copies first, all above: one may have the number of another, or its own, to which dup2 refuses to copy it
    copies = {number: fcntl(fd, F_DUPFD, REPORT + 1) for number, fd in kept.items()}
    for number, fd in copies.items():
        os.dup2(fd, number, inheritable=False)
    os.closerange(_LISTENER, REPORT)
    os.closerange(REPORT + 1, 1 << 16)


def enter_sandbox(rules: SyscallFilter, *, address_space: int) -> int:
    """Confine this process for good; return the listener of its filter, to be passed on and closed.

    `address_space` is what the process has mapped, in bytes. Needs no_new_privs. Raises StartupError.
    """
    bound_resources(descriptors=DESCRIPTORS, address_space=address_space + _SLACK_BYTES)
    forbid_files_and_network()
    return rules.enter()
