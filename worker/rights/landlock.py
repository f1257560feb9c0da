"""No files and no TCP but what is named, no signals to others: a Landlock domain. Source: landlock(7).

Rights that the kernel does not yet know cannot be handled; the seccomp filter stands beside this one. Files and sockets
that are already open are not concerned.
"""

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from worker.errors import StartupError
from worker.libc import check, libc

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_MIN_ABI: Final = 3
"""Of Linux 6.2; memfd_secret already needs a newer kernel."""
_FILES: Final = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND: Final = 0b01
_READ_FILE, _READ_FOLDER = 0b100, 0b1000
_RULE_BENEATH, _RULE_PORT = 1, 2
_PORTS: Final = {4: 0b11}
_SCOPES: Final = {6: 0b11}
"""Rights by the ABI that introduced them: files and devices; TCP bind and connect; abstract sockets and signals."""

_REMEDY: Final = (
    "Use a kernel from 6.2 on with `landlock` in its lsm= list, and allow landlock_* in the unit (@sandbox)."
)


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Port(ctypes.Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (("rights", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def forbid_files_and_network(*, read: Iterable[str] = (), bind: int | None = None) -> None:
    """Confine this thread, and the threads and children that it makes.

    Only the files `read`, and those below the folders in it, can be opened, for reading, and TCP can be bound to port
    `bind` alone. Needs no_new_privs. Raises StartupError where Landlock is off, or a file in `read` is missing.
    """
    try:
        abi = check(libc.syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
        if abi < _MIN_ABI:
            raise StartupError("The kernel's Landlock is too old", _REMEDY)
        handled = _Ruleset(
            *(max((v for k, v in by.items() if k <= abi), default=0) for by in (_FILES, _PORTS, _SCOPES))
        )
        # an older kernel accepts the longer structure, as long as what it does not know is zero
        ruleset = check(libc.syscall(_SYS_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0))
        for path in read:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            beneath = _Beneath(_READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0), file)
            check(libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_BENEATH, ctypes.byref(beneath), 0))
            os.close(file)
        if bind is not None and handled.ports:
            port = _Port(_BIND, bind)
            check(libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_PORT, ctypes.byref(port), 0))
        check(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0))
    except OSError as error:
        raise StartupError("Landlock cannot be used", _REMEDY) from error
    libc.close(ruleset)
