"""Admission proofs for tests of the keyholder, by a worker whose receipt key has this thumbprint."""

import hashlib

from cji_core.format.envelope.admission import sign_admission
from cji_core.jose import SigningKey, public_jwk
from cji_core.suites import Suite
from cji_worker.ipc.messages import AdmissionProof
from cji_worker.keyholder.admissions import Admissions

RECEIPT_KEY = b"k" * 32
TOKEN = b"t" * 48


def proof(
    admissions: Admissions,
    header: bytes,
    key: SigningKey,
    *,
    suite: Suite = Suite.CLASSICAL_1,
    attempt: int = 1,
    is_send_key: bool = False,
    receipt_key: bytes = RECEIPT_KEY,
    nonce: bytes | None = None,
) -> AdmissionProof:
    """The proof of an attempt at this job, by the submitter's key or the send key that it names."""
    nonce = admissions.nonce(TOKEN) if nonce is None else nonce
    signature = sign_admission(
        key,
        suite,
        nonce=nonce,
        receipt_key=receipt_key,
        header_sha384=hashlib.sha384(header).digest(),
        attempt=attempt,
    )
    return AdmissionProof(
        nonce=nonce,
        receipt_key=receipt_key,
        attempt=attempt,
        signature=signature,
        send_jwk=public_jwk(key.public_key()) if is_send_key else "",
    )
