"""Two workers of a pool and their fleet processes: completion, deaths, bad input. One pool for all tests."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from cji_client.by_reference import SyncFleetClient
from cji_client.errors import JobFailed
from cji_client.job_folder import JobFolder, save_job
from cji_client.job_state import State
from cji_client.profile import ClientStorage
from cji_client.release import Release
from cji_client.result import open_result
from cji_client.seal import INPUT_NAME
from cji_core.command import build
from cji_core.errors import DeniedBy, Reason, Stage
from cji_core.pool import names
from cji_core.pool.documents import Published, encode
from cji_core.pool.queue import Queue
from cji_core.pool.ticket import Ticket
from cji_core.trail import JobAdmitted, JobRefused, TicketPoisoned, TicketRefused, WorkerNotReady, claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.raw import RawWorker, until
from cji_simulator.site import people
from cji_worker.fleet.front import Front, FrontRefusedError, JobEnd, explained
from cji_worker.fleet.metrics import read as read_metrics
from cji_worker.fleet.settings import load
from tests.support.azurite import StorageCredential
from tests.support.fleet_bench import Member, Pool, eventually, raw_of
from tests.support.fleet_storage import Storage
from tests.support.simulations import simulated


@pytest.fixture(scope="module")
def pool(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("pool")
    with simulated(folder / "azure", release_limit=1000, report_period=0) as azure:
        pool = Pool(folder / "pool", azure, storage, workers=2, tries=2)
        for member in pool.members:
            member.start_fleet()
        yield pool
        pool.close()
        pool.check()  # everything that must hold, after all tests


@pytest.fixture(autouse=True)
def sound(pool: Pool) -> Iterator[None]:
    """Every test ends with a pool that serves."""
    yield
    for member in pool.members:
        if member.died():
            member.start_fleet()
    pool.wait()


@pytest.fixture(scope="module")
def poison(storage: Storage) -> Queue:
    return storage.queue("jobs-poison")


def refused_tickets(pool: Pool) -> list[TicketRefused]:
    return [e for member in pool.members for e in member.events if isinstance(e, TicketRefused)]


def test_jobs_complete_on_whichever_worker_takes_them(pool: Pool) -> None:
    jobs = [pool.submit() for _ in range(4)]
    pool.wait(*jobs)
    assert pool.check() == {"receipts": 4, "attempts": 4, "superseded": 0}
    found = pool.receipt(jobs[0])
    assert found is not None
    claims = claims_unverified(found.receipt)
    assert (claims.transport.protocol, claims.transport.bits) == ("reference", 0)
    admitted = [e for m in pool.members for e in m.events if isinstance(e, JobAdmitted) and e.job_id == jobs[0]]
    assert [(e.attempt, e.source) for e in admitted] == [(found.attempt, "fleet")]
    metrics = read_metrics(pool.members[0].files.folder / "fleet", now=time.time())
    assert metrics is not None
    assert metrics.poison_length == 0


@pytest.mark.parametrize("step", ["stage:parts+"])
def test_a_fleet_process_killed_at_a_step_loses_nothing(pool: Pool, step: str) -> None:
    """`make fleet-faults` kills it at every step."""
    first, second = pool.members
    for member in pool.members:
        member.kill_fleet()
    job = pool.seal()
    first.start_fleet(step)
    pool.send(job)
    until(first.died)
    assert step == "create:receipt+" or pool.receipt(job) is None
    second.start_fleet()
    first.start_fleet()
    pool.wait(job)


def test_a_worker_that_is_killed_loses_nothing(pool: Pool) -> None:
    member = pool.members[0]
    jobs = [pool.submit(rows=2000) for _ in range(3)]
    eventually(lambda: any(pool.receipt(job) for job in jobs))
    member.kill_worker("keyholder")
    member.start()
    pool.wait(*jobs)


def test_a_receipt_published_second_is_superseded(pool: Pool, storage: Storage) -> None:
    job = pool.seal()
    first, second = pool.members
    first.kill_fleet()
    second.kill_fleet()
    first.start_fleet("commit:parts+")  # signed, whole, not published
    pool.send(job)
    until(first.died)
    second.start_fleet()
    pool.wait(job)
    first.start_fleet()
    until(lambda: not first.unfinished())
    found = pool.receipt(job)
    assert found is not None
    assert claims_unverified(found.receipt).worker == "worker-2"
    assert pool.check()["superseded"] >= 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hello", "malformed"),
        (
            json.dumps({"v": 1, "job": "ab" * 16, "header_sha384": "cd" * 48, "url": "https://evil.example"}),
            "malformed",
        ),
        ("x" * 40_000, "malformed"),
        ("", "malformed"),
        ("<!DOCTYPE a [<!ENTITY b 'SMITH'>]>", "malformed"),
        (Ticket(job="ab" * 16, header_sha384="cd" * 48).encode(), "absent"),
    ],
    ids=["no ticket", "an address", "huge", "empty", "XML", "no header"],
)
def test_a_forged_ticket_goes_to_the_poison_queue(
    pool: Pool, storage: Storage, poison: Queue, text: str, fault: str
) -> None:
    before, events = poison.state().length, Counter(e.fault for e in refused_tickets(pool))
    storage.queue().send(text)
    eventually(lambda: poison.state().length == before + 1, seconds=60)
    assert Counter(e.fault for e in refused_tickets(pool)) - events == {fault: 1}
    logs = "".join(member.fleet_log.read_text() for member in pool.members)
    assert "SMITH" not in logs
    assert {type(json.loads(line)["event"]) for line in logs.splitlines()} == {str}


def test_another_or_unsigned_header_opens_no_key(pool: Pool, storage: Storage, poison: Queue) -> None:
    before = poison.state().length
    swapped, unsigned, stranger = pool.seal(), pool.seal(), pool.seal()
    jobs = {job: pool.jobs.pop(job)[0] for job in (swapped, unsigned, stranger)}
    other = jobs[unsigned]
    pool.put_header(swapped, other.header.data, other.signature)
    pool.put_header(unsigned, jobs[unsigned].header.data, jobs[swapped].signature)
    pool.put_header(stranger, jobs[stranger].header.data, jobs[stranger].signature, submitter="spiffe://nobody")
    for job, sealed in jobs.items():
        storage.queue().send(Ticket(job=job, header_sha384=sealed.header.sha384.hex()).encode())

    def refused_here() -> dict[str | None, Reason]:
        events = (e for member in pool.members for e in member.events)
        return {e.job_id: e.reason for e in events if isinstance(e, JobRefused) and e.job_id in jobs}

    by_policy = {unsigned: Reason.HEADER_SIGNATURE_INVALID, stranger: Reason.POLICY_DENIED}
    eventually(lambda: refused_here() == by_policy and poison.state().length == before + 1, seconds=60)
    for job in by_policy:  # another worker's policy may be a newer one, so they come again until they expire
        assert storage.blobs("jobs").create(names.cancel(job), b"")
    eventually(lambda: poison.state().length == before + 3, seconds=120)
    events = [e for member in pool.members for e in member.events]
    assert not [e for e in events if isinstance(e, JobAdmitted) and e.job_id in jobs]
    found = {e.job_id: (e.fault, e.reason) for e in events if isinstance(e, TicketRefused) and e.job_id in jobs}
    assert found == {
        swapped: ("digest", None),
        unsigned: ("unverified", Reason.HEADER_SIGNATURE_INVALID),
        stranger: ("unverified", Reason.POLICY_DENIED),
    }
    assert {e.attempt is None for e in events if isinstance(e, JobRefused) and e.job_id in jobs} == {False}


@pytest.mark.parametrize("damage", ["truncated", "extended", "swapped"])
def test_a_damaged_blob_gets_a_signed_failure(pool: Pool, storage: Storage, damage: str) -> None:
    job = pool.seal()
    blobs, name = storage.blobs("jobs"), names.part(job, 0)
    data = blobs.read(name, most=1 << 20)
    other = blobs.read(names.part(pool.seal_aside(), 0), most=1 << 20)
    blobs.write(name, {"truncated": data[:-1], "extended": data + b"x", "swapped": other}[damage])
    pool.send(job)
    pool.wait(job)
    claims = pool.claims_of_failure(job)
    assert (claims.reason, claims.attempts) == (Reason.SEGMENT_INVALID, 1)


def test_a_missing_part_is_tried_again_and_given_up(pool: Pool, storage: Storage) -> None:
    job = pool.seal()
    storage.delete("jobs", names.part(job, 0))
    pool.send(job)
    pool.wait(job)
    claims = pool.claims_of_failure(job)
    assert (claims.reason, claims.stage, claims.attempts) == (Reason.INCOMPLETE, Stage.UNSEAL, 2)


def test_who_may_only_create_blobs_burns_no_id(pool: Pool, storage: Storage) -> None:
    """An identity of the machine that is not the keyholder's: its entries and ends are foreign."""
    job, ledger = pool.seal(), storage.blobs("ledger")
    for name in (names.attempt(job, 0), names.attempt(job, 1), names.end(job)):
        assert ledger.create(name, json.dumps({"claims": {}, "proof": "ab" * 48}).encode())
    pool.send(job)
    pool.wait(job)
    assert pool.receipt(job) is not None
    assert ledger.exists(names.attempt(job, 2))
    assert ledger.exists(names.end(job, 1))


def test_a_job_that_the_submitter_cancels_ends(pool: Pool, storage: Storage) -> None:
    job = pool.seal()
    storage.blobs("jobs").create(names.cancel(job), b"")
    pool.send(job)
    pool.wait(job)
    claims = pool.claims_of_failure(job)
    assert (claims.reason, claims.attempts) == (Reason.CANCELLED, 0)
    assert [e for m in pool.members for e in m.events if isinstance(e, TicketPoisoned) and e.job_id == job]


def test_a_ticket_that_comes_again_changes_nothing(pool: Pool, storage: Storage) -> None:
    job = pool.submit()
    pool.wait(job)
    before = pool.receipt(job)
    pool.send(job)
    eventually(lambda: storage.queue().state().length == 0, seconds=60)
    assert pool.receipt(job) == before


def test_a_published_receipt_that_is_not_one_is_not_replaced(pool: Pool, storage: Storage) -> None:
    """Somebody who may write to the results hinders a job, and is seen: there is no receipt that verifies."""
    job = pool.seal_aside()
    storage.blobs("results").create(names.receipt(job), encode(Published(attempt="ab" * 16, receipt="a.b.c")))
    pool.send_aside(job)
    eventually(lambda: storage.queue().state().length == 0, seconds=60)
    assert not [e for m in pool.members for e in m.events if isinstance(e, JobAdmitted) and e.job_id == job]


def front_of(pool: Pool, number: int = 0) -> Front:
    return Front(load(pool.members[number].files.config).fleet.socket)


def test_the_fleet_socket_serves_jobs_by_reference_alone(pool: Pool) -> None:
    front, channel = front_of(pool), grpc.insecure_channel(f"unix:{load(pool.members[0].files.config).fleet.socket}")
    with front, channel:
        stub = CjiWorkerStub(channel)
        for call, request, code in (
            (stub.Describe, pb.DescribeRequest(), grpc.StatusCode.UNIMPLEMENTED),
            (stub.GetReceipt, pb.GetReceiptRequest(job_id=b"short"), grpc.StatusCode.INVALID_ARGUMENT),
            (stub.Settle, pb.SettleRequest(job_id=bytes(16)), grpc.StatusCode.INVALID_ARGUMENT),
            (
                stub.Settle,
                pb.SettleRequest(job_id=bytes(16), header_sha384=bytes(48), whole=b"short"),
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (stub.GetFailure, pb.GetFailureRequest(), grpc.StatusCode.INVALID_ARGUMENT),
            (stub.GetFailure, pb.GetFailureRequest(fault="lost"), grpc.StatusCode.INVALID_ARGUMENT),
            (stub.Attest, pb.AttestRequest(nonce=b"short"), grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call(request, timeout=20)
            assert error.value.code() is code, request
        sealed = pool.aside(pool.seal_aside())
        header: dict[str, Any] = {"header": sealed.header.data, "signature": sealed.signature}
        for opening in (
            pb.Open(**header),
            pb.Open(**header, submitter="spiffe://a"),
            pb.Open(**header, attempt=bytes(16)),
            pb.Open(**header, submitter="a" * 513, attempt=bytes(16)),
            pb.Open(**header, submitter="spiffe://a", attempt=bytes(16), admission=pb.Admission()),
        ):
            with pytest.raises(grpc.RpcError) as error:
                list(front.run(iter([pb.RunRequest(open=opening)])))
            found = explained(error.value)
            assert isinstance(found, FrontRefusedError)
            assert found.reason is Reason.MALFORMED_HEADER


def test_no_caller_of_the_tls_door_can_pose_as_the_fleet(pool: Pool) -> None:
    job = pool.seal_aside()
    sealed = pool.aside(job)
    with RawWorker.of(pool.site) as raw:
        for opening in (
            pb.Open(header=sealed.header.data, signature=sealed.signature, submitter=pool.members[0].files.agency.san),
            pb.Open(header=sealed.header.data, signature=sealed.signature, attempt=bytes(16)),
        ):
            assert raw.run([pb.RunRequest(open=opening)]).reason is Reason.MALFORMED_HEADER


def test_what_the_fleet_process_asks_for_is_checked(pool: Pool) -> None:
    job = pool.submit()
    pool.wait(job)
    sealed, _ = pool.jobs[job]
    found = pool.receipt(job)
    assert found is not None
    number = int(claims_unverified(found.receipt).worker.removeprefix("worker-")) - 1
    submission = pb.Submission(
        header=sealed.header.data, signature=sealed.signature, submitter=pool.members[0].files.agency.san
    )
    with front_of(pool, number) as front, front_of(pool, 1 - number) as other:
        assert front.receipt(job) == f"{found.receipt.rpartition('.')[0]}.AA"  # its signature comes with the end
        assert other.receipt(job) is None
        for each in (front, other):  # a job with an end has no failure receipt, wherever it is asked for
            with pytest.raises(FrontRefusedError) as refused:
                each.failure(job=job, submission=submission, sent=0, reason=Reason.CANCELLED, stage=Stage.COMPUTE)
            assert refused.value.reason is Reason.ALREADY_EXISTS
            ended = each.settle(Ticket(job=job, header_sha384=sealed.header.sha384.hex()), whole=None)
            assert ended == JobEnd(receipt=found.receipt, attempt=found.attempt, failure="")
        for wrong, reason in (
            (Ticket(job=job, header_sha384="ab" * 48), Reason.REPLAYED),
            (Ticket(job="ab" * 16, header_sha384="ab" * 48), Reason.INCOMPLETE),
        ):
            with pytest.raises(FrontRefusedError) as refused:
                front.settle(wrong, whole="ab" * 16)
            assert refused.value.reason is reason


def test_no_job_is_given_up_before_its_attempts_are_used(pool: Pool) -> None:
    """The fleet process is not trusted: what it reports fails no job that another attempt could complete."""
    job = pool.seal()
    sealed, _ = pool.jobs[job]
    submission = pb.Submission(
        header=sealed.header.data, signature=sealed.signature, submitter=pool.members[0].files.agency.san
    )
    with front_of(pool) as front, pytest.raises(FrontRefusedError) as refused:
        front.failure(job=job, submission=submission, sent=0, reason=Reason.CELL_FAILED, stage=Stage.COMPUTE)
    assert refused.value.reason is Reason.INCOMPLETE
    with front_of(pool) as front, pytest.raises(FrontRefusedError) as refused:  # the ledger counts, not the fleet
        front.failure(job=job, submission=submission, sent=0, reason=Reason.ATTEMPTS_EXHAUSTED, stage=Stage.ADMIT)
    assert refused.value.reason is Reason.INCOMPLETE
    pool.send(job)
    pool.wait(job)
    assert pool.receipt(job) is not None


def test_a_direct_job_is_used_once_in_the_pool(pool: Pool, storage: Storage, poison: Queue) -> None:
    job = pool.seal_aside()
    sealed, segments = pool.aside(job), pool.segments(job)
    raw_job = raw_of(sealed)
    first, second = (RawWorker.of(pool.site_of(member)) for member in pool.members)
    with first, second:
        assert first.run(raw_job.messages(segments)).receipt is not None
        assert second.run(raw_job.messages(segments)).reason is Reason.ALREADY_EXISTS
        assert first.run(raw_job.messages(segments)).reason is Reason.ALREADY_EXISTS
    with front_of(pool) as front:
        assert front.receipt(job) is None  # nobody publishes the receipt of a job that did not come by reference
    before = poison.state().length
    pool.send_aside(job)
    eventually(lambda: poison.state().length == before + 1, seconds=60)
    assert not pool.storage.blobs("results").exists(names.receipt(job))
    by_reference = [e for m in pool.members for e in m.events if isinstance(e, JobRefused) and e.job_id == job]
    assert {e.reason for e in by_reference if e.attempt} == {Reason.ALREADY_EXISTS}


def test_jobs_of_a_day_are_counted_for_the_whole_pool(pool: Pool, storage: Storage) -> None:
    """No worker here has used up its own number, and one job is left for both of them."""
    day, ledger = datetime.now(UTC).date().isoformat(), storage.blobs("ledger")
    pool.wait(pool.submit())
    numbers = list(ledger._container.list_blob_names(name_starts_with=f"days/{day}/"))
    (folder,) = {name.rpartition("/")[0] for name in numbers}
    assert {int(name.rpartition("/")[2]) for name in numbers} == set(range(len(numbers)))
    admitted = [sum(isinstance(e, JobAdmitted) for e in member.events) for member in pool.members]
    allowed = max(len(numbers), *admitted) + 3
    for number in range(len(numbers), allowed - 1):  # jobs on other workers of the pool
        assert ledger.create(f"{folder}/{number}", bytes(16).hex().encode())
    texts = [member.files.policy.read_text() for member in pool.members]
    for member, text in zip(pool.members, texts, strict=True):
        reload(member, re.sub(r"jobs_per_day = [0-9]+", f"jobs_per_day = {allowed}", text))

    def refused_by_day() -> set[str | None]:
        events = [e for m in pool.members for e in m.events if isinstance(e, JobRefused) and e.job_id in jobs]
        return {e.job_id for e in events if (e.reason, e.denied_by) == (Reason.POLICY_DENIED, DeniedBy.JOBS_PER_DAY)}

    def midnight() -> bool:
        return datetime.now(UTC).date().isoformat() != day

    jobs = list[str]()
    try:
        jobs += [pool.submit(), pool.submit(), pool.submit()]
        eventually(lambda: len(refused_by_day()) == 2 or midnight(), seconds=60)
        denied = refused_by_day()
        eventually(lambda: all(pool.receipt(job) for job in jobs if job not in denied), seconds=60)
        assert midnight() or not any(ledger.exists(names.attempt(str(job), 0)) for job in denied)
        for job in denied:  # else they would come again until tomorrow
            storage.blobs("jobs").create(names.cancel(str(job)), b"")
        pool.wait(*jobs)
        assert {job for job in jobs if pool.failure(job)} == denied
    finally:
        for member, text in zip(pool.members, texts, strict=True):
            reload(member, text)


def reload(member: Member, text: str) -> None:
    """Put this policy in force."""
    member.files.policy.write_text(text)
    command = ["reload", "--config", str(member.files.config)]
    result = CliRunner().invoke(build(member.azure.trust), command, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def state_of(pool: Pool) -> tuple[str, str | None]:
    """What `cji status` says of the first worker, and why."""
    member = pool.members[0]
    result = CliRunner().invoke(
        build(member.azure.trust), ["status", "--config", str(member.files.config), "--json"], catch_exceptions=False
    )
    found = json.loads(result.stdout)
    return found["state"], found["reason"]


def test_no_job_begins_while_the_ledger_is_away(pool: Pool) -> None:
    """Of neither kind. It is told to whoever asks, and jobs are admitted again by themselves when it is back."""
    job = pool.seal_aside()
    raw_job = raw_of(pool.aside(job))
    messages = raw_job.messages(pool.segments(job))
    first = pool.members[0]
    until(lambda: state_of(pool) == ("serving", None))
    pool.ledger_link.shut()
    try:
        with RawWorker.of(pool.site_of(first)) as raw:
            refused = raw.run_once(messages).refusal
        assert refused is not None
        assert (refused.reason, refused.stage, refused.retryable) == (Reason.LEDGER_UNAVAILABLE, Stage.ADMIT, True)
        assert "Check [ledger] in worker.toml" in refused.remedy
        until(lambda: (seen := state_of(pool))[0] != "serving" and seen[1] == "LEDGER_UNAVAILABLE")
        sent = pool.submit()
        eventually(lambda: any(sent in each for each in map(refused_without_ledger, pool.members)))
        admitted = [e for m in pool.members for e in m.events if isinstance(e, JobAdmitted) and e.job_id in {job, sent}]
        assert admitted == []
        assert pool.receipt(sent) is None
    finally:
        pool.ledger_link.open()
    until(lambda: state_of(pool) == ("serving", None))
    with RawWorker.of(pool.site_of(first)) as raw:
        assert raw.run(messages).receipt is not None
    pool.wait(sent)
    assert pool.receipt(sent) is not None
    reasons = [e.reason for e in first.events if isinstance(e, WorkerNotReady)]
    assert reasons[-1] is Reason.LEDGER_UNAVAILABLE


def refused_without_ledger(member: Member) -> set[str | None]:
    """The jobs that its worker refused because the ledger is away."""
    return {e.job_id for e in member.events if isinstance(e, JobRefused) and e.reason is Reason.LEDGER_UNAVAILABLE}


def _saved(pool: Pool, folder: Path, *, declared: int) -> JobFolder:
    """A job of 30 rows in a folder; its header declares another number if that is given."""
    sealed = pool.site.seal(None, rows=declared)
    return save_job(sealed, {INPUT_NAME: people(30, tag="sdk")}, folder, submitter=pool.members[0].files.agency.san)


def _client(pool: Pool) -> SyncFleetClient:
    site, at = pool.site, pool.storage.azurite
    return SyncFleetClient(
        ClientStorage(blob_url=at.blob_url, queue_url=at.queue_url, ca_file=str(at.ca_file)),
        trust=site.simulation.trust,
        reference=site.profile.reference,
        maa_url=site.profile.maa_url,
        credential=StorageCredential(),
    )


def test_sdk_submits_to_the_pool_and_fetches_from_it(pool: Pool, tmp_path: Path) -> None:
    """From a sealed folder to an opened result, with the evidence that the fleet process put beside it."""
    client, job = _client(pool), _saved(pool, tmp_path / "job", declared=30)
    client.submit(job)
    assert client.wait(job.header.job_id, deadline=60).state is State.DONE
    with client.fetch(job) as result:
        tables = open_result(result, pool.site.recipient)
    assert tables["result"]["last"] == people(30, tag="sdk")["last"]
    assert result.attested.simulated
    client.cancel(job.header.job_id)  # too late
    client.fetch(job).close()


def test_sdk_shows_why_the_pool_gave_a_job_up(pool: Pool, tmp_path: Path) -> None:
    client, job = _client(pool), _saved(pool, tmp_path / "job", declared=31)
    client.submit(job)
    assert client.wait(job.header.job_id, deadline=60).state is State.FAILED
    with pytest.raises(JobFailed) as caught:
        client.fetch(job)
    claims = caught.value.failure.claims
    assert (claims.reason, claims.submitter) == (Reason.SCHEMA_MISMATCH, "fulton-pd")
    assert claims.header_sha384 == job.header.sha384.hex()


def test_sdk_cancels_a_job_of_the_pool(pool: Pool, tmp_path: Path) -> None:
    client, job = _client(pool), _saved(pool, tmp_path / "job", declared=30)
    client.cancel(job.header.job_id)
    client.submit(job)
    status = client.status(job.header.job_id)  # asked for, and nothing more is known
    assert (status.state, status.state.outcome) in {
        (State.CANCELLING, Release.UNKNOWN),
        (State.FAILED, Release.NOT_RELEASED),
    }
    assert client.wait(job.header.job_id, deadline=60).state is State.FAILED
    with pytest.raises(JobFailed) as caught:
        client.fetch(job)
    assert caught.value.failure.claims.reason is Reason.CANCELLED
