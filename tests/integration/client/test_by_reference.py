"""A job by reference from the submitter's side: real storage, an attested worker, and all that may go wrong."""

import asyncio
import datetime
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from cji_client.by_reference import FleetClient, SyncFleetClient, received
from cji_client.errors import (
    JobFailed,
    NotFinished,
    SpecError,
    StorageRefused,
    Unreachable,
    Unverified,
)
from cji_client.job_folder import load_job
from cji_client.job_state import State
from cji_client.progress import Phase, Progress
from cji_client.received import parse_result_header
from cji_client.release import Release
from cji_client.result import Result, open_result
from cji_client.retry import RetryPolicy
from cji_core.errors import Reason, Stage
from cji_core.format.keys import new_signing_key
from cji_core.operations.deidentify import Deidentify
from cji_core.pool import names
from cji_core.pool.documents import Published, Sources, decode, encode
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreAwayError, StoreError
from cji_core.pool.store import Blobs
from cji_core.trail import PartDigest, claims_unverified, sign
from tests.support.azurite import StorageCredential
from tests.support.submitter_desk import PEOPLE, TOKENS, Desk


def opened(desk: Desk, result: Result) -> dict[str, pa.Table]:
    with result:
        return open_result(result, desk.recipient)


def test_a_job_goes_and_its_result_comes(desk: Desk) -> None:
    steps = list[Progress]()
    job, client = desk.save(), desk.client()
    client.submit(job, progress=steps.append)
    assert steps[-1] == Progress(phase=Phase.SENDING, bytes=sum(part.bytes for part in job.sent))
    assert client.status(job.header.job_id).state is State.QUEUED
    with pytest.raises(NotFinished):
        client.fetch(job)
    ticket = desk.pool.ticket()
    assert ticket is not None
    desk.pool.run(ticket)
    status = client.wait(job.header.job_id, deadline=10)
    assert (status.state, status.stage, status.per_cent) == (State.DONE, "rows", 50)
    tables = opened(desk, client.fetch(job, progress=steps.append))
    assert tables["result"]["record_id"].to_pylist() == ["007", "008"]
    assert tables["result"]["last"].to_pylist() != PEOPLE["last"].to_pylist()
    assert steps[-1].phase is Phase.RECEIVING
    assert client.status(b"\0" * 16).state is State.ABSENT
    with pytest.raises(SpecError, match="no such job"):
        client.wait(b"\0" * 16, deadline=math.inf)
    with pytest.raises(NotFinished, match="absent"):
        client.wait(b"\0" * 16, deadline=0)


def test_a_job_that_cannot_run_in_parts_is_not_sent(desk: Desk) -> None:
    """Two operations have no stages; what else cannot run so is refused by the same rule."""
    job, client = (
        desk.save(operations=(TOKENS, Deidentify(columns=dict.fromkeys(PEOPLE.column_names, "keep")))),
        desk.client(),
    )
    with pytest.raises(SpecError, match="cannot run in parts"):
        client.submit(job, in_parts=True)
    assert client.status(job.header.job_id).state is State.ABSENT
    client.submit(job)
    assert client.status(job.header.job_id).state is State.QUEUED


def test_a_large_part_goes_in_blocks_and_comes_in_segments(desk: Desk) -> None:
    rows = 120_000
    table = pa.table(
        {"record_id": [f"{n:040d}" for n in range(rows)], "last": ["x"] * rows, "DOB": ["19151111"] * rows}
    )
    job, ticket = desk.submit(table=table)
    assert job.sent[0].bytes > 5 << 20
    desk.pool.run(ticket)
    result = desk.client().fetch(job)
    assert opened(desk, result)["result"].num_rows == rows


def test_parts_of_attempts_are_those_that_the_receipt_has(desk: Desk) -> None:
    """A job in parts: the document `sources` says where each part is, and is believed in nothing else."""
    job, ticket = desk.submit()
    attempt, results, other = desk.pool.run(ticket), desk.pool.results, "ab" * 16
    results.write(names.output(ticket.job, other, 1), results.read(names.output(ticket.job, attempt, 1), most=1 << 20))
    sources = names.sources(ticket.job, attempt)
    for attempts, check in (
        ((attempt,), "sources"),
        ((other, attempt), "outputs"),
        ((attempt,) * 3, "sources"),
        (("x", "y"), "sources"),
    ):
        results.write(sources, encode(Sources(attempts=attempts)))
        with pytest.raises(Unverified) as caught:
            desk.client().fetch(job)
        assert caught.value.check == check
    results.write(sources, encode(Sources(attempts=(attempt, other))))
    assert opened(desk, desk.client().fetch(job))["result"].num_rows == 2
    results.write(names.output(ticket.job, other, 0), results.read(names.output(ticket.job, attempt, 1), most=1 << 20))
    results.write(sources, encode(Sources(attempts=(other, other))))
    with pytest.raises(Unverified, match="outputs"):
        desk.client().fetch(job)


def test_a_job_in_shards_goes_part_by_part(desk: Desk) -> None:
    job, ticket = desk.submit(table=pa.concat_tables([PEOPLE] * 5), rows=10, shards=3)
    assert [digest.name for digest in job.sent] == ["records"] * 3
    for number, digest in enumerate(job.sent):
        there = desk.pool.jobs.read(names.part(ticket.job, number), most=1 << 20)
        assert (there, len(there)) == (job.part(number).read_bytes(), digest.bytes)


def test_async_client_does_the_same(desk: Desk) -> None:
    async def whole() -> dict[str, pa.Table]:
        client = FleetClient(desk.client())
        job = desk.save()
        await client.submit(job)
        waiting = asyncio.create_task(client.wait(job.header.job_id, deadline=20))
        ticket = await asyncio.to_thread(desk.pool.ticket)
        assert ticket is not None
        await asyncio.to_thread(desk.pool.run, ticket)
        assert (await waiting).state is State.DONE
        assert (await client.status(job.header.job_id)).state is State.DONE
        other = asyncio.create_task(client.wait(b"\1" * 16, deadline=600))
        await asyncio.sleep(0.2)
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        await client.cancel(job.header.job_id)
        return opened(desk, await client.fetch(job))

    assert asyncio.run(whole())["result"].num_rows == 2


class CutOffError(Exception):
    """The submitter's machine stops here."""


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_submission_that_is_cut_off_anywhere_continues(desk: Desk, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each write to the account, and before the note that the ticket was sent."""
    job = desk.save()
    monkeypatch.setattr("cji_client.transfer._BLOCK", job.sent[0].bytes // 2 + 1)  # two blocks
    monkeypatch.setattr("cji_client.transfer._MIB", 1)
    writes, done = 0, list[str]()

    def counted(kind: str, call: Any) -> Any:
        def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == at:
                raise CutOffError
            done.append(kind)
            return call(self, *arguments, **options)

        return wrapped

    with monkeypatch.context() as patch:
        for kind, owner, name in (
            ("stage", "cji_core.pool.store.Blobs", "stage"),
            ("commit", "cji_core.pool.store.Blobs", "commit"),
            ("create", "cji_core.pool.store.Blobs", "create"),
            ("send", "cji_core.pool.queue.Queue", "send"),
            ("note", "cji_client.job_folder.JobFolder", "note_ticket"),
        ):
            module, _, cls = owner.rpartition(".")
            target = getattr(__import__(module, fromlist=[cls]), cls)
            patch.setattr(target, name, counted(kind, getattr(target, name)))
        with pytest.raises(CutOffError):
            desk.client().submit(job)
        assert done == ["stage", "stage", "commit", "create", "send", "note"][: at - 1]
        writes = 100
        done.clear()
        again = load_job(job.folder)
        desk.client().submit(again)
    # nothing that is there is sent again, but the ticket whose note is missing
    whole = ["stage", "stage", "commit", "create", "send", "note"]
    expected = {1: whole, 2: whole[1:], 3: whole[2:], 4: whole[3:], 5: whole[3:], 6: whole[3:]}
    assert done == expected[at]
    assert again.header.data == job.header.data
    tickets = [desk.pool.ticket() for _ in range(3)]
    assert len([each for each in tickets if each is not None]) == (2 if at == 6 else 1)
    assert tickets[0] is not None
    desk.pool.run(tickets[0])
    desk.client().submit(again)  # nothing
    assert desk.pool.ticket() is None
    assert opened(desk, desk.client().fetch(again))["result"].num_rows == 2


def test_a_part_that_has_changed_is_not_committed(desk: Desk) -> None:
    """Of the same length, and after a first attempt whose blocks are there."""
    job = desk.save()
    sealed = job.part(0).read_bytes()
    job.part(0).write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(SpecError, match="has changed"):
        desk.client().submit(job)
    with pytest.raises(BlobAbsentError):
        desk.pool.jobs.version(names.part(job.header.job_id.hex(), 0))


def test_storage_that_was_away_is_asked_again_by_the_policy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call sends only what is missing, and without time for one there is none."""
    stage, staged = Blobs.stage, list[int]()

    def away_once(self: Blobs, name: str, number: int, data: bytes) -> None:
        staged.append(number)
        if staged == [0, 1]:
            raise StoreAwayError("blob: the service does not answer")
        stage(self, name, number, data)

    job, steps = desk.save(), list[Progress]()
    monkeypatch.setattr("cji_client.transfer._BLOCK", job.sent[0].bytes // 2 + 1)
    monkeypatch.setattr("cji_client.transfer._MIB", 1)
    monkeypatch.setattr(Blobs, "stage", away_once)
    with pytest.raises(Unreachable):
        desk.client().submit(job)
    assert staged == [0, 1]
    staged.clear()
    other = desk.save("other")
    desk.client(retry=RetryPolicy(seconds=60, first_pause=0.01)).submit(other, progress=steps.append)
    assert staged == [0, 1, 1]
    assert Phase.WAITING in {step.phase for step in steps}
    assert desk.client().status(other.header.job_id).state is State.QUEUED


def test_another_job_under_a_used_id_is_not_written_over_it(desk: Desk) -> None:
    job, ticket = desk.submit()
    other = desk.save("other")
    stolen = replace(other, header=replace(other.header, job_id=job.header.job_id))
    with pytest.raises(SpecError, match="another job has this id"):
        desk.client().submit(stolen)
    assert desk.pool.header(ticket).data == job.header.data
    stolen.part(0).write_bytes(b"0123456789")
    shorter = replace(stolen, sent=(PartDigest(name="records", sha256="0" * 64, bytes=10),))
    with pytest.raises(SpecError, match="another job has this id"):
        desk.client().submit(shorter)


def test_an_expired_job_is_not_submitted(desk: Desk) -> None:
    job = desk.save(now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2))
    with pytest.raises(SpecError, match="expired"):
        desk.client().submit(job)
    with pytest.raises(BlobAbsentError):
        desk.pool.jobs.version(names.part(job.header.job_id.hex(), 0))


def test_time_that_is_over_ends_no_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that began in time may complete: only its receipt, or a failure receipt, is the end."""
    job, ticket = desk.submit()
    monkeypatch.setattr("cji_client.job_state._GRACE", datetime.timedelta(days=-2))
    status = desk.client().status(job.header.job_id)
    assert (status.state, status.state.final, status.state.outcome) == (State.OVERDUE, False, Release.UNKNOWN)
    with pytest.raises(NotFinished, match="unknown"):
        desk.client().fetch(job)
    desk.pool.run(ticket)
    assert desk.client().wait(job.header.job_id, deadline=10).state is State.DONE


def test_asking_for_an_end_is_not_the_end(desk: Desk) -> None:
    job, ticket = desk.submit()
    client = desk.client()
    client.cancel(job.header.job_id)
    client.cancel(job.header.job_id)
    status = client.status(job.header.job_id)
    assert (status.state, status.state.final, status.state.outcome) == (State.CANCELLING, False, Release.UNKNOWN)
    with pytest.raises(NotFinished, match="unknown"):
        client.fetch(job)
    desk.pool.run(ticket)
    assert opened(desk, client.fetch(job))["result"].num_rows == 2


def test_a_cancelled_job_ends_with_a_signed_failure(desk: Desk) -> None:
    """It is shown although the submitter has asked for it: the blob `cancel` hides nothing."""
    job, ticket = desk.submit()
    client = desk.client()
    client.cancel(job.header.job_id)
    desk.pool.give_up(ticket, reason=Reason.CANCELLED, stage=Stage.OPEN, attempts=0)
    found = client.wait(job.header.job_id, deadline=10).state
    assert (found, found.outcome) == (State.FAILED, Release.NOT_RELEASED)
    with pytest.raises(JobFailed, match="after 0 attempts: CANCELLED"):
        client.fetch(job)


def test_a_wait_ends_at_its_deadline(desk: Desk) -> None:
    job, _ = desk.submit()
    with pytest.raises(NotFinished) as caught:
        desk.client().wait(job.header.job_id, deadline=0)
    assert (caught.value.state, caught.value.retryable) == ("queued", True)


def test_many_waits_leave_room_for_others_and_can_be_cancelled(desk: Desk) -> None:
    job, _ = desk.submit()

    async def waits() -> list[State | BaseException]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        client = FleetClient(desk.client())
        tasks = [asyncio.create_task(client.wait(job.header.job_id, deadline=60)) for _ in range(4)]
        found = [(await client.status(job.header.job_id)).state for _ in range(8)]
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        return [*found, *(end for end in ends if isinstance(end, BaseException))]

    found = asyncio.run(asyncio.wait_for(waits(), 40))
    assert found[:8] == [State.QUEUED] * 8
    assert all(isinstance(end, asyncio.CancelledError) for end in found[8:])
    assert len(found) == 8 + 4


@pytest.mark.parametrize("error", [BlobChangedError("replaced"), BlobTooLargeError("a blob has 1 GiB")])
def test_progress_that_is_being_replaced_ends_no_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    job, _ = desk.submit()
    read = Blobs.read

    def changing(self: Blobs, name: str, *, most: int) -> bytes:
        if name.endswith("/progress"):
            raise error
        return read(self, name, most=most)

    monkeypatch.setattr(Blobs, "read", changing)
    assert desk.client().status(job.header.job_id).state is State.QUEUED


def test_a_job_that_was_given_up_shows_its_verified_failure(desk: Desk) -> None:
    job, ticket = desk.submit()
    desk.pool.give_up(ticket, reason=Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
    assert desk.client().wait(job.header.job_id, deadline=10).state is State.FAILED
    with pytest.raises(JobFailed, match="5 attempts: SCHEMA_MISMATCH at unseal") as caught:
        desk.client().fetch(job)
    assert caught.value.failure.claims.job_id == job.header.job_id.hex()
    assert "cji schema show" in caught.value.remedy
    desk.pool.run(ticket)  # a receipt counts more
    assert opened(desk, desk.client().fetch(job))["result"].num_rows == 2


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({"header_sha384": "0" * 96}, "header_sha384"),
        ({"job_id": "0" * 32}, "job_id"),
        ({"simulated": False}, "simulated"),
        ({"maa_token_sha384": "0" * 96}, "evidence"),
        ({"failed": "2026-01-01T00:00:00.00Z"}, "ended"),
        ({"failed": "2026-99-99T00:00:00.00Z"}, "ended"),
    ],
)
def test_a_failure_of_something_else_is_refused(desk: Desk, claims: dict[str, Any], check: str) -> None:
    job, ticket = desk.submit()
    desk.pool.give_up(ticket, **claims)
    with pytest.raises(Unverified) as caught:
        desk.client().fetch(job)
    assert caught.value.check == check


def test_every_blob_of_a_result_that_is_altered_is_refused(desk: Desk) -> None:
    """Cut, extended, exchanged or gone: each blob that `fetch` reads, and nothing is opened."""
    job, ticket = desk.submit()
    attempt, client = desk.pool.run(ticket), desk.client()
    blobs = {
        names.receipt(ticket.job): "receipt",
        names.result_header(ticket.job, attempt): "result_header",
        names.output(ticket.job, attempt, 0): "outputs",
        names.output(ticket.job, attempt, 1): "outputs",
        names.evidence(ticket.job, desk.pool.token): "evidence",
    }
    refused = list[str]()
    for name in blobs:
        good = desk.pool.results.read(name, most=1 << 20)
        middle = len(good) // 2
        flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
        for bad in (good[:-1], good + b"\0", flipped):
            desk.pool.results.write(name, bad)
            with pytest.raises(Unverified) as caught:
                client.fetch(job)
            refused.append(caught.value.check)
        desk.pool.results.write(name, good)
    assert opened(desk, client.fetch(job))["result"].num_rows == 2
    assert {"receipt", "result_header_sha384", "outputs"} <= set(refused), refused


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({"inputs": (PartDigest(name="records", sha256="0" * 64, bytes=1),)}, "inputs[0].sha256"),
        ({"header_sha384": "0" * 96}, "header_sha384"),
        ({"ended": "2026-01-01T00:00:00.00Z"}, "ended"),
        ({"ended": "2099-01-01T00:00:00.00Z"}, "ended"),
        ({"maa_token_sha384": "0" * 96}, "evidence"),
        ({"outputs": (PartDigest(name="result", sha256="0" * 64, bytes=1),)}, "outputs"),
        ({"outputs": (PartDigest(name="result", sha256="0" * 64, bytes=1 << 50),)}, "result_bytes"),
    ],
)
def test_a_receipt_of_something_else_is_refused(desk: Desk, claims: dict[str, Any], check: str) -> None:
    job, ticket = desk.submit()
    desk.pool.run(ticket, **claims)
    with pytest.raises(Unverified) as caught:
        desk.client().fetch(job)
    assert caught.value.check == check


def test_nothing_is_downloaded_for_a_forged_receipt(desk: Desk) -> None:
    """Its claims would bound the download; they count for nothing before the signature has been verified."""
    job, ticket = desk.submit()
    attempt, name, steps = desk.pool.run(ticket), names.receipt(ticket.job), list[int]()
    genuine = decode(desk.pool.results.read(name, most=1 << 20), Published).receipt
    forged = sign(claims_unverified(genuine), new_signing_key())
    for receipt, check in ((forged, "kid"), (f"{genuine[:-8]}AAAAAAAA", "signature")):
        desk.pool.results.write(name, encode(Published(attempt=attempt, receipt=receipt)))
        with pytest.raises(Unverified) as caught:
            desk.client().fetch(job, progress=lambda event: steps.append(event.bytes))
        assert (caught.value.check, steps) == (check, [])


def test_shards_of_an_output_have_its_length_together(desk: Desk) -> None:
    """The receipt of a job in parts has one length for all shards; each alone may be as long."""
    job, ticket = desk.submit()
    attempt, results = desk.pool.run(ticket), desk.pool.results
    published = decode(results.read(names.receipt(ticket.job), most=1 << 20), Published)
    data = results.read(names.result_header(ticket.job, attempt), most=1 << 20)
    header = parse_result_header(data, job.header)
    first, *others = header.outputs
    doubled = replace(header, outputs=(replace(first, shards=2), *others))
    results.write(
        names.output(ticket.job, attempt, 1), results.read(names.output(ticket.job, attempt, 0), most=1 << 20)
    )
    parts = received(
        results, job, published, header=doubled, claims=claims_unverified(published.receipt), progress=None
    )
    next(parts).file.close()
    with pytest.raises(Unverified, match="longer than the receipt states"):
        next(parts)


def test_evidence_for_another_job_is_refused(desk: Desk) -> None:
    job, ticket = desk.submit()
    other, second = desk.submit(name="other")
    desk.pool.run(ticket)
    desk.pool.run(second)
    shown = desk.pool.results.read(names.evidence(second.job, desk.pool.token), most=1 << 20)
    desk.pool.results.write(names.evidence(ticket.job, desk.pool.token), shown)
    with pytest.raises(Unverified, match="attestation"):
        desk.client().fetch(job)
    assert opened(desk, desk.client().fetch(other))["result"].num_rows == 2


def test_storage_that_refuses_is_explained(desk: Desk) -> None:
    job = desk.save()
    with pytest.raises(StorageRefused, match="HTTP 404") as missing:
        desk.client(jobs="nothing").submit(job)
    assert "[storage]" in missing.value.remedy
    with pytest.raises(StorageRefused, match="HTTP 404"):
        desk.client(queue="nothing").submit(job)
    assert not job.ticket_sent

    class Nobody(StorageCredential):
        def get_token(self, *scopes: str, **_: Any) -> Any:
            token = super().get_token(*scopes)
            return token._replace(token="not.a.token")

    stranger = SyncFleetClient(desk.settings(), credential=Nobody(), **desk.trust())
    with pytest.raises(StorageRefused, match=r"HTTP 40[13]"):
        stranger.submit(desk.save("second"))
    away = desk.client(blob_url="https://127.0.0.1:1/devstoreaccount1")
    with pytest.raises(Unreachable, match="does not answer"):
        away.status(job.header.job_id)
    with pytest.raises(SpecError, match="authorities"):
        desk.client(ca_file="/nowhere").status(job.header.job_id)
