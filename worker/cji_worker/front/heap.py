"""The front's heap: glibc's, which keeps what messages freed, and gives it back while no job runs.

Source: mallopt(3).
"""

from typing import Final

from cji_worker.libc import libc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES: Final = 64 << 20
_LARGE_BYTES: Final = 32 << 20
"""The most that glibc takes for M_MMAP_THRESHOLD."""


def keep_free_memory() -> None:
    """Have glibc's heap keep what is freed, up to 64 MiB, in one arena. For a process that moves large messages.

    Otherwise a freed message of a megabyte goes back to the kernel, and the next one is made of pages that it fills
    with zeros first: up to 190 000 faults for each GB. `return_free_memory` returns what is kept. Before threads.
    """
    for name, value in ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES)):
        if libc.mallopt(name, value) != 1:
            raise OSError("glibc refuses an option of its heap")


def return_free_memory() -> None:
    """Return what glibc's heap holds free to the kernel. For a process with an ordinary heap."""
    libc.malloc_trim(0)
