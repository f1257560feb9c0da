"""A scale set of workers, each a full worker on a VM of its own, under one key and for one submitter.

An instance is drained, its VM reboots, and a worker of another release or with other keys starts on it: in each boot of
a VM one worker can start. `Pool.roll` does this in batches, as the rolling upgrade of a scale set does.
"""

import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cji_client.profile import load_profile
from cji_simulator.launch import Deployment, key_table, worker_config
from cji_simulator.members import another_member
from cji_simulator.releases import Release
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site
from cji_simulator.worker import Worker

__all__ = ["Instance", "Pool"]

CELL_MIB: Final = 128
_BATCH: Final = 0.2
"""Of the instances, upgraded at the same time: the default of Azure's rolling upgrades."""
_START_S: Final = 900.0
"""For a worker whose neighbours start at the same time, on few processors."""
_REFUSED: Final = re.compile(rb'"reason": "(ATTESTATION_REJECTED|KEY_RELEASE_DENIED)"')
_KEYS: Final = "\n[[keys]]\n"


@dataclass(kw_only=True)
class Instance:
    """One VM of the scale set, and its worker while it runs."""

    number: int
    vm: Simulation
    files: Deployment
    cmk: Cmk
    release: Release
    worker: Worker | None = None
    seconds: float = 0.0
    """Duration of the last start, from the boot to readiness."""

    @property
    def name(self) -> str:
        """The worker's id."""
        return f"worker-{self.number}"

    @property
    def site(self) -> Site:
        """The running worker with its submitter."""
        if self.worker is None:
            raise ValueError(f"{self.name} does not run")
        profile = load_profile(self.files.profile)
        return Site(simulation=self.vm, cmk=self.cmk, files=self.files, worker=self.worker, profile=profile)


@dataclass(kw_only=True)
class Pool:
    """The instances; a context manager that drains them. `at_once` is the number that start at the same time."""

    folder: Path
    simulation: Simulation
    cmk: Cmk
    release: Release = field(default_factory=lambda: Release(name="1"))
    key_lifetime_s: int = 3600
    at_once: int = 2
    size: int = 1
    """Largest number of workers, which paces their requests to the vault."""
    refusals: int = 0
    """A start is given up after this many refusals of its machine or key; 0: the worker goes on asking."""
    instances: list[Instance] = field(default_factory=list)
    _sockets: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cji-pool-")))

    def __enter__(self) -> Self:
        self._sockets.chmod(0o711)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._each(self.stop, self.instances, at_once=4)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def scale(self, count: int, *, started: Callable[[Instance], None] = lambda _: None) -> None:
        """Add instances until there are `count`, and start them; `started` is called for each that serves."""
        new = [self._add() for _ in range(count - len(self.instances))]

        def start(instance: Instance) -> None:
            self.start(instance)
            started(instance)

        self._each(start, new, at_once=self.at_once)

    def start(self, instance: Instance) -> None:
        """Start the worker of an instance; raises WorkerDied."""
        clock, files = time.monotonic(), instance.files
        log, environment = files.folder / "worker.log", instance.release.environment
        before = len(_read(log))

        def given_up() -> bool:
            return bool(self.refusals) and len(_REFUSED.findall(_read(log)[before:])) >= self.refusals

        instance.worker = Worker(
            files.config,
            trust=instance.vm.trust,
            log=log,
            environment=environment,
            seconds=_START_S,
            given_up=given_up,
        )
        instance.seconds = time.monotonic() - clock

    def stop(self, instance: Instance) -> None:
        """Drain the worker, if one runs."""
        if instance.worker is not None:
            instance.worker.stop()
            instance.worker = None

    def reboot(self, instance: Instance, *, release: Release | None = None) -> None:
        """Drain, reboot the VM, and start a worker on it; raises WorkerDied."""
        self.stop(instance)
        instance.release = release or instance.release
        instance.vm.reboot(instance.release.image)
        self.start(instance)

    def roll(
        self, release: Release | None = None, *, done: Callable[[Instance], None] = lambda _: None
    ) -> list[list[Instance]]:
        """Reboot all instances, batch by batch, into the release if one is given; returns the batches.

        A batch is a fifth of the instances. Raises WorkerDied if one does not start; later ones stay as they are.
        """
        self.release = release or self.release
        count = max(1, math.ceil(_BATCH * len(self.instances)))
        batches = [self.instances[at : at + count] for at in range(0, len(self.instances), count)]

        def reboot(instance: Instance) -> None:
            self.reboot(instance, release=release)
            done(instance)

        for batch in batches:
            self._each(reboot, batch, at_once=self.at_once)
        return batches

    def use_keys(self, keys: Sequence[Cmk]) -> None:
        """Write the keys into every worker.toml; a worker reads them when it starts."""
        for instance in self.instances:
            config, tables = instance.files.config, "\n".join(map(key_table, keys))
            config.write_text(f"{config.read_text().partition(_KEYS)[0]}\n{tables}")

    def seal_to(self, key: Cmk) -> None:
        """Have submitters use this key for new jobs."""
        self.cmk = key
        for instance in self.instances:
            instance.cmk = key

    def _add(self) -> Instance:
        number, vm = len(self.instances) + 1, self.simulation.another_vm()
        home = self.folder / f"node-{number}"
        if self.instances:
            first = self.instances[0].files
            files = another_member(first, home, front=self._sockets / str(number) / "front.sock")
        else:
            files = worker_config(
                home,
                simulation=vm,
                keys=[self.cmk],
                cells=1,
                cell_mib=CELL_MIB,
                reference_mib=0,
                key_lifetime_s=self.key_lifetime_s,
            )
            paced = f"workers_per_vault = {max(self.size, 1)}\n"
            text = files.config.read_text()
            files.config.write_text(text.replace("[attestation]\n", f"[attestation]\n{paced}"))
        instance = Instance(number=number, vm=vm, files=files, cmk=self.cmk, release=self.release)
        self.instances.append(instance)
        return instance

    @staticmethod
    def _each(do: Callable[[Instance], None], instances: Iterable[Instance], *, at_once: int) -> None:
        with ThreadPoolExecutor(at_once) as executor:
            list(executor.map(do, instances))


def _read(log: Path) -> bytes:
    return log.read_bytes() if log.exists() else b""
