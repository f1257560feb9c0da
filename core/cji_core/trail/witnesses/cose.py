"""COSE for transparency services: signed statements, and the receipts for them.

A signed statement is a COSE_Sign1 (RFC 9052 §4.2) whose protected header has the content type, the key id and the CWT
claims issuer and subject (RFC 9943, RFC 9597). A receipt is a COSE_Sign1 of the service over the root of an RFC 9162
tree, which is detached: the reader computes it from the entry and the inclusion proof in the header (RFC 9942).

A message is read only in preferred serialization (RFC 8949 §4.1), with definite lengths and without repeated members.
Algorithms are ES384 and ES256 (RFC 9053 §2.1), each only with the curve of its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from cji_core.trail.merkle import HASH_BYTES, MAX_SIZE, ProofError, leaf_hash, root_from_inclusion

MAX_BYTES: Final = 64 * 1024
CONTENT_TYPE: Final = "text/plain; charset=utf-8"
"""That of a checkpoint (C2SP tlog-tiles)."""
_SIGN1: Final = 18
_ALG, _CRIT, _TYPE, _KID, _CLAIMS, _VDS, _PROOFS = 1, 2, 3, 4, 15, 395, 396
_ISS, _SUB, _IAT = 1, 2, 6
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_MAX_PROOFS: Final = 4
_CURVES: Final[dict[str, tuple[int, hashes.HashAlgorithm, int]]] = {
    "secp256r1": (-7, hashes.SHA256(), 32),
    "secp384r1": (-35, hashes.SHA384(), 48),
}
_CURVE_NUMBERS: Final = {"secp256r1": 1, "secp384r1": 2}  # IANA, COSE Elliptic Curves


class CoseError(Exception):
    """A statement or receipt that cannot be read or does not verify; the text names the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """A receipt's proof: the entry's place in the service's tree, and the time of registration if it states one."""

    index: int
    size: int
    issued: int | None
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sign1:
    protected: bytes
    header: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    signature: bytes


def sign_statement(payload: bytes, *, issuer: str, subject: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed statement of `issuer` about `subject`. Raises ValueError for a key on another curve."""
    public = key.public_key()
    algorithm, digest, width = _algorithm(public)
    header = {
        _ALG: algorithm,
        _TYPE: CONTENT_TYPE,
        _KID: statement_key_id(public),
        _CLAIMS: {_ISS: issuer, _SUB: subject},
    }
    protected = cbor2.dumps(header, canonical=True)
    r, s = decode_dss_signature(key.sign(_signed(protected, payload), ec.ECDSA(digest)))
    signature = r.to_bytes(width, "big") + s.to_bytes(width, "big")
    return cbor2.dumps(cbor2.CBORTag(_SIGN1, [protected, {}, payload, signature]))


def statement_key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key's COSE thumbprint with SHA-256, 32 bytes (RFC 9679)."""
    point, width = key.public_numbers(), _algorithm(key)[2]
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
    if message.header.get(_TYPE) != CONTENT_TYPE or claims.get(_ISS) != issuer or claims.get(_SUB) != subject:
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


def _read(message: bytes) -> _Sign1:
    outer = _load(message, "message")
    if not isinstance(outer, cbor2.CBORTag) or outer.tag != _SIGN1:
        raise CoseError("not a COSE_Sign1")
    parts = outer.value
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise CoseError("not a COSE_Sign1")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not isinstance(signature, bytes) or not isinstance(unprotected, Mapping):
        raise CoseError("not a COSE_Sign1")
    if payload is not None and not isinstance(payload, bytes):
        raise CoseError("not a COSE_Sign1")
    header = _load(protected, "protected header")
    if not isinstance(header, Mapping) or _CRIT in header:
        raise CoseError("a protected header that is not a map, or with critical parameters")
    return _Sign1(protected=protected, header=header, unprotected=unprotected, payload=payload, signature=signature)


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


def _verify(message: _Sign1, payload: bytes, key: ec.EllipticCurvePublicKey, fault: str) -> None:
    try:
        algorithm, digest, width = _algorithm(key)
    except ValueError as error:
        raise CoseError("the key is not on P-256 or P-384") from error
    if message.header.get(_ALG) != algorithm or len(message.signature) != 2 * width:
        raise CoseError(fault)
    r, s = (int.from_bytes(half, "big") for half in (message.signature[:width], message.signature[width:]))
    try:
        key.verify(encode_dss_signature(r, s), _signed(message.protected, payload), ec.ECDSA(digest))
    except InvalidSignature:
        raise CoseError(fault) from None


def _signed(protected: bytes, payload: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _algorithm(key: ec.EllipticCurvePublicKey) -> tuple[int, hashes.HashAlgorithm, int]:
    try:
        return _CURVES[key.curve.name]
    except KeyError:
        raise ValueError("not a key on P-256 or P-384") from None


def _load(data: bytes, what: str) -> Any:
    if len(data) > MAX_BYTES:
        raise CoseError(f"{what}: too long")
    try:
        found = cbor2.loads(data)
        again = cbor2.dumps(found)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise CoseError(f"{what}: not CBOR") from error
    if again != data:  # bytes after the end, a repeated member, a length that is not in its shortest form
        raise CoseError(f"{what}: not in preferred form")
    return found


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
