r"""The submitter's signature: ES384 over `"cji-job-sig/1\0" ‖ SHA-384(header bytes)`.

The signature on the wire is raw r ‖ s, 48 + 48 bytes big-endian, as in JWS (RFC 7518 §3.4).
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from worker.errors import Reason, Refusal, Stage

__all__ = ["sha384", "sign_header", "verify_header"]

_SCALAR: Final = 48
_CONTEXT: Final = b"cji-job-sig/1\0"
_ES384: Final = ec.ECDSA(hashes.SHA384())


def sha384(data: bytes) -> bytes:
    """SHA-384, 48 bytes."""
    return hashlib.sha384(data).digest()


def sign_header(private_key: ec.EllipticCurvePrivateKey, header: bytes) -> bytes:
    """96 bytes r ‖ s over these exact header bytes."""
    r, s = decode_dss_signature(private_key.sign(_CONTEXT + sha384(header), _ES384))
    return r.to_bytes(_SCALAR, "big") + s.to_bytes(_SCALAR, "big")


def verify_header(public_key: ec.EllipticCurvePublicKey, header: bytes, signature: bytes) -> None:
    """Return if the signature is valid; otherwise raise Refusal(HEADER_SIGNATURE_INVALID)."""
    try:
        if len(signature) != 2 * _SCALAR or public_key.curve.name != "secp384r1":
            raise InvalidSignature
        r, s = int.from_bytes(signature[:_SCALAR], "big"), int.from_bytes(signature[_SCALAR:], "big")
        public_key.verify(encode_dss_signature(r, s), _CONTEXT + sha384(header), _ES384)
    except InvalidSignature:
        raise Refusal(Reason.HEADER_SIGNATURE_INVALID, stage=Stage.ADMIT) from None
