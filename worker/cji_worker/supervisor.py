"""The composition root: creates secret regions and channels; starts, watches and drains the processes.

It holds nothing: no key, no record, no network socket. Once its children run it gives up files, programs and
connections, and becomes a user of its own, before it reads their first message; it can still end them. When one process
ends, the others cannot continue, so all end and the supervisor exits with 1, and systemd starts the unit again; or with
the keyholder's status if no worker can start before the next boot, and systemd reboots the machine. A process
that stays silent counts as ended (`beats`); systemd hears READY when jobs are served, and WATCHDOG while no process is
silent. SIGTERM or SIGINT drains: the fronts accept no new job, running jobs finish, and the supervisor exits with 0.
SIGHUP reloads (`cji_worker.control`).
"""

import contextlib
import itertools
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Final

import msgspec

from cji_core.documents import convert
from cji_core.errors import RebootError, StartupError
from cji_core.format.configuration.machine import MACHINE, VM_ID
from cji_core.format.configuration.table_files import read_table_files
from cji_core.format.configuration.worker import Config
from cji_core.log import events_only, log
from cji_core.manifest import UNVERIFIED, Code, verified_code
from cji_worker.control.operations import Operations, WorkerMustEnd, take_signals
from cji_worker.control.status import ProcessStatus
from cji_worker.fronts import FRONT_NAMES, front_count
from cji_worker.host import Host, HostWatch, require, secret_mib
from cji_worker.ipc import SLOT_PAGE_BYTES, Boot, Channel, ChannelClosed, send_boot
from cji_worker.ipc.beats import BEAT_S, STALE_S, CpuClock, Pulse
from cji_worker.ipc.messages import (
    SUPERVISOR_FROM,
    Beat,
    ChildFromSupervisor,
    Drain,
    HostConditions,
    ProcessName,
    Silent,
    SupervisorFromChild,
    Up,
)
from cji_worker.launch import command
from cji_worker.memory import RegionFactory, forbid_new_privileges, harden, heap_environment, secret_fd
from cji_worker.notify import ServiceManager, opened_files
from cji_worker.rights import (
    CAP_KILL,
    PIDFDS,
    SUPERVISOR,
    become,
    drop_capabilities,
    forbid_files_and_network,
    require_users,
    watch_only,
)

_KEYHOLDER_BYTES: Final = 96 << 20
_STOP_S: Final = 5.0
_HIDDEN_S: Final = 10.0
_FRONT_SILENCE_S: Final = 2.5
_SILENCE_S: Final = 10.0
"""Silence after which a process counts as ended. A stopped front can tell nobody that it does not serve; a stopped
keyholder or zygote may continue, and the worker serves again."""

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
"""Heap settings of a front. glibc would return each megabyte message to the kernel and fault the next one in.

By default each of gRPC's threads has an arena, and a freed message stays in the arena of the thread that received it.
One arena, which the front trims when no job runs, is what returns to the kernel (docs/configuration.md has figures).
"""

_FIPS: Final = ("OPENSSL_CONF", "OPENSSL_MODULES")
"""Passed on if the unit sets them: they select the validated provider."""


@dataclass(eq=False, slots=True, kw_only=True)
class Child:
    """One process, its channel and its last beat. `pidfd` is the one means to signal it."""

    name: ProcessName
    process: subprocess.Popen[bytes]
    pidfd: int
    channel: Channel[SupervisorFromChild, ChildFromSupervisor]
    pulse: Pulse

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def start_child(name: str, module: str, boot: Boot, *, secret_heap: bool) -> Child:
    """Start `module` with this boot message, a channel to this process, and the descriptors that the message names."""
    ours, theirs = Channel.pair()
    boot = msgspec.structs.replace(boot, supervisor=theirs.fileno(), parent=os.getpid())
    boot_fd = send_boot(boot)
    channels = {boot_fd, boot.supervisor, *boot.fronts, boot.keyholder, boot.zygote, *boot.clock} - {-1}
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
    return Child(
        name=convert(name, ProcessName),
        process=process,
        pidfd=pidfd,
        channel=channel,
        pulse=Pulse(CpuClock(_clock(process.pid))),
    )


def _clock(pid: int) -> tuple[int, int]:
    """The CPU clock of a new process, which /proc may hide for an instant.

    In execve(2) its files are closed, which ends Popen, before it is dumpable; until then ProtectProc=invisible hides
    it from this process. Source: Linux, fs/exec.c, begin_new_exec. Raises OSError if it stays hidden for ten seconds.
    """
    end = time.monotonic() + _HIDDEN_S
    while True:
        try:
            return CpuClock.opened(pid)
        except FileNotFoundError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class Supervisor:
    """Runs one worker until a signal arrives or a process ends."""

    def __init__(
        self,
        config: Config,
        *,
        trust: msgspec.Struct,
        memory: RegionFactory = secret_fd,
        users: bool = True,
        namespaces: bool = True,
        code: Callable[[], Code] = verified_code,
        host: Host | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`trust` is an `attestation.Trust`. This process must end with `run`: it gives its rights away.

        `users`: each process becomes a user of its own; `namespaces`: zygote and cells enter namespaces of their own.

        `code` verifies the files that are about to run.

        `host` is another machine than this one in tests.

        `on_ready` is called once the worker serves jobs.
        """
        if VM_ID in config.worker.id:
            raise StartupError(
                f"worker.id names {VM_ID}, and there is no {MACHINE} beside worker.toml",
                "Let `cji bundle apply` write both, or give this worker a name of its own.",
            )
        self._config, self._trust, self._memory, self._on_ready = config, trust, memory, on_ready
        self._users, self._namespaces = users, namespaces
        self._manager = ServiceManager()
        self._verify, self._code = code, UNVERIFIED
        self._host = HostWatch(host or Host(secret_mib=secret_mib(config)))
        self._children: list[Child] = []
        self._serves = self._draining = False
        self._fronts = FRONT_NAMES[: front_count(config.worker.fronts)]
        self._up = set[str]()
        """Fronts that have served."""
        self._silent: tuple[ProcessName, ...] = ()

    def run(self) -> int:
        """Start, watch, stop; returns the exit status."""
        events_only()
        require(self._host.report.not_held, production=False)  # the keyholder, which has the trust, requires the rest
        if self._users:
            require_users()
        self._code = self._verify()
        stop_fd = take_signals()
        try:
            self._start()
            self._confine()
            return self._watch(stop_fd)
        finally:
            self._stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {c.name: c.process.pid for c in self._children}

    # ------------------------------------------------------------------ start

    def _start(self) -> None:
        config, worker = self._config, self._config.worker
        tables = read_table_files(config.tables_folder)
        regions = [self._memory(worker.cell_memory_mib << 20) for _ in range(worker.cells)]
        slots = [self._memory(SLOT_PAGE_BYTES) for _ in regions]
        references = config.references
        reference_regions = (
            [self._memory(references.memory_mib << 20) for _ in range(references.max_references)] if references else []
        )
        keyholder_region, logs = self._memory(_KEYHOLDER_BYTES), opened_files()
        front_channels = [Channel.pair() for _ in self._fronts]
        zygote_channel, zygote_channel_end = Channel.pair()
        self._spawn(
            "zygote",
            "cji_worker.cell.zygote",
            Boot(
                config=config,
                zygote=zygote_channel_end.fileno(),
                regions=tuple(regions),
                slots=tuple(slots),
                reference_regions=tuple(reference_regions),
                tables=tables,
            ),
            secret_heap=True,
        )
        self._spawn(
            "keyholder",
            "cji_worker.keyholder",
            Boot(
                config=config,
                trust=msgspec.json.encode(self._trust),
                host=self._host.report,
                tables=tables,
                fronts=tuple(ours.fileno() for ours, _ in front_channels),
                zygote=zygote_channel.fileno(),
                logs=logs,
                regions=(keyholder_region,),
                slots=tuple(slots),
            ),
            secret_heap=True,
        )
        clock = CpuClock.opened(os.getpid())
        for number, (name, (_, end)) in enumerate(zip(self._fronts, front_channels, strict=True)):
            front = Boot(config=config, keyholder=end.fileno(), clock=clock, number=number, count=len(self._fronts))
            self._spawn(name, "cji_worker.front.server", front, secret_heap=False)
        self._spawn("control", "cji_worker.control.__main__", Boot(config=config), secret_heap=False)
        for end in (*itertools.chain(*front_channels), zygote_channel, zygote_channel_end):
            end.close()
        for fd in (*regions, *slots, *reference_regions, keyholder_region, *clock, *logs.values()):
            os.close(fd)

    def _spawn(self, name: str, module: str, boot: Boot, *, secret_heap: bool) -> None:
        boot = msgspec.structs.replace(boot, code=self._code, users=self._users, namespaces=self._namespaces)
        child = start_child(name, module, boot, secret_heap=secret_heap)
        self._children.append(child)
        log("started", what=name, status=child.process.pid)

    def _confine(self) -> None:
        """Keep the channels, the service manager and the right to kill the children."""
        if self._users:
            become(SUPERVISOR, keep=(CAP_KILL,))
        else:
            drop_capabilities(keep=(CAP_KILL,))
        forbid_new_privileges()
        forbid_files_and_network(signals=True)  # the filter permits those to the children
        watch_only(child.pidfd for child in self._children)

    # ------------------------------------------------------------------ watch and stop

    def _watch(self, stop_fd: int) -> int:
        poll = select.poll()
        poll.register(stop_fd, select.POLLIN)
        by_fd = {child.channel.fileno(): child for child in self._children}
        operations = Operations(self._config, {child.name: child.channel for child in self._children}, self._fronts)
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        beat_at = 0.0
        while True:
            if (now := time.monotonic()) >= beat_at:
                beat_at = now + BEAT_S
                self._follow_host()
                if self._beat(by_fd.values(), operations):
                    return 1
            for fd, _ in poll.poll(BEAT_S * 1000):
                if fd == stop_fd:
                    os.read(stop_fd, 16)
                    self._drain()
                    continue
                child = by_fd[fd]
                try:
                    self._follow(child, operations)
                except WorkerMustEnd:
                    return 1
                except ChannelClosed:
                    status = child.process.wait()
                    log("ended", what=child.name, status=status)
                    if child.name == "keyholder" and status == RebootError.status:
                        return status
                    if not self._draining or status != 0:
                        return 1
                    if child.name == "keyholder":
                        return 0
                    operations.drained(child.name)
                    poll.unregister(fd)
                    del by_fd[fd]

    def _follow(self, child: Child, operations: Operations) -> None:
        message, fds = child.channel.receive()
        match message:
            case Beat():
                child.pulse.beat()
            case Up():
                if child.name in self._fronts:
                    self._up.add(child.name)
                    if not self._serves and len(self._up) == len(self._fronts):
                        self._serves = True
                        self._on_ready()
            case _:
                operations.take(child.name, message, fds)

    def _beat(self, children: Iterable[Child], operations: Operations) -> bool:
        """One beat: to fronts and keyholder, and to systemd unless a process is silent. Whether the worker must end."""
        self._say_who_is_silent(children)
        silences = {child: child.pulse.silence() for child in children}
        for child, silence in silences.items():
            if silence > (_FRONT_SILENCE_S if child.name in self._fronts else _SILENCE_S):
                log("silent", what=child.name, seconds=int(silence))
                return True
        processes = [
            ProcessStatus(name=c.name, pid=c.process.pid, age=c.pulse.age(), silent=c.name in self._silent)
            for c in silences
        ]
        try:
            operations.beat(self._host.report, processes, draining=self._draining)
        except WorkerMustEnd:
            return True
        if self._serves and max(silences.values(), default=0.0) < STALE_S:
            # again at every beat, so that none of it can be lost
            state = {"STOPPING": "1", "STATUS": "draining"} if self._draining else operations.service_state()
            self._manager.notify(**state, WATCHDOG="1")
        return False

    def _say_who_is_silent(self, children: Iterable[Child]) -> None:
        """At every beat, so that a lost message is repeated."""
        silent = tuple(child.name for child in children if child.pulse.stale())
        if silent != self._silent:
            self._silent = silent
            log("silent processes", what=", ".join(silent) or "none")
        starting = (child.name for child in self._children if child.name in self._fronts and child.pulse.age() < 0)
        to_fronts = Silent(processes=(*silent, *starting))
        for child in children:
            if child.name == "keyholder" or child.name in self._fronts:
                with contextlib.suppress(ChannelClosed):  # its end is noticed by `_watch`
                    child.channel.offer(Silent(processes=silent) if child.name == "keyholder" else to_fronts)

    def _follow_host(self) -> None:
        report = self._host.changed()
        for child in self._children:
            if report and child.name == "keyholder":
                with contextlib.suppress(ChannelClosed):  # its end is noticed by `_watch`
                    child.channel.send(HostConditions(report=report))

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        log("draining")
        for child in self._children:
            if child.name in self._fronts:
                child.channel.send(Drain())

    def _stop(self) -> None:
        """Descriptors close with this process, which can close none itself."""
        deadline = time.monotonic() + _STOP_S
        for child in self._children:
            if not self._draining or child.name == "control":  # it has nothing to finish
                child.kill()
        for child in self._children:
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.process.wait()


def serve(config: Config, *, trust: msgspec.Struct) -> int:
    """Run a worker with production memory; returns the exit status."""
    harden(parent=None)
    return Supervisor(config, trust=trust).run()
