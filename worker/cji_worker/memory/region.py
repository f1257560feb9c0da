"""Regions of secret memory.

`memfd_secret` (Linux 5.14, on by default from 6.5) takes the pages of a file out of the kernel's direct map. A
shared mapping of it cannot be read through /proc/PID/mem, ptrace, process_vm_readv or a core: the read fails with
EIO, even for root. Such pages are never swapped. They count against RLIMIT_MEMLOCK unless the process has
CAP_IPC_LOCK. Source: memfd_secret(2).

The first touch of a secret page costs 15 to 23 µs (an ordinary page: 2 µs), later ones nothing extra. So regions are
faulted in before their first job, then wiped and reused. A new region is zero.
"""

import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Final

from cji_core.errors import StartupError
from cji_worker.libc import check, libc

ALIGNMENT: Final = 32 << 20
"""Regions start at multiples of 32 MiB, as the allocator's arenas must."""

PIECE_BYTES: Final = 64 << 10
"""The least of a region that is opened and wiped."""

RegionFactory = Callable[[int], int]
"""Creates a memory file of this many bytes and returns its descriptor. Production has exactly one: `secret_fd`."""

_TURN_BYTES: Final = 1 << 20
_SYS_MEMFD_SECRET: Final = 447
_FD_CLOEXEC: Final = 1
_PROT_NONE, _MAP_FIXED, _MAP_NORESERVE = 0, 0x10, 0x4000

_SIZES: Final = (128, 256, 512, 1024, 2048, 4096)
_zeros: Final = memoryview(bytes(max(_SIZES)))
_target: Final = memoryview(bytearray(max(_SIZES)))


def secret_fd(size: int) -> int:
    """A `memfd_secret` file of `size` bytes, close-on-exec."""
    try:
        fd = check(libc.syscall(_SYS_MEMFD_SECRET, _FD_CLOEXEC << 19))
    except OSError as error:
        raise StartupError(
            "This kernel offers no memfd_secret",
            "Use a kernel from 6.5 on, or boot an older one with secretmem.enable=1; there is no weaker mode.",
        ) from error
    os.ftruncate(fd, size)
    return fd


class Region:
    """A shared mapping of one memory file, aligned to 32 MiB. Views do not keep it alive; it stays until `unmap`.

    The descriptor is closed once the file is mapped: a process that took it from this one (pidfd_getfd(2)) could map it
    too. `kind` is `memfd_secret` or, for any other file, `mlock`; receipts depend on it.
    """

    __slots__ = ("_base", "address", "kind", "size")

    address: int
    """Address of the first byte."""

    def __init__(self, fd: int) -> None:
        self.size = os.fstat(fd).st_size
        self.kind = "memfd_secret" if os.readlink(f"/proc/self/fd/{fd}").startswith("/secretmem") else "mlock"
        # reserve address space with room for alignment, then put the file over the aligned part
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._base = libc.mmap(None, self.size + ALIGNMENT, _PROT_NONE, flags, -1, 0)
        self.address = (self._base + ALIGNMENT - 1) & ~(ALIGNMENT - 1)
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        if libc.mmap(self.address, self.size, protection, mmap.MAP_SHARED | _MAP_FIXED, fd, 0) != self.address:
            raise StartupError(
                "Secret memory cannot be locked",
                "Raise RLIMIT_MEMLOCK (LimitMEMLOCK=infinity in the unit) or grant CAP_IPC_LOCK.",
            )
        os.close(fd)

    def view(self, offset: int = 0, size: int | None = None) -> memoryview:
        """Writable bytes of the region."""
        size = self.size - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > self.size:
            raise ValueError("outside the region")
        return memoryview((ctypes.c_ubyte * size).from_address(self.address + offset)).cast("B")

    def wipe(self, start: int = 0, end: int | None = None) -> None:
        """Overwrite every byte from `start` to `end` with zero."""
        end = self.size if end is None else end
        if not 0 <= start <= end <= self.size:
            raise ValueError("outside the region")
        libc.memset(self.address + start, 0, end - start)

    def wipe_in_turns(self) -> Iterator[None]:
        """`wipe`, a few MiB at a time."""
        for start in range(0, self.size, _TURN_BYTES):
            self.wipe(start, min(start + _TURN_BYTES, self.size))
            yield

    def fault_in(self) -> Iterator[None]:
        """Fault every page in by reading a byte of it, a few MiB at a time; its contents stay.

        A job may be in the region by then, so the bytes go nowhere: as an integer a byte is an object that exists
        already, while bytes of consecutive pages, copied together, can spell a column's value.
        (MADV_POPULATE_WRITE and MAP_POPULATE do nothing here: they pin pages, which secret memory forbids.)
        """
        byte = ctypes.c_ubyte
        for start in range(0, self.size, _TURN_BYTES):
            end = self.address + min(start + _TURN_BYTES, self.size)
            for page in range(self.address + start, end, mmap.PAGESIZE):
                _ = byte.from_address(page).value
            yield

    def protect(self) -> None:
        """Make the region read-only for this process."""
        check(libc.mprotect(self.address, self.size, mmap.PROT_READ))

    def close(self, start: int, end: int) -> None:
        """Take this process's access from `start` to `end`, whole pages, until it changes the protection again."""
        check(libc.mprotect(self.address + start, end - start, _PROT_NONE))

    def open(self, start: int, end: int) -> None:
        """Give it access again."""
        check(libc.mprotect(self.address + start, end - start, mmap.PROT_READ | mmap.PROT_WRITE))

    def unmap(self) -> int:
        """Unmap the region; return the bytes of address space that it had. No view may be used afterwards."""
        libc.munmap(self._base, self.size + ALIGNMENT)
        return self.size + ALIGNMENT

    def holds(self, address: int) -> bool:
        """Whether an address lies in this region."""
        return self.address <= address < self.address + self.size


def overwrite_registers() -> None:
    """Leave zeros in the vector registers that memmove uses; for a thread that is about to wait.

    memmove leaves the last bytes that it moved in them, and a core or a debugger shows registers. Copies of zeros take
    the same paths through glibc's memmove as copies of records, and so overwrite every register that these use
    (sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S). The path depends on the size in vectors of 16, 32 or 64
    bytes: up to eight of them at once, or a loop with nine registers up to the size from which `rep movsb` moves.
    """
    for size in _SIZES:
        _target[:size] = _zeros[:size]
