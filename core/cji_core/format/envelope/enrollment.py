r"""The signature by which a machine vouches for a request for a certificate (PKCS#10) that was made on it.

    "cji-enroll/1\0" ‖ nonce, 32 bytes ‖ pool ‖ SHA-384(the request in DER)

By the P-384 half of the receipt key, which evidence for the same nonce attests. The nonce is that of the person who
approves the request; no nonce of a caller of `Attest` is ever in such a message.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Unverified
from cji_core.jose import es384_sign, es384_verify

NONCE_BYTES: Final = 32
_CONTEXT: Final = b"cji-enroll/1\0"


def sign_request(key: ec.EllipticCurvePrivateKey, *, nonce: bytes, pool: str, request_sha384: bytes) -> bytes:
    """Vouch for a request: r ‖ s, 96 bytes."""
    return es384_sign(key, _message(nonce, pool, request_sha384))


def verify_request(
    key: ec.EllipticCurvePublicKey, signature: bytes, *, nonce: bytes, pool: str, request_sha384: bytes
) -> None:
    """Return if the holder of this key vouched for the request. Raises Unverified."""
    try:
        es384_verify(key, signature, _message(nonce, pool, request_sha384))
    except InvalidSignature as error:
        raise Unverified("request", "the attested machine did not vouch for this request in this pool") from error


def _message(nonce: bytes, pool: str, request_sha384: bytes) -> bytes:
    return _CONTEXT + nonce + pool.encode() + request_sha384
