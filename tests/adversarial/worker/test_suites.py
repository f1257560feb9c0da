"""X15: a job is hybrid as a whole or not at all. X16: nobody on the way of a job reads who asked, for whom and why.

Red before X16: the header named operator, requestor and case number in clear, and the receipt named the operator.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem

from cji_client.errors import SpecError, Unverified
from cji_client.profile import load_profile
from cji_core.errors import Reason, Stage
from cji_core.format.envelope import sign_header
from cji_core.format.keys import load_signing_key
from cji_core.jose import ML_DSA_SIGNATURE_BYTES, key_id, public_jwk
from cji_core.pairs import ML_KEM_BYTES, SigningPair
from cji_core.suites import Suite
from cji_core.trail import Attributed, JobAdmitted, JobCompleted, JobEnded, JobRefused, ReceiptError, verify_receipt
from cji_core.trail.claims import Expected
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import Agency, worker_config
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_simulator.worker import Worker
from tests.support.simulations import simulated

CLASSICAL, HYBRID = Suite.CLASSICAL_1, Suite.HYBRID_1


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("suites") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def site(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    agency = Agency(secondary_recipients=("secondary_recipient-canary-91",))
    with open_site(tmp_path_factory.mktemp("site"), azure, agency=agency) as opened:
        yield opened


def run(site: Site, job: RawJob) -> Answer:
    with RawWorker.of(site) as raw:
        return raw.run(job.messages(job.stream(people(2))), timeout=30)


def signing(site: Site) -> SigningPair:
    key = load_signing_key(Path(site.profile.signing_key))
    assert isinstance(key, SigningPair)
    return key


@pytest.mark.parametrize("suite", Suite)
def test_a_job_of_each_suite_has_a_receipt_of_that_suite(site: Site, suite: Suite) -> None:
    result = site.run(people(100), site.hybrid_spec() if suite is HYBRID else site.spec())
    assert result.receipt.claims.suite is suite
    assert site.open(result)["result"].num_rows == 100
    wrapped = next(iter(result.header.wrapped.values()))
    assert len(wrapped) == (1713 if suite is HYBRID else 384)


def _of(job: RawJob, **changes: Any) -> RawJob:
    return replace(job, **changes)


def _half(which: slice) -> Any:
    return lambda _, job: _of(job, signature=job.signature[which])


def _resigned(suite: Suite) -> Any:
    return lambda site, job: _of(job, signature=sign_header(signing(site), job.header, suite))


def _foreign_half(site: Site, job: RawJob) -> RawJob:
    """The ML-DSA half of another key over the same header."""
    other = SigningPair(SigningPair.generate().ml_dsa, signing(site).p384)
    return _of(job, signature=sign_header(other, job.header, HYBRID))


SIGNATURES: dict[str, Any] = {
    "ML-DSA half alone": _half(slice(ML_DSA_SIGNATURE_BYTES)),
    "ES384 half alone": _half(slice(ML_DSA_SIGNATURE_BYTES, None)),
    "no signature": _half(slice(0)),
    "halves exchanged": lambda _, job: _of(job, signature=job.signature[4627:] + job.signature[:4627]),
    "signed as classical-1": _resigned(CLASSICAL),
    "ML-DSA half of another key": _foreign_half,
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_x15_a_signature_with_one_half_is_refused(site: Site, name: str) -> None:
    job = SIGNATURES[name](site, forge(site, suite=HYBRID))
    answer = run(site, job)
    assert (answer.reason, answer.stage) == (Reason.HEADER_SIGNATURE_INVALID, Stage.ADMIT)


def test_x15_a_composite_signature_is_none_of_classical(site: Site) -> None:
    job = forge(site)
    answer = run(site, _of(job, signature=sign_header(signing(site), job.header, HYBRID)))
    assert (answer.reason, answer.stage) == (Reason.HEADER_SIGNATURE_INVALID, Stage.ADMIT)


def _without_ml_kem(header: pb.JobHeader) -> None:
    header.wrapped_dek = header.wrapped_dek[ML_KEM_BYTES:]


def _without_rsa(header: pb.JobHeader) -> None:
    header.wrapped_dek = header.wrapped_dek[:ML_KEM_BYTES]


def _called_classical(header: pb.JobHeader) -> None:
    header.suite = pb.CLASSICAL_1


@pytest.mark.parametrize("strip", [_without_ml_kem, _without_rsa, _called_classical])
def test_x15_a_stripped_data_key_is_malformed(site: Site, strip: Any) -> None:
    answer = run(site, forge(site, strip, suite=HYBRID))
    assert (answer.reason, answer.stage) == (Reason.MALFORMED_HEADER, Stage.OPEN)


def test_x15_a_classical_job_called_hybrid_is_malformed(site: Site) -> None:
    def called_hybrid(header: pb.JobHeader) -> None:
        header.suite = pb.HYBRID_1

    answer = run(site, forge(site, called_hybrid))
    assert (answer.reason, answer.stage) == (Reason.MALFORMED_HEADER, Stage.OPEN)


def _noise_in(place: slice) -> Any:
    def change(header: pb.JobHeader) -> None:
        wrapped = bytearray(header.wrapped_dek)
        wrapped[place] = bytes(len(wrapped[place]))
        header.wrapped_dek = bytes(wrapped)

    return change


def _of_another_job(site: Site, place: slice) -> Any:
    other = pb.JobHeader.FromString(forge(site, suite=HYBRID).header).wrapped_dek

    def change(header: pb.JobHeader) -> None:
        wrapped = bytearray(header.wrapped_dek)
        wrapped[place] = other[place]
        header.wrapped_dek = bytes(wrapped)

    return change


ML_KEM, RSA = slice(ML_KEM_BYTES), slice(ML_KEM_BYTES, None)


@pytest.mark.parametrize("place", [ML_KEM, RSA], ids=["ML-KEM", "RSA"])
@pytest.mark.parametrize("source", ["noise", "another job"])
def test_x15_a_wrong_half_of_a_data_key_does_not_open(site: Site, place: slice, source: str) -> None:
    """Whichever half is wrong, the answer is the same, and so is what the trail says."""
    settled(site)
    change = _noise_in(place) if source == "noise" else _of_another_job(site, place)
    answer = run(site, forge(site, change, suite=HYBRID))
    assert (answer.reason, answer.stage) == (Reason.DEK_UNWRAP_FAILED, Stage.ADMIT)
    admitted, ended = [e for e in events(site) if isinstance(e, JobAdmitted | JobEnded)][-2:]
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(ended, JobEnded)
    assert (admitted.attribution, admitted.suite) == (None, HYBRID)
    assert (ended.reason, ended.job_id) == (Reason.DEK_UNWRAP_FAILED, admitted.job_id)


def test_x15_a_job_is_not_replayed_in_another_suite(site: Site) -> None:
    """The same job id, the same data key's RSA half, signed as classical-1."""
    job = forge(site, suite=HYBRID)
    assert run(site, job).receipt
    header = pb.JobHeader.FromString(job.header)
    classical = forge(site, job_id=header.job_id, wrapped_dek=header.wrapped_dek[ML_KEM_BYTES:])
    answer = run(site, classical)
    assert (answer.reason, answer.stage) == (Reason.REPLAYED, Stage.ADMIT)


@pytest.fixture(scope="module")
def strict(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worker whose policy accepts hybrid-1 alone, and whose second key has no ML-KEM half."""
    folder = tmp_path_factory.mktemp("strict")
    azure, keys = azure.another_vm(), [azure.create_cmk("cji-strict"), azure.create_cmk("cji-plain")]
    files = worker_config(folder, simulation=azure, keys=keys)
    policy = files.policy.read_text()
    files.policy.write_text(policy.replace('suites = ["classical-1", "hybrid-1"]', 'suites = ["hybrid-1"]'))
    lines = files.config.read_text().splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if line.startswith("[[keys]]"))
    files.config.write_text("".join(lines[:last] + [each for each in lines[last:] if "ml_kem" not in each]))
    with Worker(files.config, trust=azure.trust, log=folder / "worker.log") as worker:
        yield Site(simulation=azure, cmk=keys[0], files=files, worker=worker, profile=load_profile(files.profile))


def test_x15_a_suite_that_the_policy_does_not_list_is_refused(strict: Site) -> None:
    answer = run(strict, forge(strict))
    assert (answer.reason, answer.stage) == (Reason.SUITE_NOT_ACCEPTED, Stage.ADMIT)
    assert answer.code is grpc.StatusCode.PERMISSION_DENIED
    refused = [event for event in events(strict) if isinstance(event, JobRefused)][-1]
    assert refused.reason is Reason.SUITE_NOT_ACCEPTED
    assert run(strict, forge(strict, suite=HYBRID)).receipt


def test_x15_a_key_without_an_ml_kem_half_takes_no_hybrid_job(strict: Site) -> None:
    until(lambda: len(_described(strict).keys) == 2)
    plain = next(kek_id for kek_id, (_, ml_kem) in _described(strict).keys.items() if not ml_kem)
    answer = run(strict, forge(strict, suite=HYBRID, kek_id=plain))
    assert (answer.reason, answer.stage) == (Reason.SUITE_NOT_ACCEPTED, Stage.ADMIT)


def _described(site: Site) -> Any:
    with site.client() as client:
        return client.describe()


def test_x15_the_client_refuses_a_half_that_it_did_not_pin(site: Site) -> None:
    described, pins = _described(site), {"thumbprint": site.cmk.public_thumbprint}
    other = key_id(mlkem.MLKEM1024PrivateKey.generate().public_key())
    with pytest.raises(Unverified) as refused:
        described.pin(site.cmk.kek_id, **pins, ml_kem_thumbprint=other)
    assert refused.value.check == "ml_kem"
    rsa_jwk, _ = described.keys[site.cmk.kek_id]
    for stripped in ("", rsa_jwk):
        fewer = replace(described, keys={site.cmk.kek_id: (rsa_jwk, stripped)})
        with pytest.raises(Unverified) as refused:
            fewer.pin_for(site.hybrid_spec())
        assert refused.value.check == "ml_kem"
    with pytest.raises(SpecError):  # pinned without its half, sealed as hybrid
        site.seal(msgspec.structs.replace(site.hybrid_spec(), ml_kem_thumbprint=other))


def test_x15_the_client_refuses_a_receipt_of_another_suite(site: Site) -> None:
    """A worker that ran a job in one suite cannot vouch for it in another, whichever key signs."""
    result = site.run(people(2), site.hybrid_spec())
    key, receipt = result.attested.receipt_key, result.receipt.compact
    head, payload, signature = receipt.split(".")
    expected = Expected(simulated=True, suite=HYBRID)
    assert verify_receipt(receipt, key=key, expected=expected)
    with pytest.raises(ReceiptError) as found:
        verify_receipt(receipt, key=key, expected=Expected(simulated=True, suite=CLASSICAL))
    assert found.value.field == "suite"
    for stripped in (f"{head}.{payload}.{signature[: 4627 * 4 // 3]}", f"{head}.{payload}.{signature[-140:]}"):
        with pytest.raises(ReceiptError) as found:
            verify_receipt(stripped, key=key, expected=expected)
        assert found.value.field == "signature"


# ------------------------------------------------------------------ X16


def test_x16_who_asked_stands_in_the_trail_alone(site: Site) -> None:
    marks = {name: f"{name}-canary-91" for name in ("operator_id", "requestor", "secondary_recipient")}
    hidden = {"case_number": "case-canary-91", "reason": "reason-canary-91"}
    job = site.seal(site.spec(**marks, **hidden))
    assert b"canary-91" not in job.header.data + job.signature
    with site.client() as client:
        result = client.run(job, {"records": people(2)}, attested=client.attest(), deadline=60)
    with result:
        assert b"canary-91" not in result.header.data
        claims = msgspec.json.encode(result.receipt.claims)
    assert b"canary-91" not in claims
    assert b"canary-91" not in site.worker.log.read_bytes()
    admitted = next(e for e in events(site) if isinstance(e, JobAdmitted) and e.job_id == job.header.job_id.hex())
    assert admitted.attribution == Attributed(**marks)
    trail = site.files.audit.read_bytes()
    assert trail.count(b"canary-91") == len(marks)
    assert any(isinstance(e, JobCompleted) and e.job_id == admitted.job_id for e in events(site))
    assert site.files.audit.stat().st_mode & 0o777 == 0o640  # its group is that of those who may read it


def test_x16_jobs_with_other_texts_have_headers_of_one_length(site: Site) -> None:
    short, long = site.seal(site.spec(reason="r")), site.seal(site.spec(reason="r" * 150))
    assert len(short.header.sealed_attribution) == len(long.header.sealed_attribution)


def test_x16_an_attribution_of_another_job_does_not_open(site: Site) -> None:
    other = pb.JobHeader.FromString(forge(site).header).sealed_attribution
    answer = run(site, forge(site, sealed_attribution=other))
    assert (answer.reason, answer.stage) == (Reason.DEK_UNWRAP_FAILED, Stage.ADMIT)


def test_the_worker_describes_both_halves_of_its_key(site: Site) -> None:
    rsa_jwk, ml_kem = _described(site).keys[site.cmk.kek_id]
    assert ml_kem == site.files.ml_kem_jwk
    assert key_id(site.kek.public) == site.cmk.public_thumbprint
    assert rsa_jwk == public_jwk(site.kek.public)
