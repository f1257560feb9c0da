"""Whether this process runs under the host profile of deploy/host-profile, which ends root's reach into secret memory.

The evidence, each part readable without privilege:
* PID 1, if this process may see it, runs under a seccomp filter, which its descendants inherit and none can take off;
* this process is denied every call of the profile;
* the kernel's command line names the profile's own program as init, which stops the boot unless it has also taken every
  capability from the kernel's helpers: these are not descendants of PID 1, and root chooses them (core_pattern);
* the kernel is locked down for confidentiality, which closes kprobes, /proc/kcore, unsigned modules and kexec.

Each call is made with arguments that have no effect: without the filter it fails for another reason than EPERM. Some
also need a privilege, so an unprivileged process is denied them on any machine; `kcmp` and `userfaultfd` need none, and
the unit's own SystemCallFilter allows them.

The evidence comes from the machine itself. It finds a profile that is missing; only the measured command line and image
prove one to others. Sources: seccomp(2), kernel_lockdown(7), kernel/seccomp.c.
"""

import ctypes
import errno
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

ProfileName = Literal["cji-host-1", "none"]
PROFILE: Final[ProfileName] = "cji-host-1"
"""The profile that deploy/host-profile installs."""

_INIT: Final = "/usr/lib/cji/host-profile"
_INVALID: Final = 0xFFFF_FFFF  # no flag, command or type of any of these calls
_SELF: Final = -1  # stands for this process's id
# the number of each call on x86-64, and its arguments
_CALLS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "bpf": (321, _INVALID, 0, 0),
        "perf_event_open": (298, 0, 0, 0, 0, _INVALID),
        "kexec_load": (246, 0, 0, 0, _INVALID),
        "kexec_file_load": (320, _INVALID, _INVALID, 0, 0, _INVALID),
        "init_module": (175, 0, 0, 0),
        "finit_module": (313, _INVALID, 0, _INVALID),
        "delete_module": (176, 0, 0),
        "ptrace": (101, _INVALID, 0, 0, 0),
        "process_vm_readv": (310, 0, 0, 0, 0, 0, _INVALID),
        "process_vm_writev": (311, 0, 0, 0, 0, 0, _INVALID),
        "iopl": (172, 4),
        "ioperm": (173, _INVALID, 1, 1),
        "userfaultfd": (323, _INVALID),
        "kcmp": (312, _SELF, _SELF, _INVALID, 0, 0),
    }
)
DENIED_CALLS: Final = tuple(_CALLS)
"""The calls that the profile answers with EPERM."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def permitted_calls() -> tuple[str, ...]:
    """The calls of the profile that this process is not denied; empty under the profile.

    Made before this process confines itself: its own filter would answer instead. There is no profile but for x86-64.
    """
    if os.uname().machine != "x86_64":
        return DENIED_CALLS
    return tuple(name for name, words in _CALLS.items() if _answer(words) not in {errno.EPERM, errno.ENOSYS})


def _answer(words: tuple[int, ...]) -> int:
    """The errno of one call."""
    ctypes.set_errno(0)
    _libc.syscall(*(ctypes.c_long(os.getpid() if word == _SELF else word) for word in words))
    return ctypes.get_errno()


def profile_gaps(
    *, permitted: tuple[str, ...], first_process: str | None, command_line: str | None, lockdown: str | None
) -> tuple[str, ...]:
    """The parts of the profile that are missing.

    From the permitted calls, /proc/1/status, /proc/cmdline and /sys/kernel/security/lockdown.

    None stands for a file that cannot be read. Only PID 1 may be hidden (ProtectProc= of the unit): that the kernel
    started the profile's init, and that this process is denied its calls, is evidence enough.
    """
    gaps = []
    if first_process is not None and not re.search(r"^Seccomp:\t2$", first_process, re.MULTILINE):
        gaps.append("PID 1 runs without a filter")
    if f"init={_INIT}" not in (command_line or "").split():
        gaps.append(f"the kernel was not started with init={_INIT}")
    if permitted:
        gaps.append(f"permitted: {', '.join(permitted)}")
    if lockdown is None or "[confidentiality]" not in lockdown:
        gaps.append("lockdown is not confidentiality")
    return tuple(gaps)
