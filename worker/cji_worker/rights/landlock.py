"""No files, sockets and TCP but what is named, no signals to others: a Landlock domain. Source: landlock(7).

Rights that the kernel does not yet know cannot be handled; the seccomp filter stands beside this one. Files and sockets
that are already open are not concerned.
"""

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from cji_core.errors import StartupError
from cji_worker.libc import check, libc

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_MIN_ABI: Final = 4
"""Of Linux 6.7, the first with ports."""
_FILES: Final = {4: (1 << 15) - 1, 5: (1 << 16) - 1}
_PORTS: Final = 0b11
_SCOPES: Final = {6: 0b11}
"""Rights that are handled, some by the ABI that introduced them: files and devices; TCP; abstract sockets and signals.
"""
_CONNECT: Final = 0b10
_READ: Final = 1 << 2
_READ_FOLDER: Final = _READ | 1 << 3
_WRITE: Final = _READ | 1 << 1 | 1 << 14
_WRITE_FOLDER: Final = _READ_FOLDER | _WRITE | 1 << 5 | 1 << 8
"""Read and list; write and truncate; make and remove files."""
_SOCKETS: Final = 1 << 5 | 1 << 9
"""Make and remove sockets."""
_RULE_BENEATH, _RULE_PORT = 1, 2

_REMEDY: Final = (
    "Use a kernel from 6.7 on with `landlock` in its lsm= list, and allow landlock_* in the unit (@sandbox)."
)

LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Of name lookup, and for the keyholder of the TPM's interface."""
NAMES: Final = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    "/run/systemd/resolve",
)
ROOTS: Final = ("/etc/ssl", "/usr/share/ca-certificates", "/etc/pki")
"""Roots of trust of the system, and OpenSSL's own configuration."""
KERNEL: Final = ("/dev/urandom", "/proc/self")
"""Seeds; the files that this process has mapped."""
FIPS_VARIABLES: Final = ("OPENSSL_CONF", "OPENSSL_MODULES")
DNS_PORT: Final = 53
"""TCP; UDP is not limited by Landlock."""
NETWORK_FILES: Final = (*LIBRARIES, *NAMES, *ROOTS, *KERNEL)


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


def forbid_files_and_network(
    *,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    sockets: Iterable[str] = (),
    connect: Iterable[int] = (),
    signals: bool = False,
) -> None:
    """Confine this thread, and the threads and children that it makes.

    Only the files in `read` and `write`, and those below the folders there, can be opened: for reading, or to be made,
    changed and removed; Unix sockets can be made and removed in the folders `sockets`. TCP can be bound nowhere, and
    connected to the ports `connect` alone. `signals` are those to processes outside. Needs no_new_privs. Raises
    StartupError where Landlock is off or a file is missing.
    """
    try:
        abi = check(libc.syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
        if abi < _MIN_ABI:
            raise StartupError("The kernel's Landlock is too old", _REMEDY)
        files, scopes = (max((v for k, v in by.items() if k <= abi), default=0) for by in (_FILES, _SCOPES))
        handled = _Ruleset(files, _PORTS, 0 if signals else scopes)
        # an older kernel accepts the longer structure, as long as what it does not know is zero
        ruleset = check(libc.syscall(_SYS_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0))
        kinds = ((read, _READ, _READ_FOLDER), (write, _WRITE, _WRITE_FOLDER), (sockets, 0, _SOCKETS))
        for paths, of_file, of_folder in kinds:
            for path in paths:
                file = _opened(path)
                _add(ruleset, _RULE_BENEATH, _Beneath(of_folder if os.path.isdir(path) else of_file, file))
                os.close(file)
        for port in connect:
            _add(ruleset, _RULE_PORT, _Port(_CONNECT, port))
        check(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0))
    except OSError as error:
        raise StartupError("Landlock cannot be used", _REMEDY) from error
    libc.close(ruleset)


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        what = f"{path!a}, which this process uses, cannot be opened: {os.strerror(error.errno or 0)}"
        raise StartupError(what, "Create it, or correct the configuration.") from error


def _add(ruleset: int, kind: int, rule: _Beneath | _Port) -> None:
    check(libc.syscall(_SYS_ADD_RULE, ruleset, kind, ctypes.byref(rule), 0))
