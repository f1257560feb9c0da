"""The system calls of a cell: use its sockets, manage its memory, read the clock, exit.

An allow-list through libseccomp (seccomp(2)); every other call fails with EPERM. In particular there is no open, no
socket, no connect, no fork, no exec, no ptrace, and no memory can become executable.
"""

import errno
import mmap
from typing import Final

import pyseccomp as seccomp

ALLOWED: Final = (
    # the inherited descriptors
    *("read", "write", "readv", "writev", "recvmsg", "sendmsg", "recvfrom", "sendto", "pread64"),
    *("poll", "ppoll", "close", "fstat", "lseek", "fcntl"),
    # memory
    *("munmap", "mremap", "madvise", "brk", "membarrier"),
    # time, randomness, threads' bookkeeping, the process itself
    *("clock_gettime", "clock_getres", "clock_nanosleep", "gettimeofday", "time", "getrandom", "futex"),
    *("sched_yield", "sched_getaffinity", "getcpu", "rseq", "set_robust_list", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "getpid", "gettid", "getrusage"),
    *("exit", "exit_group"),
)
_MAPPING: Final = ("mmap", "mprotect")
_PROTECTION_ARGUMENT: Final = 2


def enter_sandbox() -> None:
    """Apply the allow-list to this process, for good."""
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in ALLOWED:
        rules.add_rule(seccomp.ALLOW, name)
    not_executable = seccomp.Arg(_PROTECTION_ARGUMENT, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0)
    for name in _MAPPING:
        rules.add_rule(seccomp.ALLOW, name, not_executable)
    rules.load()
