"""The composition root: creates secret regions and channels; starts, watches and drains the three processes.

It holds nothing: no key, no record, no network socket. When one process ends, the others cannot continue, so all end
and the supervisor exits with 1; systemd starts the unit again. A process that stays silent counts as ended (`beats`);
systemd hears READY when jobs are served, and WATCHDOG while no process is silent. SIGTERM or SIGINT drains: the front
accepts no new job, running jobs finish, and the supervisor exits with 0.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from worker.config import Config
from worker.host import Host, HostWatch, require, secret_mib
from worker.ipc import SLOT_PAGE_BYTES, Boot, Channel, ChannelClosed, send_boot
from worker.ipc.beats import BEAT_S, STALE_S, Pulse
from worker.ipc.messages import Beat, ChildFromSupervisor, Drain, HostConditions, SupervisorFromChild, Up
from worker.launch import command
from worker.log import log
from worker.manifest import UNVERIFIED, Code, verified_code
from worker.memory import RegionFactory, harden, heap_environment, secret_fd
from worker.notify import ServiceManager, opened_files
from worker.table_files import read_table_files

_KEYHOLDER_BYTES: Final = 96 << 20
_STOP_S: Final = 5.0
_SILENCE_S: Final[Mapping[str, float]] = {"front": 2.5, "keyholder": 10.0, "zygote": 10.0}
"""Silence after which a process counts as ended. A stopped front can tell nobody that it does not serve; a stopped
keyholder or zygote may continue, and the worker serves again."""
_ENVIRONMENT: Final[Mapping[str, str]] = {
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
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    channel: Channel[SupervisorFromChild, ChildFromSupervisor]
    pulse: Pulse = field(default_factory=Pulse)


class Supervisor:
    """Runs one worker until a signal arrives or a process ends."""

    def __init__(
        self,
        config: Config,
        *,
        trust: msgspec.Struct,
        memory: RegionFactory = secret_fd,
        namespaces: bool = True,
        code: Callable[[], Code] = verified_code,
        host: Host | None = None,
        on_ready: Callable[[int], None] = lambda _port: None,
    ) -> None:
        """`trust` is an `attestation.Trust`; `namespaces`: zygote and cells enter namespaces of their own.

        `code` verifies the files that are about to run.

        `host` is another machine than this one in tests.

        `on_ready` is called with the port once the worker serves jobs.
        """
        self._config, self._trust, self._memory, self._on_ready = config, trust, memory, on_ready
        self._namespaces = namespaces
        self._manager = ServiceManager()
        self._verify, self._code = code, UNVERIFIED
        self._host = HostWatch(host or Host(secret_mib=secret_mib(config)))
        self._children: list[_Child] = []
        self._serves = self._draining = False

    def run(self) -> int:
        """Start, watch, stop; returns the exit status."""
        require(self._host.report.not_held, production=False)  # the keyholder, which has the trust, requires the rest
        self._code = self._verify()
        stop_fd = _stop_signals()
        try:
            self._start()
            return self._watch(stop_fd)
        finally:
            self._stop()
            os.close(stop_fd)

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
        front_channel, front_channel_end = Channel.pair()
        zygote_channel, zygote_channel_end = Channel.pair()
        self._spawn(
            "zygote",
            "worker.cell.zygote",
            Boot(
                config=config,
                zygote=zygote_channel_end.fileno(),
                regions=tuple(regions),
                slots=tuple(slots),
                reference_regions=tuple(reference_regions),
                tables=tables,
                namespaces=self._namespaces,
            ),
            secret_heap=True,
        )
        self._spawn(
            "keyholder",
            "worker.keyholder",
            Boot(
                config=config,
                trust=msgspec.json.encode(self._trust),
                host=self._host.report,
                tables=tables,
                front=front_channel.fileno(),
                zygote=zygote_channel.fileno(),
                logs=logs,
                regions=(keyholder_region,),
                slots=tuple(slots),
            ),
            secret_heap=True,
        )
        self._spawn(
            "front", "worker.front.server", Boot(config=config, keyholder=front_channel_end.fileno()), secret_heap=False
        )
        for end in (front_channel, front_channel_end, zygote_channel, zygote_channel_end):
            end.close()
        for fd in (*regions, *slots, *reference_regions, keyholder_region, *logs.values()):
            os.close(fd)

    def _spawn(self, name: str, module: str, boot: Boot, *, secret_heap: bool) -> None:
        ours, theirs = Channel.pair()
        boot = msgspec.structs.replace(boot, code=self._code, supervisor=theirs.fileno())
        boot_fd = send_boot(boot)
        channels = {boot_fd, boot.supervisor, boot.front, boot.keyholder, boot.zygote} - {-1}
        environment = {**_ENVIRONMENT, **{k: os.environ[k] for k in _FIPS if k in os.environ}}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command(module, str(boot_fd)),
            pass_fds=(*channels, *boot.logs.values(), *boot.regions, *boot.slots, *boot.reference_regions),
            env={**environment, **(heap_environment() if secret_heap else _ORDINARY_HEAP)},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(boot_fd)
        self._children.append(_Child(name=name, process=process, channel=Channel(ours, SupervisorFromChild)))
        log("started", what=name, status=process.pid)

    # ------------------------------------------------------------------ watch and stop

    def _watch(self, stop_fd: int) -> int:
        poll = select.poll()
        poll.register(stop_fd, select.POLLIN)
        by_fd = {child.channel.fileno(): child for child in self._children}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        beat_at = 0.0
        while True:
            if (now := time.monotonic()) >= beat_at:
                beat_at = now + BEAT_S
                self._follow_host()
                if self._silent(by_fd.values()):
                    return 1
            for fd, _ in poll.poll(BEAT_S * 1000):
                if fd == stop_fd:
                    os.read(stop_fd, 16)
                    self._drain()
                    continue
                child = by_fd[fd]
                try:
                    self._follow(child)
                except ChannelClosed:
                    status = child.process.wait()
                    log("ended", what=child.name, status=status)
                    if not self._draining or status != 0:
                        return 1
                    if child.name == "keyholder":
                        return 0
                    poll.unregister(fd)
                    del by_fd[fd]

    def _follow(self, child: _Child) -> None:
        match child.channel.receive()[0]:
            case Beat():
                child.pulse.beat()
            case Up(port=port) if child.name == "front":
                self._serves = True
                self._on_ready(port)

    def _silent(self, children: Iterable[_Child]) -> bool:
        """One beat: to the front, and to systemd unless a process is silent. Whether one has been so for too long."""
        silences = {child: child.pulse.silence() for child in children}
        for child, silence in silences.items():
            if silence > _SILENCE_S[child.name]:
                log("silent", what=child.name, seconds=int(silence))
                return True
            if child.name == "front":
                with contextlib.suppress(ChannelClosed):
                    child.channel.offer(Beat())
        if self._serves and max(silences.values(), default=0.0) < STALE_S:
            # again at every beat, so that none of it can be lost
            state = {"STOPPING": "1", "STATUS": "draining"} if self._draining else {"READY": "1", "STATUS": "serving"}
            self._manager.notify(**state, WATCHDOG="1")
        return False

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
            if child.name == "front":
                child.channel.send(Drain())

    def _stop(self) -> None:
        deadline = time.monotonic() + _STOP_S
        for child in self._children:
            if not self._draining:
                child.process.kill()
        for child in self._children:
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.channel.close()


def _stop_signals() -> int:
    """A descriptor that becomes readable on SIGTERM and SIGINT."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return read


def serve(config: Config, *, trust: msgspec.Struct) -> int:
    """Run a worker with production memory; returns the exit status."""
    harden(die_with_parent=False)
    return Supervisor(config, trust=trust).run()
