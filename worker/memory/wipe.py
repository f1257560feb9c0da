"""Overwrite the heap of the running program.

After the first byte is wiped, no Python may run. So the wipe and the exit are prepared as a chain of C contexts
(makecontext(3)): explicit_bzero(address, size) for each range, then _exit(status). Starting the first never returns.
"""

import ctypes
import os
from ctypes import c_int, c_size_t, c_void_p
from typing import Final, NoReturn

from worker.memory._libc import check, libc

_PAGE: Final = 4096
_PR_SET_DUMPABLE: Final = 4
_PRESENT: Final = bytes(byte >> 7 for byte in range(256))
"""By the last byte of a pagemap entry, which is little-endian: bit 63 is set for a page that is present (proc(5))."""
_UCONTEXT_BYTES: Final = 4096
"""Room for one ucontext_t; glibc's has 968 bytes on x86-64."""
_UC_LINK: Final = 8
_UC_STACK: Final = 16
_STACK_BYTES: Final = 64 << 10


class Touched:
    """How far into a range of memory this process has written, by /proc/self/pagemap.

    Opened before the sandbox forbids opening files. A job that touched little memory has little to wipe.
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        # the file belongs to root while the process is not dumpable
        check(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))
        self._fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))

    def fileno(self) -> int:
        """The descriptor, which must stay open."""
        return self._fd

    def extent(self, address: int, size: int) -> int:
        """Bytes from `address` to the end of the last of the range's pages that this process has touched."""
        entries = os.pread(self._fd, 8 * (size // _PAGE), 8 * (address // _PAGE))
        return (entries[7::8].translate(_PRESENT).rfind(1) + 1) * _PAGE


def wipe_and_exit(ranges: list[tuple[int, int]], status: int) -> NoReturn:
    """Zero each (address, bytes) range, then end the process with `status`, without running any more Python."""
    steps = [(libc.explicit_bzero, a, n) for a, n in ranges] + [(libc._exit, status, 0)]
    # contexts and stacks must outlive the heap: their own anonymous mapping
    room = (_UCONTEXT_BYTES + _STACK_BYTES) * len(steps)
    anonymous_private, read_write = 0x22, 3
    base = libc.mmap(None, room, read_write, anonymous_private, -1, 0)
    contexts = [base + i * (_UCONTEXT_BYTES + _STACK_BYTES) for i in range(len(steps))]
    libc.getcontext.argtypes = libc.setcontext.argtypes = [c_void_p]
    libc.makecontext.argtypes = [c_void_p, c_void_p, c_int, c_size_t, c_size_t]
    libc.makecontext.restype = None
    for i, (function, first, second) in enumerate(steps):
        at = contexts[i]
        libc.getcontext(at)
        c_void_p.from_address(at + _UC_LINK).value = contexts[i + 1] if i + 1 < len(steps) else None
        c_void_p.from_address(at + _UC_STACK).value = at + _UCONTEXT_BYTES  # ss_sp
        c_size_t.from_address(at + _UC_STACK + 16).value = _STACK_BYTES  # ss_size, after ss_sp and ss_flags
        libc.makecontext(at, ctypes.cast(function, c_void_p), 2, first, second)
    libc.setcontext(contexts[0])
    os._exit(70)  # only if setcontext itself failed
