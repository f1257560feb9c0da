r"""The signature that admits one attempt of a job to one worker.

    "cji-admit/1\0" ‖ nonce ‖ thumbprint of the worker's receipt key ‖ SHA-384(header bytes) ‖ u32be(attempt)

In the suite of the header, by the submitter's key, or by the send key that the header names. Who has recorded a job has
no such signature for another worker, nonce or attempt.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope.signature import signer_thumbprint
from cji_core.format.job.header import Header
from cji_core.jose import SigningKey, VerifyingKey, parse_verifying, sign, verify
from cji_core.suites import Suite

MAX_ATTEMPTS: Final = 3
"""Of one job, by a connection of its submitter's, on one worker."""

_CONTEXT: Final = b"cji-admit/1\0"


def admission_message(*, nonce: bytes, receipt_key: bytes, header_sha384: bytes, attempt: int) -> bytes:
    """The message that an admission signature is of."""
    return _CONTEXT + nonce + receipt_key + header_sha384 + attempt.to_bytes(4, "big")


def sign_admission(
    key: SigningKey, suite: Suite, *, nonce: bytes, receipt_key: bytes, header_sha384: bytes, attempt: int
) -> bytes:
    """The signature of this attempt, in the header's suite."""
    message = admission_message(nonce=nonce, receipt_key=receipt_key, header_sha384=header_sha384, attempt=attempt)
    return sign(key, message, suite)


def admission_key(header: Header, submitter: VerifyingKey, send_jwk: str) -> VerifyingKey:
    """The key that admits this job; ADMISSION_SIGNATURE unless `send_jwk` is the send key that the header names."""
    if header.send_key is None and not send_jwk:
        return submitter
    try:
        key = parse_verifying(send_jwk)
    except ValueError:
        raise Refusal(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT) from None
    if header.send_key != signer_thumbprint(key, header.suite):
        raise Refusal(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT)
    return key


def verify_admission(key: VerifyingKey, suite: Suite, message: bytes, signature: bytes) -> None:
    """Return if the signature is valid; otherwise raise Refusal(ADMISSION_SIGNATURE)."""
    try:
        verify(key, signature, message, suite)
    except InvalidSignature:
        raise Refusal(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT) from None
