r"""The submitter's signature: ES384 over `"cji-job-sig/1\0" ‖ SHA-384(header bytes)`.

The signature on the wire is raw r ‖ s, 48 + 48 bytes big-endian, as in JWS (RFC 7518 §3.4).
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from worker.errors import Reason, Refusal, Stage
from worker.jose import es384_sign, es384_verify

_CONTEXT: Final = b"cji-job-sig/1\0"


def sha384(data: bytes) -> bytes:
    """SHA-384, 48 bytes."""
    return hashlib.sha384(data).digest()


def sign_header(private_key: ec.EllipticCurvePrivateKey, header: bytes) -> bytes:
    """96 bytes r ‖ s over these exact header bytes."""
    return es384_sign(private_key, _CONTEXT + sha384(header))


def verify_header(public_key: ec.EllipticCurvePublicKey, header: bytes, signature: bytes) -> None:
    """Return if the signature is valid; otherwise raise Refusal(HEADER_SIGNATURE_INVALID)."""
    try:
        es384_verify(public_key, signature, _CONTEXT + sha384(header))
    except InvalidSignature:
        raise Refusal(Reason.HEADER_SIGNATURE_INVALID, stage=Stage.ADMIT) from None
