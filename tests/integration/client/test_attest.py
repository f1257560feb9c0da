"""What the SDK accepts as a worker's proof of itself, and how it follows a worker that renews it."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation import AZURE_US
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker, read_evidence, verify_attestation
from cji_attestation.evidence import Evidence, root_of
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.maa import parse_jwks
from cji_client.errors import SpecError, Unreachable, Unverified
from cji_client.seal import SealedJob, seal
from cji_client.spec import InputSpec, JobSpec
from cji_client.transport import SyncClient
from cji_client.verify import names_token, verify_stored
from cji_core.errors import Reason
from cji_core.format.keys import PinnedKey, new_recipient_key, new_signing_key
from cji_core.jose import key_id, public_jwk, thumbprint
from cji_core.operations.deidentify import Deidentify
from cji_core.pool.documents import evidence_nonce
from cji_core.trail import sign
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator import Kind, Service
from cji_simulator.encoding import rsa_jwk
from cji_simulator.simulation import Simulation
from tests.support.sdk_server import (
    KEK_ID,
    Certificates,
    ReferenceWorker,
    served,
)
from tests.support.simulations import simulated

RECORDS = {"records": pa.table({"last": ["neumann"]})}


@dataclass(frozen=True, kw_only=True)
class Bench:
    worker: ReferenceWorker
    client: SyncClient
    job: SealedJob


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """A machine of its own: it is rebooted."""
    with simulated(tmp_path_factory.mktemp("attest") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture
def bench(azure: Simulation) -> Iterator[Bench]:
    cmk, signing = new_recipient_key(), new_signing_key()
    jwk, print_ = public_jwk(cmk.public_key()), key_id(cmk.public_key())
    spec = JobSpec(
        audience="pool",
        originating_ori="CA0190000",
        requesting_ori="CA0190000",
        operator_id="o",
        requestor="r",
        reason="r",
        purpose_code="C",
        kek_id=KEK_ID,
        kek_thumbprint=print_,
        recipients=(jwk,),
        input=InputSpec(schema="person/1"),
        operations=(Deidentify(columns={"last": "keep"}),),
    )
    job = seal(spec, kek=PinnedKey.check(KEK_ID, jwk, expected=print_), signing_key=signing)
    worker, tls = ReferenceWorker(cmk=cmk, submitter=signing.public_key()), Certificates.make()
    worker.attest(azure)
    with (
        served(worker, tls) as target,
        SyncClient(
            target, tls=tls.client, trust=azure.trust, reference=azure.reference, maa_url=azure.maa_url
        ) as client,
    ):
        yield Bench(worker=worker, client=client, job=job)


def test_evidence_of_a_renewed_token_comes_with_the_receipt(bench: Bench, azure: Simulation) -> None:
    before = bench.client.attest()
    bench.worker.attest(azure)
    bench.worker.shows_evidence = True
    with bench.client.run(bench.job, RECORDS, attested=before, deadline=20) as result:
        assert result.attested.maa_token != before.maa_token
        assert result.receipt.claims.maa_token_sha384 == result.attested.maa_token_sha384


def test_a_receipt_is_released_under_the_attested_key(bench: Bench, azure: Simulation) -> None:
    """Its token may be one that nobody can show any more."""
    before = bench.client.attest()
    bench.worker.attest(azure)
    with bench.client.run(bench.job, RECORDS, attested=before, deadline=20) as result:
        assert result.attested is before
        assert not names_token(result.receipt, before)
        assert verify_stored(result.receipt.compact, attested=before, header=bench.job.header)


@pytest.mark.parametrize("name", ["bytes_in", "bytes_out"])
def test_a_stored_receipt_states_the_bytes_of_its_parts(bench: Bench, name: str) -> None:
    """Signed by an attested key, but of no honest worker."""
    attested = bench.client.attest()
    with bench.client.run(bench.job, RECORDS, attested=attested, deadline=20) as result:
        claims = result.receipt.claims
    more = msgspec.structs.replace(claims.volumes, **{name: getattr(claims.volumes, name) + 1})
    forged = sign(msgspec.structs.replace(claims, volumes=more), bench.worker.receipt_key)
    with pytest.raises(Unverified, match=f"{name} is not the sum of its parts"):
        verify_stored(forged, attested=attested)


def test_false_evidence_beside_a_receipt_is_refused(bench: Bench, azure: Simulation) -> None:
    before = bench.client.attest()
    bench.worker.attest(azure)
    bench.worker.shows_evidence = True
    other = public_jwk(new_signing_key().public_key())

    def twist(messages: list[pb.RunResponse]) -> list[pb.RunResponse]:
        messages[-1].done.evidence.receipt_jwk = other
        return messages

    bench.worker.twist = twist
    with pytest.raises(Unverified):
        bench.client.run(bench.job, RECORDS, attested=before, deadline=20)


@pytest.mark.parametrize("reason", [Reason.ADMISSION_NONCE, Reason.ADMISSION_WORKER])
def test_a_worker_that_refuses_the_nonce_is_attested_again(bench: Bench, reason: Reason) -> None:
    bench.worker.refusals = [(reason, 0.0)]
    before = bench.client.attest()
    with bench.client.run(bench.job, RECORDS, attested=before, deadline=20) as result:
        assert result.attested.shown.nonce != before.shown.nonce
    assert len(set(bench.worker.seen)) == 1


def test_evidence_of_another_key_is_refused(bench: Bench, azure: Simulation) -> None:
    """Although it is genuine: it would be kept with the receipt."""
    before = bench.client.attest()
    bench.worker.attest(azure)
    bench.worker.shows_evidence = True
    other = ReferenceWorker(cmk=bench.worker.cmk, submitter=bench.worker.submitter)
    other.attest(azure)

    def twist(messages: list[pb.RunResponse]) -> list[pb.RunResponse]:
        messages[-1].done.evidence.CopyFrom(other.evidence(evidence_nonce(bench.job.header.sha384)))
        return messages

    bench.worker.twist = twist
    with pytest.raises(Unverified, match="kid"):
        bench.client.run(bench.job, RECORDS, attested=before, deadline=20)


def test_f01_every_attestation_has_its_own_nonce(bench: Bench) -> None:
    nonces = {bench.client.attest().shown.nonce for _ in range(3)}
    assert len(nonces) == 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the worker answers to a nonce, and how this submitter verifies it."""

    response: pb.AttestResponse
    nonce: bytes
    azure: Simulation

    def verify(self, *, nonce: bytes | None = None, changes: dict[str, Any] | None = None, **kw: Any) -> AttestedWorker:
        response = pb.AttestResponse()
        response.CopyFrom(self.response)
        for name, value in (changes or {}).items():
            setattr(response, name, value)
        given: dict[str, Any] = {
            "trust": self.azure.trust,
            "reference": self.azure.reference,
            "maa_url": self.azure.maa_url,
        }
        return verify_attestation(response, nonce=nonce or self.nonce, **(given | kw))


@pytest.fixture
def answer(bench: Bench, azure: Simulation) -> Answer:
    nonce = os.urandom(32)
    return Answer(response=bench.client._calls.Attest(pb.AttestRequest(nonce=nonce)), nonce=nonce, azure=azure)


def test_c01_evidence_for_another_nonce_or_key_is_refused(answer: Answer) -> None:
    assert answer.verify().simulated
    with pytest.raises(Unverified, match="E16"):
        answer.verify(nonce=b"\1" * 32)
    for length in (31, 33, 64):
        with pytest.raises(SpecError, match=f"{length} bytes"):
            answer.verify(nonce=bytes(length))
    with pytest.raises(Unverified, match="E16"):
        answer.verify(changes={"receipt_jwk": public_jwk(new_signing_key().public_key())})
    for jwk in ("", "{}", f" {answer.response.receipt_jwk}"):
        with pytest.raises(Unverified, match="receipt_jwk"):
            answer.verify(changes={"receipt_jwk": jwk})
    for length in (0, 31, 33):
        with pytest.raises(Unverified, match="token_nonce"):
            answer.verify(changes={"token_nonce": bytes(length)})
    with pytest.raises(Unverified, match="E08"):
        answer.verify(reference=answer.azure.reference_with(products=("Turin",)))


def test_the_file_of_an_answer_has_the_time_of_its_appraisal(answer: Answer) -> None:
    vouched = datetime.now(UTC) - timedelta(seconds=1)
    assert answer.verify(at=vouched).shown.attested_at == vouched
    before = datetime.now(UTC)
    assert before <= answer.verify().shown.attested_at <= datetime.now(UTC)


def test_x16_what_identifies_azure_is_required_by_default(answer: Answer, azure: Simulation) -> None:
    """The simulation's machine has firmware and a vTPM of its own: without an operator's entries it is not Azure."""
    with pytest.raises(Unverified, match="E40"):
        answer.verify(reference=ReferenceValues())
    with pytest.raises(Unverified, match="E44"):
        answer.verify(reference=azure.reference_with(vtpm_roots=()))
    with pytest.raises(Unverified, match="E04"):
        answer.verify(trust=msgspec.structs.replace(AZURE_US, maa_hosts=azure.trust.maa_hosts))


def test_x16_a_worker_without_a_token_is_refused(answer: Answer) -> None:
    with pytest.raises(Unverified, match="T01"):
        answer.verify(changes={"maa_token": ""})


def test_x16_the_token_needs_the_evidence_that_it_was_made_for(answer: Answer, bench: Bench) -> None:
    with pytest.raises(Unverified, match="token_nonce"):
        answer.verify(changes={"token_nonce": b""})
    with pytest.raises(Unverified, match="E16"):
        answer.verify(changes={"token_nonce": os.urandom(32)})
    with pytest.raises(Unverified, match="evidence-json"):
        answer.verify(changes={"token_evidence": b""})
    # the fresh evidence is sound, but it is not what Microsoft appraised
    path = {"token_evidence": answer.response.evidence, "token_nonce": answer.nonce}
    with pytest.raises(Unverified, match="T12"):
        answer.verify(changes=path)


def test_x16_every_check_on_the_token_runs_at_the_submitters(answer: Answer) -> None:
    attested = answer.verify()
    assert {check.id for check in attested.token.checks} == {f"T{n:02}" for n in range(1, 20)}
    assert {check.id for check in attested.unchecked} == {
        "E33",
        "E11",
        "E19",
        "E49",
        "E54",
        "E56",
        "E57",
        "E58",
        "E60",
        "T16",
        "T18",
    }


@pytest.mark.parametrize(
    ("token", "check"),
    [
        (lambda token: "a.b", "T01"),
        (lambda token: f"eyJhbGciOiJub25lIn0.{token.split('.')[1]}.AAAA", "T02"),
        (lambda token: token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB"), "T01|T04"),
    ],
)
def test_c06_a_forged_token_is_refused(answer: Answer, token: Callable[[str], str], check: str) -> None:
    with pytest.raises(Unverified, match=check):
        answer.verify(changes={"maa_token": token(answer.response.maa_token)})


def test_x16_evidence_from_before_a_reboot_is_not_joined(bench: Bench, azure: Simulation) -> None:
    """The token vouches for the boot that it was made in, and for no other (E35)."""
    worker = bench.worker
    assert worker.attestation is not None
    old = worker.attestation
    try:
        worker.attest(azure)
        worker.attestation = old
        with pytest.raises(Unverified, match="E35"):
            bench.client.attest()
    finally:
        worker.attest(azure)


class Recording:
    """A machine that could attest once: whatever the nonce, it shows what it showed then."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def quote(self, *, receipt_key: bytes, root: bytes) -> Evidence:
        return self.evidence


def test_c06_old_evidence_under_a_good_certificate_is_refused(bench: Bench) -> None:
    worker = bench.worker
    assert worker.attester is not None
    before = bench.client.attest()
    key = thumbprint(worker.receipt_key.public_key())
    worker.attester = Recording(worker.attester.quote(receipt_key=key, root=root_of(before.shown.nonce)))  # type: ignore[assignment]
    with pytest.raises(Unverified, match="E16"):
        bench.client.attest()


def test_the_list_that_counted_is_in_the_file(answer: Answer, azure: Simulation) -> None:
    lists = {"Genoa": fetch_crl(azure.trust, "Genoa").crl}
    listed = answer.verify(reference=azure.reference_with(products=("Genoa",), amd_crls=lists))
    assert (listed.shown.amd_crl, answer.verify().shown.amd_crl) == (lists["Genoa"], b"")
    assert b'"amd_crls":null' in listed.shown.reference


def test_evidence_survives_its_file(bench: Bench, azure: Simulation) -> None:
    attested = bench.client.attest()
    again = read_evidence(attested.to_file(), trust=azure.trust, reference=azure.reference)
    assert again.to_file() == attested.to_file()
    assert (again.verdict.vm_unique_id, again.receipt_jwk) == (attested.verdict.vm_unique_id, attested.receipt_jwk)
    assert [check.id for check in again.checks] == [check.id for check in attested.checks]
    assert [check.id for check in again.unchecked] == [check.id for check in attested.unchecked]
    assert attested.maa_token not in repr(attested)
    with pytest.raises(Unverified, match="cloud"):
        read_evidence(attested.to_file(), trust=AZURE_US, reference=azure.reference)


def test_a_token_is_verified_again_offline(bench: Bench, azure: Simulation) -> None:
    """With the issuer's keys of that day, whose pin the verifier has, and no service at all."""
    attested = bench.client.attest()
    assert parse_jwks(attested.shown.jwks)
    azure.fault(Service.MAA, Kind.DOWN)
    try:
        again = read_evidence(attested.to_file(), trust=azure.trust, reference=azure.reference)
        with pytest.raises(Unverified, match="E52"):
            read_evidence(attested.to_file(), trust=azure.trust, reference=azure.reference_with(maa_keys=None))
    finally:
        azure.clear_faults()
    findings = {check.id: check.finding for check in again.token.checks}
    live = {check.id: check.finding for check in attested.token.checks}
    assert (findings.pop("T19"), live.pop("T19")) == ("key pinned", "key served by the issuer")
    assert {name for name in findings if findings[name] != live[name]} <= {"T06", "T07"}  # which name the time
    assert abs(again.attested_at - attested.attested_at) < timedelta(minutes=5)


def other_keys(jwks: bytes) -> bytes:
    """The same document with another key in every entry."""
    public = rsa_jwk(rsa.generate_private_key(65537, 2048).public_key())
    entries = [{"kid": entry["kid"], "use": "sig", **public} for entry in json.loads(jwks)["keys"]]
    return json.dumps({"keys": entries}).encode()


def read_changed(attested: AttestedWorker, azure: Simulation, **changes: str) -> AttestedWorker:
    text = json.loads(attested.to_file())
    return read_evidence(json.dumps(text | changes).encode(), trust=azure.trust, reference=azure.reference)


def test_f05_a_file_cannot_move_its_time(bench: Bench, azure: Simulation) -> None:
    """It is the time of the token and the TPM's clock, whatever the file claims."""
    attested = bench.client.attest()
    found = read_changed(attested, azure).attested_at
    for years in (-10, 10):
        claimed = attested.attested_at + timedelta(days=365 * years)
        assert (
            read_changed(attested, azure, attested_at=claimed.isoformat().replace("+00:00", "Z")).attested_at == found
        )


def test_a02_a_stored_token_needs_its_own_issuers_keys(bench: Bench, azure: Simulation) -> None:
    attested = bench.client.attest()
    for change, check in (
        ({"jwks": base64.b64encode(other_keys(attested.shown.jwks)).decode()}, "T04"),
        ({"jwks": base64.b64encode(b'{"keys":[]}').decode()}, "T03"),
        ({"jwks": ""}, "T03"),
        ({"maa_token": attested.maa_token[:-8] + "AAAAAAAA"}, "T04"),
        ({"maa_token": "x"}, "T01"),
        ({"maa_token": ""}, "T01"),
    ):
        with pytest.raises(Unverified, match=check):
            read_changed(attested, azure, **change)
    with pytest.raises(Unverified, match="maa-url"):
        read_changed(attested, azure, maa_url="https://x.example")


def test_an_impossible_profile_is_not_blamed_on_the_worker(answer: Answer, azure: Simulation) -> None:
    with pytest.raises(SpecError, match="maa-url"):
        answer.verify(maa_url="https://other.example")
    with pytest.raises(SpecError, match="reference-measurements"):
        answer.verify(reference=azure.reference_with(measurements=("zz",)))


def test_an_issuer_that_does_not_answer_may_answer_later(bench: Bench, azure: Simulation) -> None:
    azure.fault(Service.MAA, Kind.DOWN)
    try:
        with pytest.raises(Unreachable, match="MAA_UNAVAILABLE"):
            bench.client.attest()
    finally:
        azure.clear_faults()
