"""COSE_Sign1 (RFC 9052 §4.2) with ES256 or ES384 (RFC 9053 §2.1), under a key that the caller has.

Headers that carry or point to keys are ignored. The algorithm is read from the protected header and must be that of the
key's curve. `crit` is refused: this reader understands no extension.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict_cbor import parse_cbor

SIGN1: Final = 18
_ALGORITHM: Final = 1
_CRITICAL: Final = 2
_ALGORITHMS: Final[dict[str, tuple[int, hashes.HashAlgorithm]]] = {
    "secp256r1": (-7, hashes.SHA256()),
    "secp384r1": (-35, hashes.SHA384()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedSign1:
    """The parts of a COSE_Sign1, nothing verified yet. `payload` is never detached."""

    header: Mapping[Any, Any]
    payload: bytes
    signed: bytes
    signature: bytes


def split_sign1(value: Any, *, tags: frozenset[int], fault: Fault, check: str) -> UnverifiedSign1:
    """Take apart the array inside tag 18; AttestationError(fault, check) names what is wrong with it."""

    def refused(found: str) -> AttestationError:
        return AttestationError(fault, check=check, found=found)

    if not isinstance(value, list | tuple) or len(value) != 4 or not isinstance(value[1], dict):
        raise refused("no COSE_Sign1")
    protected, _, payload, signature = value
    if not isinstance(protected, bytes) or not isinstance(signature, bytes):
        raise refused("no COSE_Sign1")
    if not isinstance(payload, bytes):
        raise refused("a COSE_Sign1 with a detached payload")
    header = parse_cbor(protected, limit=len(protected), tags=tags, fault=fault, check=check)
    if not isinstance(header, dict) or _CRITICAL in header:
        raise refused("a protected header that is not a map, or with critical parameters")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return UnverifiedSign1(header=header, payload=payload, signed=signed, signature=signature)


def verify_sign1(message: UnverifiedSign1, key: ec.EllipticCurvePublicKey, *, fault: Fault, check: str) -> bytes:
    """Return the payload if `key`, on P-256 or P-384, signed it."""
    try:
        algorithm, digest = _ALGORITHMS[key.curve.name]
        size = (key.key_size + 7) // 8
        if message.header.get(_ALGORITHM) != algorithm:
            raise ValueError
        if len(message.signature) != 2 * size:
            raise ValueError
        r, s = (int.from_bytes(half, "big") for half in (message.signature[:size], message.signature[size:]))
        key.verify(encode_dss_signature(r, s), message.signed, ec.ECDSA(digest))
    except (InvalidSignature, KeyError, ValueError) as error:
        raise AttestationError(fault, check=check) from error
    return message.payload
