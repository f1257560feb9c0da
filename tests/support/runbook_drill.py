"""An agency with a pool of one worker, for drills of runbooks: the real program, `az` and `cji` of the simulation."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.trail import TrailCheckpoint
from cji_core.trail.chain import read
from cji_core.trail.trail import lines
from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.run import Execution
from cji_deploy.runbooks.values import Site
from cji_simulator import Simulation
from cji_simulator.azcli import SUBSCRIPTION
from cji_simulator.launch import Deployment
from cji_simulator.pool import Pool
from cji_simulator.pool_service import PoolService
from cji_simulator.releases import Release, next_release
from tests.support.drill_times import note
from tests.support.simulations import simulated

__all__ = ["IMAGES", "LIFETIME", "Agency", "agency_of"]

LIFETIME: Final = 60
IMAGES: Final = ("/gallery/images/cji/versions/1.0.0", "/gallery/images/cji/versions/2.0.0")
KEY: Final = "cji-runbooks"
Acts = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, kw_only=True)
class Agency:
    """A pool and its operator. `files` are those of its worker and submitter; what a run printed is in `said`."""

    folder: Path
    simulation: Simulation
    pool: Pool
    service: PoolService
    images: Mapping[str, Release]
    files: Deployment
    said: list[str] = field(default_factory=list)

    @property
    def worker_log(self) -> str:
        """What the first worker has logged."""
        return (self.files.folder / "worker.log").read_text()

    def cji(self, simulation: Simulation | None = None) -> tuple[str, ...]:
        """The command line program on a VM, with the simulation's `az` on its path."""
        vm = simulation or self.simulation
        state = self.folder / f"vm-{vm.machine.number}"
        state.mkdir(exist_ok=True)
        (state / "trust.json").write_bytes(msgspec.json.encode(vm.trust))
        program = str(Path(sys.executable).with_name("cji-simulator"))
        return ("env", f"PATH={self.folder / 'bin'}:{os.environ['PATH']}", program, "cji", "--state", str(state))

    def job(self, out: Path, *, seconds: float = 120.0) -> None:
        """A canary job that a worker answers; its result is in `out`."""
        values, end = self.site().values, time.monotonic() + seconds
        arguments = ("job", "run", values["canary"], "--spec", values["canary_spec"], "--profile", values["profile"])
        while True:
            done = subprocess.run(
                [*self.cji(), *arguments, "--out", str(out)], capture_output=True, text=True, check=False
            )
            if not done.returncode:
                return
            assert time.monotonic() < end, done.stderr
            shutil.rmtree(out, ignore_errors=True)

    def until_covered(self, *, seconds: float = 150.0) -> None:
        """Wait until a checkpoint covers every line that the first worker's trail has now."""
        end, now = time.monotonic() + seconds, sum(1 for _ in lines(self.files.audit))
        while not any(
            isinstance(record.event, TrailCheckpoint) and record.seq > now
            for record in map(read, lines(self.files.audit))
        ):
            assert time.monotonic() < end, "no checkpoint"
            time.sleep(1)

    def site(self, vm: Simulation | None = None, /, **values: str) -> Site:
        """The site's file, with other values where given; `cji` is that of a VM in another region, if given."""
        az = (str(self.folder / "bin" / "az"),)
        client = self.files.profile.parent
        known = {
            "subscription": SUBSCRIPTION,
            "group": "cji",
            "scale_set": "cji-workers",
            "vault": "cji-kv",
            "key": KEY,
            "profile": str(client / "client.toml"),
            "canary": str(self.folder / "canary.csv"),
            "canary_spec": str(self.folder / "canary.toml"),
            "export": str(self.folder / "export.json"),
            "wait_s": "200",
            "upgrade_s": "7200",
            "authority": self.simulation.maa_url,
            "target": self.files.target,
            "ca": str(client / "ca.pem"),
            "days": "1",
            "image": IMAGES[1],
            "previous_image": IMAGES[0],
            "job_hours": "1",
            "trail": str(self.files.audit),
            "config": str(self.files.config),
            **values,
        }
        python = ("env", f"SSL_CERT_FILE={self.folder / 'roots.pem'}", sys.executable)
        persons = {"add-key": (*az, "operator", "add-key"), "renew": (*az, "operator", "renew")}
        return Site(known, tools={"az": az, "cji": self.cji(vm), "python": python}, persons=persons)

    def run(
        self,
        name: str,
        values: Mapping[str, str] | None = None,
        *,
        acts: Acts | None = None,
        chosen: frozenset[str] = frozenset(),
        vm: Simulation | None = None,
    ) -> Execution:
        """Execute a runbook; `acts` has what a person does, by the step's id. A person's step that has none fails."""
        book, acts = BOOKS[name], acts or {}
        self.said.clear()

        def confirm(_: str) -> bool:
            title = next(each for each in reversed(self.said) if not each.startswith(" ")).partition(". ")[2]
            (step,) = (each for each in book.steps if each.title == title)
            acts[step.id]()
            return True

        execution = Execution(
            book,
            self.site(vm, **(values or {})),
            confirm=confirm,
            say=self.said.append,
            every=1.5,  # each try starts a program
            chosen=chosen,
            drill=True,
        )
        try:
            execution.run()
        finally:
            note(name, {**execution.seconds, **dict.fromkeys(execution.printed)}, execution.measured)
        return execution


@contextmanager
def agency_of(folder: Path) -> Iterator[Agency]:
    """A simulation of its own, a pool of one worker, and a gallery of two images."""
    (folder / "canary.csv").write_text("last,first\nDOE,JANE\n")
    (folder / "canary.toml").write_text(
        '[input]\nschema = "person/1"\n\n[[operations]]\nkind = "deidentify"\n\n'
        '[operations.columns]\nlast = "keep"\nfirst = "drop"\n'
    )
    with ExitStack() as stack:
        simulation = stack.enter_context(simulated(folder / "azure"))
        (folder / "roots.pem").write_text(simulation.endpoints.tls_roots)
        _az(folder / "bin" / "az", simulation.state)
        cmk = simulation.create_cmk(KEY)
        pool = stack.enter_context(
            Pool(folder=folder, simulation=simulation, cmk=cmk, key_lifetime_s=LIFETIME, size=1, refusals=2)
        )
        pool.scale(1)
        images = {IMAGES[0]: Release(name="1"), IMAGES[1]: next_release(folder / "two", "2")}
        service = stack.enter_context(PoolService(pool, state=simulation.state, images=images, image=IMAGES[0]))
        files = pool.instances[0].files
        yield Agency(folder=folder, simulation=simulation, pool=pool, service=service, images=images, files=files)


def _az(program: Path, state: Path) -> None:
    """The simulation's `az`, as a program: the SDK's credential for the Azure CLI starts it too."""
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cji_simulator.azcli "{state}" "$@"\n')
    program.chmod(0o755)
