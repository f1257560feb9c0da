"""Limits and capabilities. Sources: setrlimit(2), capabilities(7)."""

import ctypes
import resource
import struct
from collections.abc import Iterable
from typing import Final

from cji_worker.libc import check, libc

_SYS_CAPGET, _SYS_CAPSET = 125, 126
_VERSION_3: Final = 0x20080522
_SETS: Final = struct.Struct("=6I")


def bound_resources(*, descriptors: int, address_space: int) -> None:
    """No process, no file, no queued signal; at most these descriptors and this many bytes of address space."""
    for which, limit in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_SIGPENDING, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_AS, address_space),
    ):
        resource.setrlimit(which, (limit, limit))


def drop_capabilities(*, keep: Iterable[int] = ()) -> None:
    """Give up this thread's capabilities but these, by number; in a user namespace they count only inside it."""
    mask = sum(1 << number for number in keep)
    header, has = struct.pack("=II", _VERSION_3, 0), ctypes.create_string_buffer(_SETS.size)
    check(libc.syscall(_SYS_CAPGET, header, has))
    _, low, _, _, high, _ = _SETS.unpack(has)  # effective, permitted, inheritable; what is not permitted stays so
    low, high = low & mask, high & mask >> 32
    check(libc.syscall(_SYS_CAPSET, header, _SETS.pack(low, low, 0, high, high, 0)))


def address_space() -> int:
    """Bytes of address space that this process has mapped (proc(5), statm)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
