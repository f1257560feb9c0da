"""The few C functions that Python does not offer, with their types."""

import ctypes
import os
from ctypes import c_int, c_long, c_size_t, c_ulong, c_void_p

libc = ctypes.CDLL(None, use_errno=True)

libc.mmap.restype = c_void_p
libc.mmap.argtypes = [c_void_p, c_size_t, c_int, c_int, c_int, c_long]
libc.munmap.argtypes = [c_void_p, c_size_t]
libc.mprotect.argtypes = [c_void_p, c_size_t, c_int]
libc.madvise.argtypes = [c_void_p, c_size_t, c_int]
libc.memset.restype = c_void_p
libc.memset.argtypes = [c_void_p, c_int, c_size_t]
libc.malloc.restype = c_void_p
libc.malloc.argtypes = [c_size_t]
libc.free.argtypes = [c_void_p]
libc.malloc_trim.argtypes = [c_size_t]
libc.mallopt.argtypes = [c_int, c_int]
libc.prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]
libc.syscall.restype = c_long


def check(result: int) -> int:
    """Return the result of a call that reports failure as a negative number; raise OSError for one."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
