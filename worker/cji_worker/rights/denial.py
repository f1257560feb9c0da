"""System calls that a process outside a cell never makes, denied in every thread.

gRPC, OpenSSL and the TPM's libraries choose their calls by version and machine, so no allow-list can name them: what
is denied is what reaches another process, another program or the kernel itself. A denied call fails with EPERM; one of
another architecture ends the process. Conditions look at the low 32 bits of an argument, as the kernel does.

io_uring is denied because its operations pass no filter. Source: seccomp(2), io_uring(7).
"""

import errno
import mmap
import os
import signal
from collections.abc import Iterable
from typing import Final

import pyseccomp as seccomp

from cji_worker.rights.syscalls import compiled, install

SOCKETS: Final = ("socket", "socketpair", "connect", "bind", "listen")
"""For a process that has the sockets it needs, and accepts on one of them."""
LISTENING: Final = ("listen", "accept", "accept4")
"""For a process that only connects."""

_POWERS: Final = (
    # other programs and processes
    *("execve", "execveat", "fork", "vfork", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("pidfd_open", "pidfd_getfd", "pidfd_send_signal", "ptrace", "kcmp", "setpriority", "ioprio_set"),
    *("process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "migrate_pages", "move_pages"),
    *("sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr"),
    # calls around the filter, and memory that is not this process's own
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "memfd_secret"),
    *("shmget", "shmat", "msgget", "semget", "mq_open"),
    # namespaces and mounts
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "name_to_handle_at", "open_by_handle_at", "fanotify_init"),
    # the kernel and the machine
    *("bpf", "perf_event_open", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
    *("keyctl", "add_key", "request_key", "reboot", "swapon", "swapoff", "acct", "quotactl", "syslog", "modify_ldt"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "personality"),
    *("sethostname", "setdomainname", "setuid", "setgid", "setresuid", "setresgid", "setreuid", "setregid"),
    *("setgroups", "setfsuid", "setfsgid"),
)
_LOW: Final = 0xFFFFFFFF
_CLONE_THREAD: Final = 0x00010000
_CLONE_NEW: Final = (1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 17)
"""CLONE_NEWCGROUP, -UTS, -IPC, -USER, -PID, -NET, -NS of <linux/sched.h>."""
_OWNER_COMMANDS: Final = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: a descriptor that signals a process (fcntl(2))."""
_OWNER_REQUESTS: Final = (0x8901, 0x8902)
"""FIOSETOWN, SIOCSPGRP: the same for sockets."""

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


def deny_powers() -> None:
    """Deny what no process of the worker needs once it has started: others, their memory, programs, the kernel.

    Threads can still be made, and a thread can still signal its own process. Needs no_new_privs. Raises StartupError.
    """
    rules = _rules(_POWERS)
    eperm = seccomp.ERRNO(errno.EPERM)
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags are in memory; C libraries then use clone
    rules.add_rule(eperm, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    for flag in _CLONE_NEW:
        rules.add_rule(eperm, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for command in _OWNER_COMMANDS:
        rules.add_rule(eperm, "fcntl", seccomp.Arg(1, seccomp.MASKED_EQ, _LOW, command))
    for request in _OWNER_REQUESTS:
        rules.add_rule(eperm, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _LOW, request))
    rules.add_rule(eperm, "tgkill", seccomp.Arg(0, seccomp.NE, os.getpid()))
    rules.add_rule(eperm, "prlimit64", seccomp.Arg(0, seccomp.NE, 0))
    install(compiled(rules))


def deny(calls: Iterable[str]) -> None:
    """Deny these calls by name. Needs no_new_privs. Raises StartupError."""
    install(compiled(_rules(calls)))


def deny_all_but(allowed: Iterable[str | tuple[str, *tuple[seccomp.Arg, ...]]]) -> None:
    """Deny every call but those named, some with conditions. Needs no_new_privs. Raises StartupError."""
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for entry in allowed:
        if isinstance(entry, str):
            rules.add_rule(seccomp.ALLOW, entry)
        else:
            rules.add_rule(seccomp.ALLOW, *entry)
    install(compiled(rules))


def _rules(calls: Iterable[str]) -> seccomp.SyscallFilter:
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for name in calls:
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    return rules


def watch_only(pidfds: Iterable[int]) -> None:
    """Deny every call but those of a process that watches its children: messages, their end, SIGKILL, reports, exit.

    No file, socket, program or process can be had with them. The processes of these descriptors can be killed; their
    numbers begin at `PIDFDS`, which nothing that is received or closed can take. Source: pidfd_send_signal(2).

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
