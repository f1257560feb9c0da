"""X13: a trail whose past is gone starts no worker, says why, and records it; an operator's decision continues it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation.evidence.tpm_counter import NvCounter
from cji_client.profile import load_profile
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.format.configuration.worker import load
from cji_core.trail import (
    TrailAnchored,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    claims_unverified,
    verify_chain,
)
from cji_simulator.door import socket_folder
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.raw import RawWorker, events, forge, settled, until
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from cji_worker.ipc.status import ask
from tests.support.paths import ROOT
from tests.support.simulations import simulated

PEER = "tests.adversarial.peers.rolled_back_trail"


@dataclass(kw_only=True)
class Machine:
    """One worker's files on the simulated machine; the worker may be stopped."""

    azure: Simulation
    cmk: Cmk
    files: Deployment

    def start(self) -> Worker:
        self.azure.reboot()
        return Worker(self.files.config, trust=self.azure.trust, log=self.files.folder / "worker.log")

    def site(self, worker: Worker) -> Site:
        profile = load_profile(self.files.profile)
        return Site(simulation=self.azure, cmk=self.cmk, files=self.files, worker=worker, profile=profile)

    def live(self, jobs: int = 0) -> list[str]:
        """Start, run jobs, stop; returns the receipts."""
        with self.start() as worker:
            site = self.site(worker)
            settled(site)
            return [site.run(people(2)).receipt.compact for _ in range(jobs)]

    def attack(self, act: str, *arguments: object) -> None:
        command = [sys.executable, "-m", PEER, act, *map(str, arguments)]
        subprocess.run(command, cwd=ROOT, check=True)

    def refused(self) -> dict[str, Any]:
        """Start a worker that must not start; returns the keyholder's log line about it."""
        socket_folder(load(self.files.config))
        done = subprocess.run(
            [sys.executable, "-m", "cji_simulator.worker", str(self.files.config)],
            input=msgspec.json.encode(self.azure.trust),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert done.stdout == b""
        lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
        (error,) = [line for line in lines if line["event"] == "error"]
        assert error["remedy"]
        return error

    def events(self) -> list[Any]:
        with self.files.audit.open("rb") as trail:
            verify_chain(trail)
        return list(events(self.site(None)))  # type: ignore[arg-type]  # only its files are read

    @property
    def index(self) -> int:
        return load(self.files.config).audit_counter

    def counter(self) -> int | None:
        with NvCounter(self.azure.trust.tcti, self.index) as counter:
            return counter.value()

    def anchored(self) -> bool:
        """Whether the running worker has heard that the counter is where its last line says, so no anchor is open."""
        last = self.events()[-1]
        path = load(self.files.config).control_socket
        assert path is not None
        status = json.loads(ask(path, "status", timeout=20) or b"{}")
        anchor = (status.get("audit") or {}).get("anchor")
        return isinstance(last, TrailAnchored) and anchor == last.counter

    def cji(self, *arguments: str) -> str:
        ran = CliRunner().invoke(build(self.azure.trust), ["audit", *arguments], catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        return ran.output


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("rollback"), release_limit=1000, report_period=0) as running:
        yield running


def machine_at(folder: Path, azure: Simulation) -> Machine:
    cmk = azure.create_cmk(f"cji-{folder.name}")
    return Machine(azure=azure, cmk=cmk, files=worker_config(folder, simulation=azure, keys=[cmk]))


@pytest.fixture
def machine(tmp_path: Path, azure: Simulation) -> Iterator[Machine]:
    yield machine_at(tmp_path / "site", azure)
    azure.clear_faults()


@dataclass(frozen=True, kw_only=True)
class Past:
    """A machine that ran twice, and what an attacker kept after the first time."""

    machine: Machine
    older: Path
    newest: Path


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, azure: Simulation) -> Past:
    folder = tmp_path_factory.mktemp("past")
    past = Past(machine=machine_at(folder / "site", azure), older=folder / "older", newest=folder / "newest")
    for store in (past.older, past.newest):
        past.machine.live()
        past.machine.attack("keep", past.machine.files.audit, store)
    return past


def test_x13_starts_continue_the_anchors_and_receipts_bind_them(machine: Machine) -> None:
    first, *_ = machine.live(1)
    second, *_ = machine.live(1)
    anchors = [event.counter for event in machine.events() if isinstance(event, TrailAnchored)]
    assert anchors == list(range(anchors[0], anchors[0] + len(anchors)))
    assert isinstance(machine.events()[-1], TrailAnchored)
    claims = [claims_unverified(receipt) for receipt in (first, second)]
    assert anchors[0] <= claims[0].audit_anchor < claims[1].audit_anchor <= anchors[-1]


def _older_backup(past: Past) -> None:
    past.machine.attack("restore", past.machine.files.audit, past.older)


def _older_trail(past: Past) -> None:
    past.machine.attack("restore", past.machine.files.audit, past.older, "--trail-only")


def _cut(past: Past) -> None:
    past.machine.attack("cut", past.machine.files.audit, 1)


def _cut_trail(past: Past) -> None:
    past.machine.attack("cut", past.machine.files.audit, 1, "--trail-only")


def _empty(past: Past) -> None:
    past.machine.attack("cut", past.machine.files.audit, 100_000)


def _undefined(past: Past) -> None:
    """The last one, because nothing brings the counter back."""
    past.machine.attack("undefine", past.machine.azure.trust.tcti, past.machine.index)


@pytest.mark.parametrize(
    ("attack", "compared_with", "says"),
    [
        (_older_backup, "counter", "lines are missing"),
        (_older_trail, "ledger", "rolled back"),
        (_cut, "counter", "lines are missing"),
        (_cut_trail, "ledger", "rolled back"),
        (_empty, "counter", "has no anchor"),
        (_undefined, "counter", "lines are missing"),
    ],
)
def test_x13_a_trail_without_its_past_starts_no_worker(
    past: Past, attack: Callable[[Past], None], compared_with: str, says: str
) -> None:
    past.machine.attack("restore", past.machine.files.audit, past.newest)
    attack(past)
    error = past.machine.refused()
    assert says in error["what"]
    refusal = past.machine.events()[-1]
    assert isinstance(refusal, TrailRefused)
    assert refusal.compared_with == compared_with
    assert refusal.expected != refusal.found


def test_x13_an_operator_resumes_and_old_headers_stay_refused(machine: Machine, tmp_path: Path) -> None:
    machine.live()
    machine.attack("keep", machine.files.audit, tmp_path / "store")
    with machine.start() as worker:
        site = machine.site(worker)
        settled(site)
        captured = forge(site)
        with RawWorker.of(site) as raw:
            assert raw.run(captured.messages(captured.stream(people(2)))).receipt
    machine.attack("restore", machine.files.audit, tmp_path / "store")
    machine.refused()
    said = machine.cji(
        "resume", "--config", str(machine.files.config), "--operator", "jdoe", "--explanation", "disk restored, 4711"
    )
    assert "resumed at line" in said
    assert "in one chain" in machine.cji("verify", str(machine.files.audit))
    with machine.start() as worker:
        site = machine.site(worker)
        settled(site)
        with RawWorker.of(site) as raw:
            replayed = raw.run(captured.messages(captured.stream(people(2))))
            assert (replayed.reason, replayed.receipt) == (Reason.EXPIRED, None)
            later = datetime.now(UTC) + timedelta(seconds=59)
            until(lambda: datetime.now(UTC) > later - timedelta(seconds=57))
            new = forge(site, lambda header: header.created.FromDatetime(later))
            assert raw.run(new.messages(new.stream(people(2)))).receipt
    resumed = [event for event in machine.events() if isinstance(event, TrailResumed)]
    assert [event.explanation for event in resumed] == ["disk restored, 4711"]


def test_x13_a_crash_between_line_and_increment_is_finished(machine: Machine) -> None:
    with machine.start() as worker:
        site = machine.site(worker)
        settled(site)
        until(machine.anchored)
        machine.azure.fault(Service.TPM, Kind.RETRY)
        with RawWorker.of(site) as raw:
            job = forge(site, audience="another")
            assert raw.run([job.open()]).reason is Reason.AUDIENCE_MISMATCH
        until(lambda: isinstance(machine.events()[-1], TrailAnchored))
        os.kill(worker.pids["keyholder"], signal.SIGKILL)
        assert worker.process.wait(60) == 1
    announced = machine.events()[-1].counter
    machine.azure.clear_faults()
    machine.live()
    anchors = [event.counter for event in machine.events() if isinstance(event, TrailAnchored)]
    assert anchors[anchors.index(announced) + 1] == announced + 1
    assert not [event for event in machine.events() if isinstance(event, TrailRefused)]


def test_x13_a_tpm_that_does_not_count_withdraws_readiness(machine: Machine) -> None:
    def last() -> object:
        return [e for e in machine.events() if isinstance(e, WorkerReady | WorkerNotReady)][-1]

    with machine.start() as worker:
        site = machine.site(worker)
        settled(site)
        machine.azure.fault(Service.TPM, Kind.RETRY)
        with RawWorker.of(site) as raw:
            raw.run([forge(site, audience="another").open()])
        until(lambda: last() == WorkerNotReady(reason=Reason.AUDIT_UNAVAILABLE, condition="anchor"))
        machine.azure.clear_faults()
        until(lambda: isinstance(last(), WorkerReady))


def test_x13_a_worker_that_runs_holds_its_trail(machine: Machine) -> None:
    with machine.start():
        ran = CliRunner().invoke(
            build(machine.azure.trust),
            ["audit", "resume", "--config", str(machine.files.config), "--operator", "a", "--explanation", "b"],
        )
        assert ran.exit_code == 1
        assert "in use by another process" in ran.output
