"""The processes of a worker as the supervisor starts and holds them: program, environment, inherited descriptors."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Final

import msgspec

from cji_worker.ipc import Boot, Channel, send_boot
from cji_worker.ipc.beats import Pulse
from cji_worker.ipc.messages import SUPERVISOR_FROM, ChildFromSupervisor, SupervisorFromChild
from cji_worker.launch import command
from cji_worker.memory import heap_environment
from cji_worker.rights import PIDFDS

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TSS2_LOG": "all+none",
}
"""The variables that children inherit in addition to `_FIPS`; proxies, CA overrides and PYTHON* do not reach them."""

_ORDINARY_HEAP: Final[Mapping[str, str]] = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
"""Heap settings of the front. glibc would return each megabyte message to the kernel and fault the next one in.

By default each of gRPC's threads has an arena, and a freed message stays in the arena of the thread that received it.
One arena, which the front trims when no job runs, is what returns to the kernel (docs/configuration.md has figures).
"""

_FIPS: Final = ("OPENSSL_CONF", "OPENSSL_MODULES")
"""Passed on if the unit sets them: they select the validated provider."""


@dataclass(eq=False, slots=True, kw_only=True)
class Child:
    """One process, its channel and its last beat. `pidfd` is the one means to signal it."""

    name: str
    process: subprocess.Popen[bytes]
    pidfd: int
    channel: Channel[SupervisorFromChild, ChildFromSupervisor]
    pulse: Pulse = field(default_factory=Pulse)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def start_child(name: str, module: str, boot: Boot, *, secret_heap: bool) -> Child:
    """Start `module` with this boot message, a channel to this process, and the descriptors that the message names."""
    ours, theirs = Channel.pair()
    boot = msgspec.structs.replace(boot, supervisor=theirs.fileno())
    boot_fd = send_boot(boot)
    channels = {boot_fd, boot.supervisor, boot.front, boot.keyholder, boot.zygote} - {-1}
    environment = {**ENVIRONMENT, **{k: os.environ[k] for k in _FIPS if k in os.environ}}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command(module, str(boot_fd)),
        pass_fds=(*channels, *boot.logs.values(), *boot.regions, *boot.slots, *boot.reference_regions),
        env={**environment, **(heap_environment() if secret_heap else _ORDINARY_HEAP)},
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    os.close(boot_fd)
    channel: Channel[SupervisorFromChild, ChildFromSupervisor] = Channel(ours, SUPERVISOR_FROM[name])
    found = os.pidfd_open(process.pid)
    pidfd = fcntl(found, F_DUPFD_CLOEXEC, PIDFDS)
    os.close(found)
    return Child(name=name, process=process, pidfd=pidfd, channel=channel)
