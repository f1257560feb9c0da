r"""The submitter's signature over `"cji-job-sig/1\0" ‖ SHA-384(header bytes)`.

classical-1: ES384, raw r ‖ s, 48 + 48 bytes big-endian, as in JWS (RFC 7518 §3.4). hybrid-1: a composite signature of
ML-DSA-87 and ES384, of which both halves must verify (`cji_core.jose`).
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job.header import Header
from cji_core.jose import SigningKey, VerifyingKey, sign, thumbprint, verify
from cji_core.pairs import VerifyingPair
from cji_core.suites import Suite

_CONTEXT: Final = b"cji-job-sig/1\0"


def sha384(data: bytes) -> bytes:
    """SHA-384, 48 bytes."""
    return hashlib.sha384(data).digest()


def signer_thumbprint(key: VerifyingKey, suite: Suite) -> bytes:
    """RFC 7638 SHA-256 thumbprint of what verifies in this suite: of a pair in classical-1, that of its P-384 half."""
    return thumbprint(key.p384 if suite is Suite.CLASSICAL_1 and isinstance(key, VerifyingPair) else key)


def to_be_signed(header: bytes) -> bytes:
    """The message that a signature over these exact header bytes is of."""
    return _CONTEXT + sha384(header)


def sign_header(private_key: SigningKey, header: bytes, suite: Suite = Suite.CLASSICAL_1) -> bytes:
    """The signature over these exact header bytes, in the suite that they name."""
    return sign(private_key, to_be_signed(header), suite)


def verify_header(public_key: VerifyingKey, header: bytes, signature: bytes, suite: Suite = Suite.CLASSICAL_1) -> None:
    """Return if the signature is valid; otherwise raise Refusal(HEADER_SIGNATURE_INVALID)."""
    try:
        verify(public_key, signature, to_be_signed(header), suite)
    except InvalidSignature:
        raise Refusal(Reason.HEADER_SIGNATURE_INVALID, stage=Stage.ADMIT) from None


def verify_submitter(keys: Sequence[VerifyingKey], header: Header, signature: bytes) -> VerifyingKey:
    """The first of these keys that made the signature; otherwise raise Refusal(HEADER_SIGNATURE_INVALID).

    Raise Refusal(SUBMITTER_MISMATCH) unless the header names that key, so that nobody else can sign captured header
    bytes as a job of their own.
    """
    for key in keys:
        try:
            verify_header(key, header.data, signature, header.suite)
        except Refusal:
            continue
        if header.submitter != signer_thumbprint(key, header.suite):
            raise Refusal(Reason.SUBMITTER_MISMATCH, stage=Stage.ADMIT)
        return key
    raise Refusal(Reason.HEADER_SIGNATURE_INVALID, stage=Stage.ADMIT)
