"""Memory that no other process can read, and the rules of a process that keep it so.

* `Region` maps a `memfd_secret` file: not readable through /proc/PID/mem, ptrace or a core, not even by root.
* `SecretHeap` makes a region the heap of this process: Python objects, numpy, pyarrow and OpenSSL allocate in it.
* `Writable` is the record of what a process can have written to, and wipes that.
* `join_pages` makes a process cheap to fork.
* `overwrite_registers` clears what memmove leaves in vector registers.
* `harden` turns off the kernel's means to inspect a process or to leave traces of it.
"""

from cji_worker.memory.hardening import forbid_new_privileges, harden
from cji_worker.memory.heap import SecretHeap, heap_environment, join_pages, load_allocator
from cji_worker.memory.region import ALIGNMENT, Region, RegionFactory, overwrite_registers, secret_fd
from cji_worker.memory.writable import Writable

__all__ = [
    "ALIGNMENT",
    "Region",
    "RegionFactory",
    "SecretHeap",
    "Writable",
    "forbid_new_privileges",
    "harden",
    "heap_environment",
    "join_pages",
    "load_allocator",
    "overwrite_registers",
    "secret_fd",
]
