"""Memory that no other process can read, and the rules of a process that keep it so.

* `Region` maps a `memfd_secret` file: not readable through /proc/PID/mem, ptrace or a core, not even by root.
* `SecretHeap` makes a region the heap of this process: Python objects, numpy, pyarrow and OpenSSL allocate in it.
* `overwrite_registers` clears what memmove leaves in vector registers.
* `wipe_and_exit` overwrites regions and ends the process.
* `harden` turns off the kernel's means to inspect a process or to leave traces of it.
"""

from worker.memory.hardening import forbid_files, harden, return_free_memory
from worker.memory.heap import SecretHeap, heap_environment
from worker.memory.region import ALIGNMENT, Region, RegionFactory, secret_fd
from worker.memory.registers import overwrite_registers
from worker.memory.wipe import Touched, wipe_and_exit

__all__ = [
    "ALIGNMENT",
    "Region",
    "RegionFactory",
    "SecretHeap",
    "Touched",
    "forbid_files",
    "harden",
    "heap_environment",
    "overwrite_registers",
    "return_free_memory",
    "secret_fd",
    "wipe_and_exit",
]
