"""The SDK against a worker that follows the contract, and against the same worker when it does not."""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation import AZURE_US
from cji_client.asynchronous import Client
from cji_client.errors import SpecError, Unreachable, Unverified, WorkerRefused
from cji_client.progress import Phase, Progress
from cji_client.received import Output
from cji_client.release import REMEDIES, Release
from cji_client.result import Result, open_result, read_output
from cji_client.seal import SealedJob, seal
from cji_client.sources import Batches
from cji_client.spec import InputSpec, JobSpec
from cji_client.standing import Sent
from cji_client.transport import SyncClient
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.keys import PinnedKey, new_project_key, new_recipient_key, new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.deidentify import DateTo, Deidentify, HmacToken, Mask
from cji_core.trail import Claims, sign
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.forge import decided
from tests.support.sdk_server import (
    KEK_ID,
    Certificates,
    ReferenceWorker,
    served,
)

MAA = "https://sharedeus.eus.attest.azure.net"
PROJECT = new_project_key("study-17")


@dataclass(kw_only=True)
class Scene:
    worker: ReferenceWorker
    target: str
    tls: Certificates
    signing: ec.EllipticCurvePrivateKey
    recipient: rsa.RSAPrivateKey

    @property
    def arguments(self) -> dict[str, object]:
        return {
            "tls": self.tls.client,
            "trust": AZURE_US,
            "reference": decided(),
            "maa_url": MAA,
        }

    def client(self) -> Client:
        return Client(SyncClient(self.target, **self.arguments))  # type: ignore[arg-type]

    def spec(self, **changes: object) -> JobSpec:
        fields: dict[str, object] = {
            "audience": "pool",
            "originating_ori": "CA0190000",
            "requesting_ori": "CA0190000",
            "operator_id": "jdoe",
            "requestor": "Jane Doe",
            "reason": "research extract",
            "purpose_code": "C",
            "kek_id": KEK_ID,
            "kek_thumbprint": key_id(self.worker.cmk.public_key()),
            "recipients": (public_jwk(self.recipient.public_key()),),
            "input": InputSpec(schema="person/1"),
            "operations": (
                Deidentify(
                    project="study-17",
                    columns={
                        "record_id": "keep",
                        "last": HmacToken(domain="name"),
                        "first": Mask(keep_first=1),
                        "DOB": DateTo(unit="year"),
                        "SOC": "drop",
                    },
                ),
            ),
        }
        return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]

    def pinned(self) -> PinnedKey:
        return PinnedKey.check(
            KEK_ID, public_jwk(self.worker.cmk.public_key()), expected=key_id(self.worker.cmk.public_key())
        )

    def job(self) -> SealedJob:
        return seal(self.spec(), kek=self.pinned(), signing_key=self.signing, project_key=PROJECT)

    async def run(self, source: object = None, *, deadline: float = 20.0) -> Result:
        async with self.client() as client:
            records = people(3) if source is None else source
            return await client.run(
                self.job(),
                {"records": records},
                attested=self.worker.attested(),
                deadline=deadline,
            )


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey, Certificates]:
    return new_recipient_key(), new_recipient_key(), Certificates.make()


@pytest.fixture
async def scene(keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey, Certificates]) -> AsyncIterator[Scene]:
    cmk, recipient, tls = keys
    signing = new_signing_key()
    worker = ReferenceWorker(cmk=cmk, submitter=signing.public_key())
    server, target = tls.listen(worker)
    await server.start()
    yield Scene(worker=worker, target=target, tls=tls, signing=signing, recipient=recipient)
    await server.stop(None)


def people(rows: int) -> pa.Table:
    return pa.table(
        {
            "record_id": [f"r{i:07}" for i in range(rows)],
            "last": [f"canary-surname-{i % 97}" for i in range(rows)],
            "first": ["michaela"] * rows,
            "DOB": ["19151111"] * rows,
            "SOC": ["530421812"] * rows,
        }
    )


async def test_a_job_runs_and_its_result_opens(scene: Scene) -> None:
    async with scene.client() as client:
        description = await client.describe()
        spec = scene.spec()
        kek = description.pin(spec.kek_id, thumbprint=spec.kek_thumbprint)
        job = seal(spec, kek=kek, signing_key=scene.signing, project_key=PROJECT, rows=3)
        seen: list[Progress] = []
        result = await client.run(
            job,
            {"records": people(3)},
            attested=scene.worker.attested(),
            deadline=20,
            progress=seen.append,
        )
    with result:
        tables = open_result(result, scene.recipient)
        with pytest.raises(SpecError, match="no output pairs"):
            next(read_output(result, scene.recipient, "pairs"))
    assert tables["result"].column_names == ["record_id", "last", "first", "DOB"]
    assert tables["result"]["DOB"].to_pylist() == ["1915"] * 3
    assert tables["result"]["first"].to_pylist() == ["m*******"] * 3
    assert tables["row_status"]["status"].to_pylist() == [0, 0, 0]
    assert result.receipt.claims.job_id == job.header.job_id.hex()
    assert Progress(phase=Phase.RUNNING, stage="rows", per_cent=50) in seen
    assert any(event.phase is Phase.SENDING for event in seen)


async def test_large_and_empty_inputs_pass_through(scene: Scene) -> None:
    for rows in (0, 150_000):
        result = await scene.run(people(rows))
        with result:
            tables = open_result(result, scene.recipient)
        assert tables["result"].num_rows == tables["row_status"].num_rows == rows
        assert result.receipt.claims.volumes.rows_in == rows
        assert tables["result"]["record_id"].to_pylist() == [f"r{i:07}" for i in range(rows)]


async def test_the_same_project_key_joins_across_jobs(scene: Scene) -> None:
    tokens = []
    for _ in range(2):
        with await scene.run() as result:
            tokens.append(open_result(result, scene.recipient)["result"]["last"].to_pylist())
    assert tokens[0] == tokens[1]
    assert len(set(tokens[0])) == 3


async def test_nothing_readable_is_sent(scene: Scene) -> None:
    sent: list[bytes] = []
    answer = scene.worker.answer

    def watch(header: object, parts: list[list[bytes]]) -> Iterator[pb.RunResponse]:
        sent.extend(segment for part in parts for segment in part)
        return answer(header, parts)  # type: ignore[arg-type]

    scene.worker.answer = watch  # type: ignore[method-assign]
    with await scene.run():
        pass
    assert b"canary" not in b"".join(sent) + b"".join(scene.worker.seen)
    assert b"canary" in people(3).to_batches()[0].serialize().to_pybytes()


async def test_overload_is_tried_again_with_the_same_header(scene: Scene) -> None:
    scene.worker.refusals = [(Reason.OVERLOADED, 0.05), (Reason.DRAINING, 0.0), (Reason.NOT_READY, 0.0)]
    with await scene.run() as result:
        assert len(open_result(result, scene.recipient)) == 2
    assert len(scene.worker.seen) == 4
    assert len(set(scene.worker.seen)) == 1


async def test_retry_stops_at_the_deadline(scene: Scene) -> None:
    scene.worker.refusals = [(Reason.OVERLOADED, 60.0)]
    with pytest.raises(WorkerRefused) as caught:
        await scene.run(deadline=50)
    assert caught.value.reason is Reason.OVERLOADED
    assert caught.value.retry_after == pytest.approx(60)
    assert len(scene.worker.seen) == 1


async def test_a_generator_outlives_refusals_before_it_is_read(scene: Scene) -> None:
    scene.worker.refusals = [(Reason.OVERLOADED, 0.0), (Reason.NOT_READY, 0.0)]
    with await scene.run(iter(people(3).to_batches())) as result:
        assert open_result(result, scene.recipient)["result"].num_rows == 3
    assert len(scene.worker.seen) == 3


async def test_a_generator_is_not_sent_twice(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> Iterator[pb.RunResponse]:
        raise Refusal(Reason.OVERLOADED, stage=Stage.COMPUTE)

    monkeypatch.setattr("cji_client.sending._ACCEPT_SECONDS", 0.0)  # this worker accepts a job when it has all of it
    scene.worker.answer = late  # type: ignore[method-assign, assignment]
    with pytest.raises(WorkerRefused) as caught:
        await scene.run(iter(people(3).to_batches()))
    assert caught.value.reason is Reason.OVERLOADED
    assert len(scene.worker.seen) == 1


async def test_refusals_carry_reason_stage_remedy_and_correlation(scene: Scene) -> None:
    scene.worker.refusals = [(Reason.POLICY_DENIED, 0.0)]
    with pytest.raises(WorkerRefused) as caught:
        await scene.run()
    refused = caught.value
    assert (refused.reason, refused.stage, refused.retryable) == (Reason.POLICY_DENIED, "admit", False)
    assert refused.correlation_id == "c-1"
    assert "policy" in refused.remedy


async def test_wrong_signing_key_is_refused(scene: Scene) -> None:
    scene.signing = new_signing_key()
    with pytest.raises(WorkerRefused) as caught:
        await scene.run()
    assert caught.value.reason is Reason.HEADER_SIGNATURE_INVALID


async def test_deadline(scene: Scene) -> None:
    async def stall(*_: object) -> None:
        await asyncio.sleep(30)

    scene.worker.Run = stall  # type: ignore[method-assign, assignment]
    server, target = scene.tls.listen(scene.worker)
    await server.start()
    scene.target = target
    with pytest.raises(WorkerRefused) as caught:
        await scene.run(deadline=2)
    assert caught.value.reason is Reason.DEADLINE
    await server.stop(None)


async def test_a_lost_answer_says_whether_the_job_was_done(scene: Scene) -> None:
    scene.worker.vanish = True
    with pytest.raises(Unreachable, match="connection reset") as caught:
        await scene.run()
    assert "\x1b" not in str(caught.value)
    known = caught.value.standing
    assert (known.sent, known.release) == (Sent.NO_RECEIPT, Release.RELEASED)
    assert caught.value.remedy.endswith(REMEDIES[Release.RELEASED])
    assert known.job_id.hex() in caught.value.remedy


async def test_a_lost_answer_without_receipt_may_run_again(scene: Scene) -> None:
    scene.worker.vanish = True
    scene.worker.receipts = _Forgetful()
    with pytest.raises(Unreachable, match="connection reset") as caught:
        await scene.run()
    assert caught.value.standing.release is Release.NOT_RELEASED
    assert caught.value.remedy.endswith(REMEDIES[Release.NOT_RELEASED])


@pytest.mark.parametrize("silent", [True, False])
async def test_without_an_answer_nothing_is_known(scene: Scene, silent: bool) -> None:
    """Neither if nobody answers, nor if a worker answers that it cannot tell."""
    scene.worker.vanish = True
    scene.worker.receipts = _Forgetful()
    scene.worker.silent, scene.worker.release = silent, pb.UNKNOWN
    with pytest.raises(Unreachable, match="connection reset") as caught:
        await scene.run()
    assert caught.value.standing.release is (None if silent else Release.UNKNOWN)
    assert "cji job status" in caught.value.remedy


async def test_an_attempt_that_began_unseen_is_skipped(scene: Scene) -> None:
    scene.worker.begun = 1
    assert (await scene.run()).receipt
    assert len(scene.worker.seen) == 2
    assert len(set(scene.worker.seen)) == 1


async def test_a_receipt_of_another_submitter_is_refused(scene: Scene) -> None:
    claims = scene.worker.claims
    scene.worker.claims = lambda *a: msgspec.structs.replace(claims(*a), submitter_key="A" * 43)  # type: ignore[method-assign]
    with pytest.raises(Unverified) as caught:
        await scene.run()
    assert caught.value.check == "submitter_key"


async def test_a_job_has_three_attempts(scene: Scene) -> None:
    scene.worker.begun = 3
    with pytest.raises(WorkerRefused) as caught:
        await scene.run()
    assert caught.value.reason is Reason.ADMISSION_ATTEMPT
    assert len(scene.worker.seen) == 3


async def test_a_sender_without_end_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its bytes reach a file."""
    written = 0
    add = Output.add

    def counted(output: Output, index: int, data: bytes) -> None:
        nonlocal written
        written += len(data)
        add(output, index, data)

    monkeypatch.setattr(Output, "add", counted)

    async def endless(_: object, __: object) -> AsyncIterator[pb.RunResponse]:
        yield pb.RunResponse(accepted=pb.Accepted())
        full = b"\xff\xff\xff\xff" + bytes((1 << 20) - 4)
        for index in range(200):
            data = full if index else bytes(74) + full
            yield pb.RunResponse(segment=pb.Segment(part=0, index=index, data=data))

    scene.worker.Run = endless  # type: ignore[method-assign, assignment]
    server, target = scene.tls.listen(scene.worker)
    await server.start()
    scene.target = target
    with pytest.raises(Unverified) as caught:
        await scene.run()
    await server.stop(None)
    assert caught.value.check == "result_bytes"
    assert 64 << 20 < written < 128 << 20  # 64 MiB, and 4 KiB a row


async def test_no_worker_is_unreachable(scene: Scene) -> None:
    scene.target = "127.0.0.1:1"
    with pytest.raises(Unreachable, match="UNAVAILABLE"):
        await scene.run(deadline=60)


async def test_c04_other_roots_and_names_are_refused(scene: Scene) -> None:
    other = Certificates.make()
    own, scene.tls = scene.tls, other
    with pytest.raises(Unreachable):
        await scene.run(deadline=60)
    scene.tls = own
    client = Client(SyncClient(scene.target, server_name="elsewhere.example", **scene.arguments))  # type: ignore[arg-type]
    async with client:
        with pytest.raises(Unreachable):
            await client.describe()
    client = Client(SyncClient(scene.target, server_name="worker.example", **scene.arguments))  # type: ignore[arg-type]
    async with client:
        assert (await client.describe()).audience == "pool"


async def test_a_fault_of_the_input_is_told_as_such(scene: Scene) -> None:
    def broken() -> Batches:
        def batches() -> Iterator[pa.RecordBatch]:
            yield from people(10).to_batches()
            raise RuntimeError("canary")

        return Batches(schema=people(1).schema, batches=batches())

    with pytest.raises(SpecError, match="cannot be read") as caught:
        await scene.run(broken)
    assert "canary" not in str(caught.value)
    assert caught.value.remedy.endswith("Nothing was sent.")
    with pytest.raises(SpecError, match="unknown: colour"):
        await scene.run(people(1).append_column("colour", pa.array(["red"])))


async def test_the_whole_input_is_read_before_anything_is_sent(scene: Scene) -> None:
    late = people(40_000).set_column(3, "DOB", pa.array([1.0] * 39_999 + [1.5]))
    with pytest.raises(SpecError, match="row 39999, column DOB: found a number that is not whole, wanted string"):
        await scene.run(late)
    assert not scene.worker.seen


async def test_an_input_that_is_never_read_ends_by_its_deadline(scene: Scene) -> None:
    def endless() -> Batches:
        return Batches(schema=people(1).schema, batches=itertools.repeat(people(1000).to_batches()[0]))

    with pytest.raises(SpecError, match="not read within the deadline"):
        await scene.run(endless, deadline=0.5)
    assert not scene.worker.seen


async def test_wrong_input_names_are_refused_before_anything_is_sent(scene: Scene) -> None:
    async with scene.client() as client:
        for inputs in ({}, {"other": people(1)}, {"records": people(1), "more": people(1)}):
            with pytest.raises(SpecError, match="records"):
                await client.run(scene.job(), inputs, attested=scene.worker.attested(), deadline=5)
    assert not scene.worker.seen


async def test_callers_cancellation_stays_a_cancellation(scene: Scene) -> None:
    def slow() -> Batches:
        def batches() -> Iterator[pa.RecordBatch]:
            import time

            while True:
                time.sleep(0.05)
                yield people(1000).to_batches()[0]

        return Batches(schema=people(1).schema, batches=batches())

    task = asyncio.create_task(scene.run(slow))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_blocking_client(keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey, Certificates]) -> None:
    cmk, recipient, tls = keys
    signing = new_signing_key()
    worker = ReferenceWorker(cmk=cmk, submitter=signing.public_key())
    with served(worker, tls) as target:
        scene = Scene(worker=worker, target=target, tls=tls, signing=signing, recipient=recipient)
        with SyncClient(target, **scene.arguments) as client:  # type: ignore[arg-type]
            kek = client.describe().pin(KEK_ID, thumbprint=key_id(cmk.public_key()))
            job = seal(scene.spec(), kek=kek, signing_key=signing, project_key=PROJECT)
            result = client.run(job, {"records": people(2)}, attested=worker.attested(), deadline=20)
            with result:
                assert open_result(result, recipient)["result"].num_rows == 2
            assert client.get_receipt(job.header.job_id) == result.receipt.compact


# ---------------------------------------------------------------- a worker that does not keep the contract

Edit = Callable[[list[pb.RunResponse]], list[pb.RunResponse]]


def _edit(change: Callable[[list[pb.RunResponse]], object]) -> Edit:
    def twist(messages: list[pb.RunResponse]) -> list[pb.RunResponse]:
        copied = copy.deepcopy(messages)
        change(copied)
        return copied

    return twist


def _flip(messages: list[pb.RunResponse]) -> None:
    data = bytearray(messages[2].segment.data)
    data[200] ^= 1
    messages[2].segment.data = bytes(data)


def _reheader(**changes: object) -> Callable[[list[pb.RunResponse]], None]:
    def change(messages: list[pb.RunResponse]) -> None:
        header = pb.ResultHeader.FromString(messages[-1].done.result_header)
        for name, value in changes.items():
            setattr(header, name, value)
        messages[-1].done.result_header = header.SerializeToString(deterministic=True)

    return change


def _exchange(messages: list[pb.RunResponse]) -> None:
    messages[2].segment.part, messages[3].segment.part = 1, 0


def _only_result(messages: list[pb.RunResponse]) -> None:
    header = pb.ResultHeader.FromString(messages[-1].done.result_header)
    del header.outputs[1]
    messages[-1].done.result_header = header.SerializeToString(deterministic=True)


def _other_recipient(messages: list[pb.RunResponse]) -> None:
    header = pb.ResultHeader.FromString(messages[-1].done.result_header)
    header.recipients[0].key_id = "A" * 43
    messages[-1].done.result_header = header.SerializeToString(deterministic=True)


BROKEN: dict[str, tuple[Callable[[list[pb.RunResponse]], object], str]] = {
    "flipped byte": (_flip, "outputs[0].sha256"),
    "no accepted": (lambda m: m.pop(0), "stream"),
    "two accepted": (lambda m: m.insert(1, m[0]), "stream"),
    "nothing": (lambda m: m.clear(), "stream"),
    "no receipt": (lambda m: m.pop(), "stream"),
    "message after receipt": (lambda m: m.append(m[1]), "stream"),
    "empty message": (lambda m: m.insert(1, pb.RunResponse()), "stream"),
    "part missing": (lambda m: m.pop(3), "stream"),
    "segment twice": (lambda m: m.insert(3, m[2]), "segment"),
    "index skipped": (lambda m: setattr(m[2].segment, "index", 1), "segment"),
    "part unknown": (lambda m: setattr(m[3].segment, "part", 2), "segment"),
    "segment too short": (lambda m: setattr(m[3].segment, "data", m[3].segment.data[:100]), "segment"),
    "segment too long": (lambda m: setattr(m[3].segment, "data", bytes(1 << 20) + m[3].segment.data), "segment"),
    "parts exchanged": (_exchange, "outputs[0].sha256"),
    "header not protobuf": (lambda m: setattr(m[-1].done, "result_header", b"\xff"), "result_header"),
    "header not canonical": (
        lambda m: setattr(m[-1].done, "result_header", m[-1].done.result_header + b"\x08\x01"),
        "result_header",
    ),
    "header unknown field": (
        lambda m: setattr(m[-1].done, "result_header", m[-1].done.result_header + b"\xf8\x07\x01"),
        "result_header",
    ),
    "other job id": (_reheader(job_id=bytes(16)), "result_header"),
    "other job header": (_reheader(job_header_sha384=bytes(48)), "result_header"),
    "other version": (_reheader(version=2), "result_header"),
    "other worker": (_reheader(worker_id="worker-2"), "worker"),
    "no row status": (_only_result, "result_header"),
    "other recipient": (_other_recipient, "result_header"),
    "receipt garbage": (lambda m: setattr(m[-1].done, "receipt", "a.b.c"), "header"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answer_is_not_accepted(scene: Scene, name: str) -> None:
    change, check = BROKEN[name]
    scene.worker.twist = _edit(change)
    with pytest.raises(Unverified) as caught:
        await scene.run()
    assert caught.value.check == check
    assert caught.value.standing.sent is Sent.NO_RECEIPT
    assert "sent, no receipt. The worker answers `released`" in caught.value.remedy


async def test_receipt_of_another_key_job_or_kind_is_not_accepted(scene: Scene) -> None:
    stranger = ec.generate_private_key(ec.SECP384R1())
    with await scene.run() as result:
        claims = result.receipt.claims
    for key, changed, check in [
        (stranger, claims, "kid"),
        (scene.worker.receipt_key, claims, "job_id"),
    ]:
        receipt = sign(changed, key)
        scene.worker.twist = _edit(lambda m, receipt=receipt: setattr(m[-1].done, "receipt", receipt))  # type: ignore[misc]
        with pytest.raises(Unverified) as caught:
            await scene.run()
        assert caught.value.check == check
    scene.worker.twist = lambda m: m
    scene.worker.simulated = True
    with pytest.raises(Unverified) as caught:
        await scene.run()
    assert caught.value.check == "simulated"
    assert msgspec.structs.replace(claims, simulated=True) != claims


async def test_c01_another_key_than_the_pinned_is_not_sealed_to(scene: Scene) -> None:
    scene.worker.cmk = new_recipient_key()
    async with scene.client() as client:
        description = await client.describe()
        with pytest.raises(Unverified, match="kek"):
            description.pin(KEK_ID, thumbprint="A" * 43)
        with pytest.raises(Unverified, match="kek"):
            description.pin(KEK_ID[:-1] + "0", thumbprint="A" * 43)


async def test_only_recipients_open_results_and_as_often_as_they_like(scene: Scene) -> None:
    with await scene.run() as result:
        with pytest.raises(SpecError, match="recipients"):
            open_result(result, new_recipient_key())
        for _ in range(2):
            assert sum(b.num_rows for b in read_output(result, scene.recipient, "row_status")) == 3


async def test_e14_a_missing_row_status_is_found_before_any_result(scene: Scene) -> None:
    claims = scene.worker.claims

    def one_row_more(*arguments: Any) -> Claims:
        honest = claims(*arguments)
        volumes = msgspec.structs.replace(honest.volumes, rows_in=honest.volumes.rows_in + 1)
        return msgspec.structs.replace(honest, volumes=volumes)

    scene.worker.claims = one_row_more  # type: ignore[method-assign, assignment]
    with await scene.run() as result, pytest.raises(Unverified, match="row_status"):
        open_result(result, scene.recipient)


class _Forgetful(dict[bytes, str]):
    def __setitem__(self, key: bytes, value: str) -> None:
        pass
