"""What the SDK accepts as a worker's proof of itself, and how it follows a worker that renews it."""

import base64
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from cji_simulator import Kind, Service
from cji_simulator.encoding import rsa_jwk
from cji_simulator.simulation import Simulation
from cryptography.hazmat.primitives.asymmetric import rsa

from attestation import AZURE_US
from attestation.appraisal import ReferenceValues, Verdict
from attestation.evidence import Evidence, root_of
from attestation.maa import SigningKeys, parse_jwks, verify_presented_token
from attestation.trust import provider_endpoint
from attestation.verified import _CONSTRUCTOR_KEY
from tests.support.forge import decided
from tests.support.refusals import rejected
from tests.support.sdk_server import (
    KEK_ID,
    Certificates,
    ReferenceWorker,
    served,
)
from worker.client import JobSpec, SealedJob, SyncClient, Unverified, seal
from worker.client.attested import AttestedWorker, read_evidence, verify_attestation
from worker.client.errors import SpecError, Unreachable
from worker.client.keys import PinnedKey, new_recipient_key, new_signing_key
from worker.client.spec import InputSpec
from worker.compute.operations.deidentify import Deidentify
from worker.jose import key_id, public_jwk, thumbprint
from worker.wire.v1 import worker_pb2 as pb

REFERENCE = decided(products=("Genoa",))
RECORDS = {"records": pa.table({"last": ["neumann"]})}


@dataclass(frozen=True, kw_only=True)
class Bench:
    worker: ReferenceWorker
    client: SyncClient
    job: SealedJob


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
        SyncClient(target, tls=tls.client, trust=azure.trust, reference=REFERENCE, maa_url=azure.maa_url) as client,
    ):
        yield Bench(worker=worker, client=client, job=job)


def test_a_worker_that_renewed_its_token_is_asked_once_more(bench: Bench, azure: Simulation) -> None:
    before = bench.client.attest()
    bench.worker.attest(azure)
    with bench.client.run(bench.job, RECORDS, attested=before, deadline=20) as result:
        assert result.attested.maa_token != before.maa_token
        assert result.receipt.claims.maa_token_sha384 == result.attested.maa_token_sha384


def test_a_receipt_for_a_token_that_is_not_shown_is_not_accepted(bench: Bench) -> None:
    attested = bench.client.attest()
    claims = bench.worker.claims
    bench.worker.claims = lambda *a: msgspec.structs.replace(claims(*a), maa_token_sha384="0" * 96)  # type: ignore[method-assign]
    with pytest.raises(Unverified, match="maa_token_sha384"):
        bench.client.run(bench.job, RECORDS, attested=attested, deadline=20)


def test_f01_every_attestation_has_its_own_nonce(bench: Bench) -> None:
    nonces = {bench.client.attest().nonce for _ in range(3)}
    assert len(nonces) == 3


def test_c01_evidence_for_another_nonce_or_key_is_refused(bench: Bench, azure: Simulation) -> None:
    worker = bench.worker
    assert worker.attester is not None
    key = thumbprint(worker.receipt_key.public_key())
    nonce = bytes(range(32))
    good = pb.AttestResponse(
        evidence=worker.attester.quote(receipt_key=key, root=root_of(nonce)).to_json(),
        maa_token="",
        receipt_jwk=public_jwk(worker.receipt_key.public_key()),
    )
    judge = {"trust": azure.trust, "reference": REFERENCE, "maa_url": azure.maa_url}
    assert verify_attestation(good, nonce=nonce, **judge).simulated  # type: ignore[arg-type]
    with pytest.raises(Unverified, match="E16"):
        verify_attestation(good, nonce=bytes(32), **judge)  # type: ignore[arg-type]
    for length in (0, 31, 33, 64):
        with pytest.raises(SpecError, match=f"{length} bytes"):
            verify_attestation(good, nonce=bytes(length), **judge)  # type: ignore[arg-type]
    other = pb.AttestResponse()
    other.CopyFrom(good)
    other.receipt_jwk = public_jwk(new_signing_key().public_key())
    with pytest.raises(Unverified, match="E16"):
        verify_attestation(other, nonce=nonce, **judge)  # type: ignore[arg-type]
    with pytest.raises(Unverified, match="E04"):
        verify_attestation(good, nonce=nonce, **{**judge, "trust": AZURE_US})  # type: ignore[arg-type]
    with pytest.raises(Unverified, match="E08"):
        verify_attestation(good, nonce=nonce, **{**judge, "reference": decided(products=("Turin",))})  # type: ignore[arg-type]


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
    worker.attester = Recording(worker.attester.quote(receipt_key=key, root=root_of(before.nonce)))  # type: ignore[assignment]
    with pytest.raises(Unverified, match="E16"):
        bench.client.attest()


def test_evidence_survives_its_file(bench: Bench, azure: Simulation) -> None:
    attested = bench.client.attest()
    again = read_evidence(attested.to_file(), trust=azure.trust, reference=REFERENCE)
    assert again.to_file() == attested.to_file()
    assert again.verdict.checks == attested.verdict.checks
    assert attested.maa_token not in repr(attested)
    with pytest.raises(Unverified, match="cloud"):
        read_evidence(attested.to_file(), trust=AZURE_US, reference=REFERENCE)


def test_a_token_is_verified_again_offline(bench: Bench, azure: Simulation) -> None:
    """With the issuer's keys of that day, and no service at all."""
    attested = bench.client.attest()
    assert parse_jwks(attested.jwks)
    azure.fault(Service.MAA, Kind.DOWN)
    try:
        again = read_evidence(attested.to_file(), trust=azure.trust, reference=REFERENCE)
    finally:
        azure.clear_faults()
    assert again.maa_token_sha384 == attested.maa_token_sha384


def other_keys(jwks: bytes) -> bytes:
    """The same document with another key in every entry."""
    public = rsa_jwk(rsa.generate_private_key(65537, 2048).public_key())
    entries = [{"kid": entry["kid"], "use": "sig", **public} for entry in json.loads(jwks)["keys"]]
    return json.dumps({"keys": entries}).encode()


def test_f05_a_file_cannot_move_its_time_out_of_its_token(bench: Bench, azure: Simulation) -> None:
    attested = bench.client.attest()
    text = json.loads(attested.to_file())
    for hours, check in ((-1, "T06"), (9, "T06")):
        moved = (attested.attested_at + timedelta(hours=hours)).isoformat()
        with pytest.raises(Unverified, match=check):
            read_evidence(json.dumps(text | {"attested_at": moved}).encode(), trust=azure.trust, reference=REFERENCE)
    within = (attested.attested_at + timedelta(hours=1)).isoformat()
    assert read_evidence(json.dumps(text | {"attested_at": within}).encode(), trust=azure.trust, reference=REFERENCE)


def test_a02_a_stored_token_needs_its_own_issuers_keys(bench: Bench, azure: Simulation) -> None:
    attested = bench.client.attest()
    text = json.loads(attested.to_file())
    for change, check in (
        ({"jwks": base64.b64encode(other_keys(attested.jwks)).decode()}, "T04"),
        ({"jwks": base64.b64encode(b'{"keys":[]}').decode()}, "T03"),
        ({"maa_token": attested.maa_token[:-8] + "AAAAAAAA"}, "T04"),
        ({"maa_token": "x"}, "T01"),
    ):
        with pytest.raises(Unverified, match=check):
            read_evidence(json.dumps(text | change).encode(), trust=azure.trust, reference=REFERENCE)
    with pytest.raises(SpecError, match="maa-url"):
        read_evidence(
            json.dumps(text | {"maa_url": "https://x.example"}).encode(), trust=azure.trust, reference=REFERENCE
        )


def test_an_impossible_profile_is_not_blamed_on_the_worker(bench: Bench, azure: Simulation) -> None:
    answer = bench.client._stub.Attest(pb.AttestRequest(nonce=bytes(32)))

    def judge(*, maa_url: str = azure.maa_url, reference: ReferenceValues = REFERENCE) -> AttestedWorker:
        return verify_attestation(answer, nonce=bytes(32), trust=azure.trust, reference=reference, maa_url=maa_url)

    judge()
    with pytest.raises(SpecError, match="maa-url"):
        judge(maa_url="https://other.example")
    with pytest.raises(SpecError, match="reference-measurements"):
        judge(reference=decided(products=("Genoa",), measurements=("zz",)))


def test_an_issuer_that_does_not_answer_may_answer_later(bench: Bench, azure: Simulation) -> None:
    azure.fault(Service.MAA, Kind.DOWN)
    try:
        with pytest.raises(Unreachable, match="MAA_UNAVAILABLE"):
            bench.client.attest()
    finally:
        azure.clear_faults()


def test_the_token_must_be_of_the_same_machine_issuer_and_time(bench: Bench, azure: Simulation) -> None:
    attested: AttestedWorker = bench.client.attest()
    verdict, now = attested.verdict, attested.attested_at.timestamp()

    def check(token: str = attested.maa_token, **changes: object) -> None:
        keys = SigningKeys(issuer=provider_endpoint(azure.trust, azure.maa_url), trust=azure.trust)
        values: dict[str, Any] = {"keys": keys, "verdict": verdict, "now": now, **changes}
        checks = verify_presented_token(token, **values)
        assert {check.id for check in checks} == {*(f"T{n:02}" for n in range(1, 10)), "T14", "T15"}

    def changed(**fields: object) -> Verdict:
        return dataclasses.replace(verdict, constructor_key=_CONSTRUCTOR_KEY, **fields)  # type: ignore[arg-type]

    check()
    header, payload, signature = attested.maa_token.split(".")
    stranger = changed(ak=new_recipient_key().public_key())
    for call, number in [
        (lambda: check(verdict=stranger), "T14"),
        (lambda: check(verdict=changed(vm_unique_id="other")), "T15"),
        (lambda: check(verdict=changed(tee="tdx")), "T08"),
        (lambda: check(now=now + 86_400), "T06"),
        (lambda: check(now=now - 86_400), "T06"),
        (lambda: provider_endpoint(azure.trust, "https://other.example"), "maa-url"),
        (lambda: provider_endpoint(AZURE_US, azure.maa_url), "maa-url"),
        (lambda: check(f"{header}.{payload}.{signature[:-8]}AAAAAAAA"), "T04"),
        (lambda: check("eyJhbGciOiJub25lIn0." + payload + ".AAAA"), "T02"),
        (lambda: check("a.b"), "T01"),
    ]:
        with rejected(number):
            call()  # type: ignore[no-untyped-call]
