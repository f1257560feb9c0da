"""No files, no TCP, no signals to others: a Landlock domain without a single rule. Source: landlock(7).

Rights that the kernel does not yet know cannot be handled; the seccomp filter stands beside this one. Files and sockets
that are already open are not concerned.
"""

import ctypes
from typing import Final

from worker.errors import StartupError
from worker.libc import check, libc

_SYS_CREATE_RULESET, _SYS_RESTRICT_SELF = 444, 446
_VERSION: Final = 1
_MIN_ABI: Final = 3
"""Of Linux 6.2; memfd_secret already needs a newer kernel."""
_FILES: Final = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
_PORTS: Final = {4: 0b11}
_SCOPES: Final = {6: 0b11}
"""Rights by the ABI that introduced them: files and devices; TCP bind and connect; abstract sockets and signals."""

_REMEDY: Final = (
    "Use a kernel from 6.2 on with `landlock` in its lsm= list, and allow landlock_* in the unit (@sandbox)."
)


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def forbid_files_and_network() -> None:
    """Confine this process and its future children. Needs no_new_privs. Raises StartupError where Landlock is off."""
    try:
        abi = check(libc.syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
        if abi < _MIN_ABI:
            raise StartupError("The kernel's Landlock is too old", _REMEDY)
        handled = _Ruleset(
            *(max((v for k, v in by.items() if k <= abi), default=0) for by in (_FILES, _PORTS, _SCOPES))
        )
        # an older kernel accepts the longer structure, as long as what it does not know is zero
        ruleset = check(libc.syscall(_SYS_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0))
        check(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0))
    except OSError as error:
        raise StartupError("Landlock cannot be used", _REMEDY) from error
    libc.close(ruleset)
