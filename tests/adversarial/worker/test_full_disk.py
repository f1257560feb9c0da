"""X9: the audit trail's disk is full when a job commits. No receipt leaves, and the worker comes back by itself."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_client.profile import load_profile
from cji_core.errors import Reason
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, JobRefused, TailRecovered, verify_chain
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawJob, RawStream, RawWorker, events, forge, sends, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from tests.support.paths import ROOT

FINISH = pb.RunRequest(finish=pb.Finish())
SERVICE = "cji.worker.v1.CjiWorker"


def peer(*arguments: object) -> None:
    command = [sys.executable, "-m", "tests.adversarial.peers.full_disk", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "cji", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def opened(stack: ExitStack, folder: Path, azure: Simulation, audit: Path) -> Site:
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-full")
    files = worker_config(folder, simulation=azure, keys=[cmk])
    text = files.config.read_text()
    files.config.write_text(text.replace('audit_file = "state/audit.jsonl"', f'audit_file = "{audit}"'))
    worker = stack.enter_context(Worker(files.config, trust=azure.trust, log=folder / "worker.log"))
    profile = load_profile(files.profile)
    return Site(simulation=azure, cmk=cmk, files=replace(files, audit=audit), worker=worker, profile=profile)


def serving(raw: RawWorker) -> bool:
    answer = health_pb2_grpc.HealthStub(raw.channel).Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def finished(stream: RawStream, job: RawJob) -> tuple[Reason | None, str | None]:
    stream.send(*sends(job.stream(people(2))), FINISH)
    stream.half_close()
    answer = stream.answer()
    return answer.reason, answer.receipt


def kinds(site: Site, job: RawJob) -> list[type]:
    """The events of one job, without calls that found no warm cell."""
    job_id = pb.JobHeader.FromString(job.header).job_id.hex()
    found = [event for event in events(site) if getattr(event, "job_id", None) == job_id]
    return [type(event) for event in found if not isinstance(event, JobRefused)]


def commits_fail(site: Site, *, full: Callable[[], None], room: Callable[[], None]) -> None:
    """Two jobs are about to commit when the disk fills up; at most one of them finds room in the last page."""
    settled(site)
    jobs = [forge(site), forge(site)]
    with RawWorker.of(site) as raw, ExitStack() as stack:
        streams = [stack.enter_context(raw.stream(timeout=60)) for _ in jobs]
        for stream, job in zip(streams, jobs, strict=True):
            assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        full()
        answers = [finished(stream, job) for stream, job in zip(streams, jobs, strict=True)]
        failed = [job for job, (_, receipt) in zip(jobs, answers, strict=True) if receipt is None]
        assert failed
        assert {reason for reason, receipt in answers if receipt is None} == {Reason.AUDIT_UNAVAILABLE}
        until(lambda: not serving(raw))
        room()
        until(lambda: serving(raw))
        for job in failed:
            assert kinds(site, job) == [JobAdmitted, JobEnded]
            again = raw.run(job.messages(job.stream(people(2))))
            assert again.receipt
            assert kinds(site, job)[2:] == [JobAdmitted, JobCompleted]
    assert TailRecovered in {type(event) for event in events(site)}
    with site.files.audit.open("rb") as trail:
        verify_chain(trail)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a disk")
def test_x09_a_full_disk_is_left_when_room_returns(tmp_path: Path, disk: Path, simulation: Simulation) -> None:
    with ExitStack() as stack:
        site = opened(stack, tmp_path / "site", simulation, disk / "audit.jsonl")
        commits_fail(site, full=lambda: peer("fill", disk), room=lambda: peer("free", disk))


def test_x09_a_file_that_may_not_grow_for_a_while(tmp_path: Path, simulation: Simulation) -> None:
    """As an ordinary user can have it, with another errno."""
    with ExitStack() as stack:
        audit = tmp_path / "audit.jsonl"
        site = opened(stack, tmp_path / "site", simulation, audit)
        keyholder = site.worker.pids["keyholder"]
        commits_fail(
            site,
            full=lambda: peer("limit", keyholder, audit.stat().st_size + 100),
            room=lambda: peer("unlimit", keyholder),
        )


def test_x09_a_replaced_trail_ends_the_worker(tmp_path: Path, simulation: Simulation) -> None:
    with ExitStack() as stack:
        site = opened(stack, tmp_path / "site", simulation, tmp_path / "audit.jsonl")
        data = site.files.audit.read_bytes()
        site.files.audit.unlink()
        site.files.audit.write_bytes(data)
        assert site.worker.process.wait(60) == 1
        log = site.worker.log.read_text()
        assert "replaced or changed while the worker was running" in log
