"""What becomes of a serving worker and of its jobs when keys are renewed, rotated, revoked, or the machine changes."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import grpc
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_client.profile import load_profile
from cji_client.seal import INPUT_NAME
from cji_core.errors import Reason, Stage
from cji_core.trail import Attested, JobAdmitted, JobEnded, KeyDropped, KeyReleased, WorkerNotReady, WorkerReady
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawWorker, events, forge, settled, until
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from tests.support.simulations import simulated

SERVICE = "cji.worker.v1.CjiWorker"
SERVING = health_pb2.HealthCheckResponse.SERVING
E = TypeVar("E")


class Health:
    """What a load balancer sees: every state of the service since this object was made."""

    def __init__(self, raw: RawWorker) -> None:
        self.states: list[bool] = []
        watch = health_pb2_grpc.HealthStub(raw.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        threading.Thread(target=self._read, args=(watch,), daemon=True).start()
        until(lambda: self.states)

    def _read(self, watch: Iterator[health_pb2.HealthCheckResponse]) -> None:
        try:
            for answer in watch:
                self.states.append(answer.status == SERVING)
        except grpc.RpcError:
            pass  # the worker ended


class Place:
    """A worker of this test's own machine, and who submits to it."""

    def __init__(self, folder: Path, azure: Simulation, keys: list[Cmk], *, lifetime: int, check: int) -> None:
        azure = azure.another_vm()
        files = worker_config(folder, simulation=azure, keys=keys, key_lifetime_s=lifetime, pcr_check_s=check)
        self.worker = Worker(files.config, trust=azure.trust, log=folder / "worker.log")
        profile = load_profile(files.profile)
        self.sites = [Site(simulation=azure, cmk=cmk, files=files, worker=self.worker, profile=profile) for cmk in keys]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in events(self.sites[0]))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in events(self.sites[0]) if isinstance(event, kind)]


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """A machine of these tests' own: they change it."""
    with simulated(tmp_path_factory.mktemp("machine"), release_limit=1000, report_period=0) as simulation:
        yield simulation


def test_renewals_do_not_disturb_a_job_that_runs_through_them(tmp_path: Path, azure: Simulation) -> None:
    place = Place(tmp_path, azure, [azure.create_cmk("renewed")], lifetime=10, check=30)
    with place.worker, RawWorker.of(place.sites[0]) as raw:
        site, health = place.sites[0], Health(raw)
        batches = people(20_000).to_batches(max_chunksize=1000)

        def slowly() -> Iterator[pa.RecordBatch]:
            yield from batches[:10]
            before = place.count(Attested)
            until(lambda: place.count(KeyReleased) >= before + 2)
            yield from batches[10:]

        reader = pa.RecordBatchReader.from_batches(batches[0].schema, slowly())
        with site.client() as client:
            sealed = site.seal(rows=20_000)
            result = client.run(sealed, {INPUT_NAME: reader}, attested=client.attest(), deadline=120)
        admitted = next(i for i, e in enumerate(events(site)) if isinstance(e, JobAdmitted))
        renewals = [e for e in events(site)[admitted:] if isinstance(e, Attested)]
        assert len(renewals) >= 2
        assert result.receipt.claims.evidence_sha384 in {e.evidence_sha384 for e in renewals}
        assert site.open(result)["result"].num_rows == 20_000
        assert health.states == [True]
    assert [e.cause for e in place.of(KeyDropped)] == ["stopped"]


def test_k13_jobs_sealed_to_this_and_the_last_version_both_open(tmp_path: Path, azure: Simulation) -> None:
    old = azure.create_cmk("rotated")
    place = Place(tmp_path, azure, [old, azure.rotate_cmk("rotated")], lifetime=3600, check=30)
    with place.worker:
        with place.sites[0].client() as client:
            until(lambda: set(client.describe().keys) == {site.cmk.kek_id for site in place.sites})
        for site in place.sites:
            settled(site)
            assert site.run(people(5)).receipt.claims.kek_id == site.cmk.kek_id
        third = replace(place.sites[0], cmk=azure.rotate_cmk("rotated"))
        with RawWorker.of(third) as raw:
            job = forge(third)
            assert raw.run(job.messages(job.stream(people(1)))).reason is Reason.UNKNOWN_KEY


def test_k08_a_revoked_key_ends_its_jobs_and_no_others(tmp_path: Path, azure: Simulation) -> None:
    keys = [azure.create_cmk("revoked"), azure.create_cmk("kept")]
    place = Place(tmp_path, azure, keys, lifetime=10, check=30)
    revoked, kept = place.sites
    with place.worker, RawWorker.of(kept) as raw:
        until(lambda: place.count(KeyReleased) >= 2)
        health, jobs = Health(raw), [forge(site) for site in place.sites]
        settled(kept)
        with raw.stream(timeout=60) as lost, raw.stream(timeout=60) as going_on:
            for stream, job in zip((lost, going_on), jobs, strict=True):
                assert stream.begin(job.open()).WhichOneof("message") == "accepted"
            azure.enable_cmk(revoked.cmk, enabled=False)
            answer = lost.answer()
            assert (answer.reason, answer.stage) == (Reason.KEY_RELEASE_DENIED, Stage.COMPUTE)
            going_on.send(*jobs[1].messages(jobs[1].stream(people(2)))[1:])
            going_on.half_close()
            assert going_on.answer().receipt
        again = forge(revoked)
        assert raw.run(again.messages(again.stream(people(1)))).reason is Reason.KEY_RELEASE_DENIED
        assert [(e.kek_id, e.cause) for e in place.of(KeyDropped)] == [(revoked.cmk.kek_id, "revoked")]
        assert [e.reason for e in place.of(JobEnded)] == [Reason.KEY_RELEASE_DENIED]
        assert health.states == [True]
        with kept.client() as client:
            assert set(client.describe().keys) == {kept.cmk.kek_id}
        azure.enable_cmk(kept.cmk, enabled=False)
        until(lambda: health.states == [True, False])
        assert place.of(WorkerNotReady)[-1].reason is Reason.KEY_RELEASE_DENIED


def test_f09_o01_a_changed_pcr_stops_the_worker_and_its_jobs(tmp_path: Path, azure: Simulation) -> None:
    place = Place(tmp_path, azure, [azure.create_cmk("drift")], lifetime=3600, check=5)
    site = place.sites[0]
    with place.worker, RawWorker.of(site) as raw:
        health, job = Health(raw), forge(site)
        settled(site)
        with raw.stream(timeout=60) as stream:
            assert stream.begin(job.open()).WhichOneof("message") == "accepted"
            site.simulation.extend_pcr(12)
            answer = stream.answer()
        assert (answer.reason, answer.stage) == (Reason.ATTESTATION_REJECTED, Stage.COMPUTE)
        assert [e.cause for e in place.of(KeyDropped)] == ["pcr-drift"]
        until(lambda: health.states == [True, False, True])  # no reference value pins the PCRs
        told = [e for e in events(site) if isinstance(e, WorkerReady | KeyDropped | Attested)]
        assert [type(e) for e in told[-4:]] == [WorkerReady, KeyDropped, Attested, WorkerReady]
        assert place.of(WorkerNotReady)
        settled(site)
        assert site.run(people(3)).receipt


def test_o01_without_its_audit_trail_the_worker_does_not_serve(tmp_path: Path, azure: Simulation) -> None:
    place = Place(tmp_path, azure, [azure.create_cmk("trail")], lifetime=3600, check=30)
    site = place.sites[0]
    with place.worker, RawWorker.of(site) as raw:
        health, job = Health(raw), forge(site)
        messages = job.messages(job.stream(people(1)))
        site.files.audit.rename(tmp_path / "elsewhere.jsonl")
        until(lambda: health.states == [True, False])
        answer = raw.run(messages)  # within seconds: a worker that does not get its trail back ends
        assert answer.reason is Reason.AUDIT_UNAVAILABLE
