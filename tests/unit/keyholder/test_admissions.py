"""One signature admits one attempt of one job, on one worker, for ten minutes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Reason, Stage
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.job import Header, new_job_id, parse
from cji_core.jose import public_jwk
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_worker.ipc.messages import AdmissionProof
from cji_worker.keyholder.admissions import NONCE_SECONDS, Admissions
from tests.support.admissions import RECEIPT_KEY, TOKEN, proof
from tests.support.job_headers import make
from tests.support.refusals import refused

SUBMITTER, SEND, OTHER = (ec.generate_private_key(ec.SECP384R1()) for _ in range(3))


def job(**changes: Any) -> Header:
    return parse(make(job_id=new_job_id(), **changes))


def sent_by_key() -> Header:
    return job(send_key=signer_thumbprint(SEND.public_key(), Suite.CLASSICAL_1))


def worker(**options: Any) -> Admissions:
    return Admissions(RECEIPT_KEY, **options)


def test_the_submitters_key_admits() -> None:
    admissions, header = worker(), job()
    admissions.check(proof(admissions, header.data, SUBMITTER), header, SUBMITTER.public_key())


def test_the_send_key_admits_in_place_of_the_submitters() -> None:
    admissions, header = worker(), sent_by_key()
    admissions.check(proof(admissions, header.data, SEND, is_send_key=True), header, SUBMITTER.public_key())
    with refused(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT):
        admissions.check(proof(admissions, header.data, SUBMITTER), header, SUBMITTER.public_key())


def test_both_halves_of_a_hybrid_job_sign() -> None:
    pair, admissions = SigningPair.generate(), worker()
    header = replace(job(), suite=Suite.HYBRID_1)
    good = proof(admissions, header.data, pair, suite=Suite.HYBRID_1)
    admissions.check(good, header, pair.public_key())
    alone = proof(admissions, header.data, pair.p384)
    with refused(Reason.ADMISSION_SIGNATURE):
        admissions.check(alone, header, pair.public_key())


Change = Callable[[AdmissionProof], AdmissionProof | None]
WRONG: dict[str, tuple[Change, Reason]] = {
    "none": (lambda _: None, Reason.ADMISSION_SIGNATURE),
    "for another worker": (lambda p: msgspec.structs.replace(p, receipt_key=b"o" * 32), Reason.ADMISSION_WORKER),
    "another nonce": (lambda p: msgspec.structs.replace(p, nonce=bytes(32)), Reason.ADMISSION_NONCE),
    "no nonce": (lambda p: msgspec.structs.replace(p, nonce=b""), Reason.ADMISSION_NONCE),
    "another worker's nonce": (
        lambda p: msgspec.structs.replace(p, nonce=worker().nonce(TOKEN)),
        Reason.ADMISSION_NONCE,
    ),
    "a longer nonce": (lambda p: msgspec.structs.replace(p, nonce=p.nonce + b"\0"), Reason.ADMISSION_NONCE),
    "another attempt": (lambda p: msgspec.structs.replace(p, attempt=2), Reason.ADMISSION_SIGNATURE),
    "no signature": (lambda p: msgspec.structs.replace(p, signature=b""), Reason.ADMISSION_SIGNATURE),
    "a send key that the header does not name": (
        lambda p: msgspec.structs.replace(p, send_jwk=public_jwk(SUBMITTER.public_key())),
        Reason.ADMISSION_SIGNATURE,
    ),
    "no key": (lambda p: msgspec.structs.replace(p, send_jwk="{}"), Reason.ADMISSION_SIGNATURE),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_proof_is_refused_by_name(name: str) -> None:
    change, reason = WRONG[name]
    admissions, header = worker(), job()
    good = proof(admissions, header.data, SUBMITTER)
    with refused(reason, stage=Stage.ADMIT):
        admissions.check(change(good), header, SUBMITTER.public_key())


def test_a_proof_of_another_header_or_key_is_refused() -> None:
    admissions, header = worker(), job()
    for wrong in (proof(admissions, job().data, SUBMITTER), proof(admissions, header.data, OTHER)):
        with refused(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT):
            admissions.check(wrong, header, SUBMITTER.public_key())


def test_a_proof_signed_for_another_worker_is_refused() -> None:
    """Although the door names this worker in it."""
    admissions, header = worker(), job()
    theirs = proof(admissions, header.data, SUBMITTER, receipt_key=b"o" * 32)
    with refused(Reason.ADMISSION_SIGNATURE):
        admissions.check(msgspec.structs.replace(theirs, receipt_key=RECEIPT_KEY), header, SUBMITTER.public_key())


def test_a_nonce_has_its_time() -> None:
    now = 100.0
    admissions, header = worker(clock=lambda: now), job()
    given = proof(admissions, header.data, SUBMITTER)
    now += NONCE_SECONDS
    admissions.check(given, header, SUBMITTER.public_key())
    now += 1
    with refused(Reason.ADMISSION_NONCE):
        admissions.check(given, header, SUBMITTER.public_key())


def test_a_proof_that_was_verified_before_still_has_its_time() -> None:
    now = [0.0]
    admissions, header = worker(clock=lambda: now[0]), job()
    given = proof(admissions, header.data, SUBMITTER)
    unsigned = msgspec.structs.replace(given, signature=bytes(96))
    admissions.check(unsigned, header, SUBMITTER.public_key(), verified=True)
    now[0] = NONCE_SECONDS + 1
    with refused(Reason.ADMISSION_NONCE):
        admissions.check(unsigned, header, SUBMITTER.public_key(), verified=True)


def test_a_nonce_of_before_a_restart_is_refused() -> None:
    before, after, header = worker(), worker(), job()
    with refused(Reason.ADMISSION_NONCE):
        after.check(proof(before, header.data, SUBMITTER), header, SUBMITTER.public_key())


def test_a_nonce_remembers_its_token() -> None:
    admissions = worker()
    assert admissions.shows(admissions.nonce(TOKEN), TOKEN)
    assert not admissions.shows(admissions.nonce(TOKEN), b"o" * 48)
