"""The means by which a process of the worker gives rights away, for good.

* `syscalls` compiles an allow-list of system calls; the kernel reports every other call to the parent.
* `denial` takes single system calls from a process with many threads, whose calls no allow-list can name.
* `landlock` takes away every file, TCP port, and signal to other processes.
* `namespaces` gives a process users, processes, network and IPC of its own.
* `limits` bounds what is left.

Each either takes effect or raises a StartupError that names what the machine cannot give.
"""

from worker.rights.denial import LISTENING, SOCKETS, deny, deny_powers
from worker.rights.landlock import forbid_files_and_network
from worker.rights.limits import address_space, bound_resources, drop_capabilities
from worker.rights.namespaces import become, enter_namespaces, fork
from worker.rights.syscalls import SyscallFilter, reported_call

__all__ = [
    "LISTENING",
    "SOCKETS",
    "SyscallFilter",
    "address_space",
    "become",
    "bound_resources",
    "deny",
    "deny_powers",
    "drop_capabilities",
    "enter_namespaces",
    "forbid_files_and_network",
    "fork",
    "reported_call",
]
