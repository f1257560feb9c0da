"""The means by which a process of the worker gives rights away, for good.

* `syscalls` compiles an allow-list of system calls; the kernel reports every other call to the parent.
* `denial` takes system calls from a process: single ones where no allow-list can name the rest, or all but those
  that the supervisor needs to watch and end its children.
* `landlock` takes away every file, TCP port, and signal to other processes, but those of name lookup and TLS.
* `users` makes a process a user of its own.
* `namespaces` gives a process users, processes, network and IPC of its own.
* `limits` bounds what is left.

Each either takes effect or raises a StartupError that names what the machine cannot give.
"""

from cji_worker.rights.denial import LISTENING, PIDFDS, SOCKETS, deny, deny_powers, watch_only
from cji_worker.rights.landlock import DNS_PORT, FIPS_VARIABLES, NETWORK_FILES, forbid_files_and_network
from cji_worker.rights.limits import address_space, bound_resources, drop_capabilities
from cji_worker.rights.namespaces import enter_namespaces, fork
from cji_worker.rights.syscalls import ReportedCall, SyscallFilter, reported_call
from cji_worker.rights.users import CAP_KILL, FRONT, SUPERVISOR, become, can_become_users, require_users

__all__ = [
    "CAP_KILL",
    "DNS_PORT",
    "FIPS_VARIABLES",
    "FRONT",
    "LISTENING",
    "NETWORK_FILES",
    "PIDFDS",
    "SOCKETS",
    "SUPERVISOR",
    "ReportedCall",
    "SyscallFilter",
    "address_space",
    "become",
    "bound_resources",
    "can_become_users",
    "deny",
    "deny_powers",
    "drop_capabilities",
    "enter_namespaces",
    "forbid_files_and_network",
    "fork",
    "reported_call",
    "require_users",
    "watch_only",
]
