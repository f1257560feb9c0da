"""An allow-list of system calls whose every violation is reported by the kernel to the parent process.

A call that is not on the list does not run: the caller stops inside it until it is killed, and the holder of the
listener reads the number of the call from the kernel. Nothing in the caller takes part in the report. A call of another
architecture ends the process at once. Source: seccomp(2), seccomp_unotify(2).
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pyseccomp as seccomp

from cji_core.errors import StartupError
from cji_worker.libc import check, libc

_SYS_SECCOMP: Final = 317
_SET_MODE_FILTER, _EVERY_THREAD, _NEW_LISTENER = 1, 1, 8
_NOTIF_RECEIVE: Final = 0xC0502100
"""SECCOMP_IOCTL_NOTIF_RECV of <linux/seccomp.h>."""
_NOTIF_SEND: Final = 0xC0182101
_NOTIFICATION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_GO_ON: Final = 1
"""SECCOMP_USER_NOTIF_FLAG_CONTINUE, from Linux 5.5 on."""
_INSTRUCTION_BYTES: Final = 8


# pyseccomp's resolve_syscall frees the name with glibc's free, though another allocator may have made it
_name_of = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_num_arch
_name_of.argtypes, _name_of.restype = [ctypes.c_uint32, ctypes.c_int], ctypes.c_char_p


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class SyscallFilter:
    """A compiled allow-list. Compile it once; each process that enters it costs one system call."""

    __slots__ = ("_program",)

    def __init__(self, allowed: Iterable[str | tuple[str, seccomp.Arg]], *, failing: Mapping[str, int]) -> None:
        """`allowed` are names of calls, some with a condition. Calls in `failing` fail with the errno given there."""
        rules = seccomp.SyscallFilter(seccomp.NOTIFY)
        rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
        for entry in allowed:
            name, *conditions = (entry,) if isinstance(entry, str) else entry
            rules.add_rule(seccomp.ALLOW, name, *conditions)
        for name, error in failing.items():
            rules.add_rule(seccomp.ERRNO(error), name)
        self._program = compiled(rules)

    def enter(self) -> int:
        """Confine this process; return the listener, a descriptor to be passed to the parent and closed.

        Needs no_new_privs. Raises StartupError on a kernel without user notification (before Linux 5.0).
        """
        return install(self._program, _NEW_LISTENER)


def compiled(rules: seccomp.SyscallFilter) -> bytes:
    """The instructions of a filter."""
    with open(os.memfd_create("cji-filter", os.MFD_CLOEXEC), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def install(instructions: bytes, flags: int = _EVERY_THREAD) -> int:
    """Confine every thread, or those that `flags` say, and all later ones. Needs no_new_privs. Raises StartupError."""
    program = _Program(len(instructions) // _INSTRUCTION_BYTES, instructions)
    try:
        done = check(libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, flags, ctypes.byref(program)))
        if done and flags == _EVERY_THREAD:  # the id of a thread with another filter
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    except OSError as error:
        raise StartupError(
            "System calls cannot be filtered", "Use a kernel with seccomp; allow seccomp(2) in the unit (@sandbox)."
        ) from error
    return done


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """A call in which a confined process stands."""

    id: int
    number: int
    arguments: tuple[int, ...]
    """As the kernel has them: nothing in the process can change them any more. What they point to is another matter."""

    @property
    def name(self) -> str:
        """The call's name."""
        name = _name_of(seccomp.system_arch(), self.number)
        return name.decode() if name else "unknown"

    def go_on(self, listener: int) -> None:
        """Let the call run, as if it were on the list. A process that is gone has no use for it."""
        with suppress(OSError):
            fcntl.ioctl(listener, _NOTIF_SEND, _ANSWER.pack(self.id, 0, 0, _GO_ON))


def reported_call(listener: int) -> ReportedCall | None:
    """The call in which a confined process stopped; None if that process is gone."""
    notification = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _NOTIF_RECEIVE, notification)
    except OSError:
        return None
    notified, _, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
    return ReportedCall(notified, number, tuple(arguments))
