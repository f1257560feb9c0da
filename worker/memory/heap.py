"""The whole heap of a process as secret memory.

The process is started with mimalloc in place of malloc (`HEAP_ENVIRONMENT`), so Python objects, numpy arrays,
pyarrow buffers and OpenSSL's key objects all come from one allocator. `SecretHeap` gives that allocator a region
as an exclusive arena and makes it the default heap of the calling thread. A full region means MemoryError; nothing
falls back to ordinary memory, and this is tested at every start.

Limits: the default heap is per thread (`enter` for each further one); one allocation is at most 32 MiB less a
little; what was allocated before stays where it was; thread stacks are not covered.
"""

import ctypes
import gc
from ctypes import POINTER, byref, c_bool, c_int, c_size_t, c_void_p
from typing import Final

from worker.errors import Unfit
from worker.memory.region import Region

__all__ = ["HEAP_ENVIRONMENT", "SecretHeap"]

_LIBRARY: Final = "libmimalloc.so.3"

HEAP_ENVIRONMENT: Final = {
    "LD_PRELOAD": _LIBRARY,
    "PYTHONMALLOC": "malloc",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""Environment of every process that will have a secret heap."""

_REMEDY: Final = "Install libmimalloc3 and start the worker with `cji serve`, which sets the heap's environment."


class SecretHeap:
    """A region that serves every allocation of the threads that entered it."""

    __slots__ = ("_heap_in", "_mi", "region")

    def __init__(self, region: Region, *, size: int) -> None:
        """Take the first `size` bytes of the region (a multiple of 32 MiB, zeroed) and enter from this thread."""
        try:
            mi = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise Unfit("libmimalloc is not installed", _REMEDY) from error
        mi.mi_manage_os_memory_ex.argtypes = [
            c_void_p,
            c_size_t,
            c_bool,
            c_bool,
            c_bool,
            c_int,
            c_bool,
            POINTER(c_void_p),
        ]
        mi.mi_manage_os_memory_ex.restype = c_bool
        mi.mi_heap_new_in_arena.argtypes = [c_void_p]
        mi.mi_heap_new_in_arena.restype = c_void_p
        mi.mi_heap_set_default.argtypes = [c_void_p]
        mi.mi_heap_set_default.restype = c_void_p
        arena = c_void_p()
        committed = pinned = zeroed = exclusive = True
        if not mi.mi_manage_os_memory_ex(
            region.address, size, committed, pinned, zeroed, -1, exclusive, byref(arena)
        ):
            raise Unfit("The allocator did not take the secret region", _REMEDY)
        self.region = region
        self._mi = mi
        self._heap_in = arena
        gc.collect()  # empties the interpreter's free lists, whose entries lie in the old heap
        self.enter()

    def enter(self) -> None:
        """Make this the default heap of the calling thread, and prove it."""
        heap = self._mi.mi_heap_new_in_arena(self._heap_in)
        if not heap:
            raise MemoryError
        self._mi.mi_heap_set_default(heap)
        self._prove()

    def _prove(self) -> None:
        """Refuse unless C and Python allocations of this thread really come from the region."""
        libc = ctypes.CDLL(None)
        libc.malloc.restype = c_void_p
        libc.malloc.argtypes = [c_size_t]
        libc.free.argtypes = [c_void_p]
        block = libc.malloc(4096)
        libc.free(block)
        small, large = bytearray(100), bytearray(1 << 20)
        addresses = [block or 0, *(ctypes.addressof(ctypes.c_char.from_buffer(b)) for b in (small, large)), id(object())]
        if not all(self.region.holds(a) for a in addresses):
            raise Unfit("The process's heap is not the secret region", _REMEDY)
