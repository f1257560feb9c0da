"""The whole heap of a process as secret memory.

The process is started with mimalloc in place of malloc (`heap_environment`), so Python objects, numpy arrays,
pyarrow buffers and OpenSSL's key objects all come from one allocator. `SecretHeap` gives that allocator a region
as an exclusive arena and makes a heap in it the default of the calling thread. A full region raises MemoryError;
nothing falls back to ordinary memory, and every start proves it.

The allocator is the library in the package `cmeel-mimalloc`, pinned by hash in requirements.lock, so it is the same on
every distribution.

Limits: the default heap is per thread (each further one calls `enter`); earlier allocations stay where they are; thread
stacks are not covered.
"""

import ctypes
import functools
import gc
import sys
from ctypes import POINTER, byref, c_bool, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Final

from cji_core.errors import StartupError
from cji_worker.libc import check, libc
from cji_worker.memory.region import PIECE_BYTES, Region

_LIBRARY: Final = "cmeel.prefix/lib/libmimalloc.so.3"
_PR_SET_THP_DISABLE, _MADV_COLLAPSE = 41, 25
_HUGE_BYTES: Final = 2 << 20
_HEAP_BYTES: Final = 256 << 20
"""Of one mapping: an allocator's reservation is longer, and empty behind that."""
_REMEDY: Final = "Install requirements.lock and start the worker with `cji serve`, which sets the heap's environment."


def _library() -> Path:
    """It lies beside the packages that this process imports from, which the manifest covers."""
    for folder in sys.path:
        if (path := Path(folder, _LIBRARY)).exists():
            return path
    raise StartupError("mimalloc is not installed", _REMEDY)


def heap_environment() -> dict[str, str]:
    """Environment of every process with a secret heap. Raises StartupError if the allocator is missing."""
    return {
        "LD_PRELOAD": str(_library()),
        "PYTHONMALLOC": "malloc",
        # outside of secret memory, which has none, each huge page that is given back and taken again is zeroed as a
        # whole: half of the system time of a start, and of the memory of a zygote
        "MIMALLOC_ALLOW_THP": "0",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        # pyarrow starts a thread for an allocator that is not used; only a process with one thread can leave its user
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


@functools.cache
def load_allocator() -> ctypes.CDLL:
    """The allocator's functions. A process that will have no files loads it in time."""
    mi = ctypes.CDLL(str(_library()))
    mi.mi_manage_os_memory_ex.argtypes = [
        *(c_void_p, c_size_t),
        *(c_bool, c_bool, c_bool),
        *(c_int, c_bool, POINTER(c_void_p)),
    ]
    mi.mi_manage_os_memory_ex.restype = c_bool
    for function in (mi.mi_heap_new_in_arena, mi.mi_heap_theap, mi.mi_theap_set_default):
        function.argtypes, function.restype = [c_void_p], c_void_p
    return mi


def join_pages() -> None:
    """Put the heap of a process that is about to fork into huge pages, where the kernel can.

    Fork and the end of a child then follow a few entries, in place of one for each of some 20 000 pages. What the
    process gets later is in small pages, as before. Needs /proc/self/maps. Source: madvise(2), MADV_COLLAPSE.
    """
    check(libc.prctl(_PR_SET_THP_DISABLE, 0, 0, 0, 0))
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, inode, *_ = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        if rights != "rw-p" or inode != "0":
            continue
        for page in range(-(-start // _HUGE_BYTES) * _HUGE_BYTES, min(end, start + _HEAP_BYTES), _HUGE_BYTES):
            if page + _HUGE_BYTES <= end:
                libc.madvise(page, _HUGE_BYTES, _MADV_COLLAPSE)  # it fails for a piece that nothing was put into
    check(libc.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0))


class SecretHeap:
    """A region that serves every allocation of the threads that entered it."""

    __slots__ = ("_heap", "_mi", "opened", "region")

    opened: int
    """Bytes at the start of the region that the heap has opened; what is behind them it opens with mprotect(2)."""

    def __init__(self, region: Region, *, size: int, ready: int | None = None) -> None:
        """Take the first `size` bytes of the region (a multiple of 32 MiB, zeroed) and enter from this thread.

        With `ready`, at least so many bytes can be allocated before more is opened; otherwise all is open already.
        """
        mi = load_allocator()
        arena = c_void_p()
        pinned = zeroed = exclusive = True
        committed = ready is None
        any_numa_node = -1
        if not mi.mi_manage_os_memory_ex(
            region.address, size, committed, pinned, zeroed, any_numa_node, exclusive, byref(arena)
        ):
            raise StartupError("The allocator did not take the secret region", _REMEDY)
        self.region = region
        self._mi = mi
        self._heap = mi.mi_heap_new_in_arena(arena)
        gc.collect()  # empties the interpreter's free lists, whose entries lie in the old heap
        self.enter()
        self.opened = size if ready is None else self._open(ready)

    def _open(self, ready: int) -> int:
        """A block that is allocated at once stays open when it is freed, as the memory is pinned; it is not touched."""
        block = libc.malloc(ready)
        libc.free(block)
        if not block:
            raise StartupError("The secret region is too small", _REMEDY)
        end: int = block + ready - self.region.address
        return -(-end // PIECE_BYTES) * PIECE_BYTES

    def enter(self) -> None:
        """Make this the default heap of the calling thread, and prove it."""
        local = self._mi.mi_heap_theap(self._heap) if self._heap else None
        if not local:
            raise MemoryError
        self._mi.mi_theap_set_default(local)
        self._prove()

    def _prove(self) -> None:
        """Refuse unless C and Python allocations of this thread really come from the region."""
        block = libc.malloc(4096)
        libc.free(block)
        objects = object(), bytearray(100), bytes(1 << 20)  # zeros from the region, which nobody has to write
        if not all(self.region.holds(address) for address in (block or 0, *map(id, objects))):
            raise StartupError("The process's heap is not the secret region", _REMEDY)
