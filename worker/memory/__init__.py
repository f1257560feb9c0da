"""Memory that nobody else can read, and the process rules that keep it so.

* `Region` maps a `memfd_secret` file: not readable through /proc/PID/mem, ptrace or a core, by root either.
* `SecretHeap` makes a region the heap of this process: Python objects, numpy, pyarrow and OpenSSL allocate in it.
* `wipe_and_exit` overwrites regions as the last thing a process does.
* `harden` closes what the kernel offers to look into a process or to leave traces of it.
"""

from worker.memory.hardening import forbid_files, harden, refuse_swap
from worker.memory.heap import SecretHeap, heap_environment
from worker.memory.region import ALIGNMENT, Region, RegionFactory, secret_fd
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
    "refuse_swap",
    "secret_fd",
    "wipe_and_exit",
]
