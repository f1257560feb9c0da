"""COSE for transparency services: signed statements, and the receipts for them.

A signed statement is a COSE_Sign1 (RFC 9052 §4.2) whose protected header has the content type, the key id and the CWT
claims issuer and subject (RFC 9943, RFC 9597). A receipt is a COSE_Sign1 of the service over the root of an RFC 9162
tree, which is detached: the reader computes it from the entry and the inclusion proof in the header (RFC 9942).

Messages are read, signed and verified by `cji_core.cose`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.cose import (
    CONTENT_TYPE,
    KEY_ID,
    SIGN1,
    CoseError,
    UnverifiedSign1,
    algorithm_of,
    parse_cbor,
    sign_sign1,
    split_sign1,
    verify_sign1,
)
from cji_core.trail.merkle import HASH_BYTES, MAX_SIZE, ProofError, leaf_hash, root_from_inclusion

MAX_BYTES: Final = 64 * 1024
_OF_CHECKPOINT: Final = "text/plain; charset=utf-8"  # C2SP tlog-tiles
_CLAIMS, _VDS, _PROOFS = 15, 395, 396
_ISS, _SUB, _IAT = 1, 2, 6
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_MAX_PROOFS: Final = 4
_CURVE_NUMBERS: Final = {"secp256r1": 1, "secp384r1": 2}  # IANA, COSE Elliptic Curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """A receipt's proof: the entry's place in the service's tree, and the time of registration if it states one."""

    index: int
    size: int
    issued: int | None
    issuer: str | None


def sign_statement(payload: bytes, *, issuer: str, subject: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed statement of `issuer` about `subject`. Raises ValueError for a key on another curve."""
    header = {
        CONTENT_TYPE: _OF_CHECKPOINT,
        KEY_ID: statement_key_id(key.public_key()),
        _CLAIMS: {_ISS: issuer, _SUB: subject},
    }
    return sign_sign1(header, payload, key)


def statement_key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key's COSE thumbprint with SHA-256, 32 bytes (RFC 9679)."""
    point, width = key.public_numbers(), algorithm_of(key)[2]
    members = {1: 2, -1: _CURVE_NUMBERS[key.curve.name], -2: point.x.to_bytes(width), -3: point.y.to_bytes(width)}
    return sha256(cbor2.dumps(members, canonical=True)).digest()


def verify_statement(
    statement: bytes, *, payload: bytes, issuer: str, subject: str, key: ec.EllipticCurvePublicKey
) -> None:
    """Return if `key` signed exactly this payload with these claims. Raises CoseError."""
    message = _read(statement)
    claims = _mapping(message.header.get(_CLAIMS))
    if message.payload != payload:
        raise CoseError("the statement is over another checkpoint")
    if message.header.get(CONTENT_TYPE) != _OF_CHECKPOINT or claims.get(_ISS) != issuer or claims.get(_SUB) != subject:
        raise CoseError("the statement has another content type, issuer or subject")
    _verify(message, payload, key, "the statement is not signed by the issuer's key")


def verify_receipt(receipt: bytes, *, entry: bytes, key: ec.EllipticCurvePublicKey) -> Inclusion:
    """The place of `entry` in the service's tree, if `key` signed the receipt. Raises CoseError."""
    message = _read(receipt)
    if message.header.get(_VDS) != _RFC9162_SHA256:
        raise CoseError("the receipt is not about an RFC 9162 tree with SHA-256")
    if message.payload is not None:
        raise CoseError("the receipt has its root attached")
    proofs = _mapping(message.unprotected.get(_PROOFS)).get(_INCLUSION)
    if not isinstance(proofs, list | tuple) or not 1 <= len(proofs) <= _MAX_PROOFS:
        raise CoseError("the receipt has no inclusion proof, or too many")
    index, size, path = _proof(proofs[0])
    try:
        root = root_from_inclusion(leaf_hash(entry), index=index, size=size, proof=path)
    except ProofError as error:
        raise CoseError(f"the receipt's inclusion proof: {error}") from None
    _verify(message, root, key, "the receipt is not for this statement, or not signed by the service's key")
    claims = _mapping(message.header.get(_CLAIMS))
    issued, issuer = claims.get(_IAT), claims.get(_ISS)
    return Inclusion(
        index=index,
        size=size,
        issued=issued if isinstance(issued, int) and 0 <= issued < 1 << 40 else None,
        issuer=issuer if isinstance(issuer, str) else None,
    )


def _read(message: bytes) -> UnverifiedSign1:
    outer = _load(message, "message", tags=frozenset({SIGN1}))
    if not isinstance(outer, cbor2.CBORTag):
        raise CoseError("no COSE_Sign1")
    return split_sign1(outer.value, detachable=True)


def _proof(blob: object) -> tuple[int, int, list[bytes]]:
    parts = _load(blob, "inclusion proof") if isinstance(blob, bytes) else None
    if not isinstance(parts, list | tuple) or len(parts) != 3:
        raise CoseError("the receipt's inclusion proof cannot be read")
    size, index, path = parts
    numbers = all(isinstance(each, int) and not isinstance(each, bool) for each in (size, index))
    if not numbers or not 0 <= index < size <= MAX_SIZE or not isinstance(path, list | tuple):
        raise CoseError("the receipt's inclusion proof cannot be read")
    if len(path) > MAX_SIZE.bit_length() or any(not isinstance(h, bytes) or len(h) != HASH_BYTES for h in path):
        raise CoseError("the receipt's inclusion proof cannot be read")
    return index, size, list(path)


def _verify(message: UnverifiedSign1, payload: bytes, key: ec.EllipticCurvePublicKey, fault: str) -> None:
    algorithm_of(key)
    try:
        verify_sign1(message, key, detached=payload)
    except CoseError as error:
        raise CoseError(fault) from error


def _load(data: bytes, what: str, *, tags: frozenset[int] = frozenset()) -> Any:
    try:
        return parse_cbor(data, limit=MAX_BYTES, tags=tags)
    except CoseError as error:
        raise CoseError(f"{what}: {error}") from error


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
