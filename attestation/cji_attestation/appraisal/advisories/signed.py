"""Signed statements of an operator: a compact JWS, ES384, under one of the keys that a configuration pins.

The header is a constant for each kind of statement, so there is nothing in it to choose: no algorithm, no key, no
extension. A statement of one kind is never read as another.
"""

from collections.abc import Sequence
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import ec_from_jwk, parse_object
from cji_core.jose import CompactError, canonical_jwk, es384_sign, es384_verify, join_compact, split_compact

Kind = Literal["cji-advisories", "cji-acceptance", "cji-chips"]
MOST_SIGNED_BYTES: Final = 512 * 1024
MOST_JWK_BYTES: Final = 512


def signer_key(jwk: str) -> ec.EllipticCurvePublicKey:
    """The P-384 key of a canonical JWK (RFC 7638); ValueError for any other text."""
    try:
        found = parse_object(jwk.encode(), limit=MOST_JWK_BYTES, fault=Fault.CONFIG_INVALID, check="signer")
        key = ec_from_jwk(found, fault=Fault.CONFIG_INVALID, check="signer")
    except AttestationError as error:
        raise ValueError("not a JWK") from error
    if not isinstance(key.curve, ec.SECP384R1) or canonical_jwk(key) != jwk:
        raise ValueError("not the canonical JWK of a P-384 key")
    return key


def sign_statement(kind: Kind, payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed statement. ValueError for a key on another curve than P-384."""
    return join_compact(_header(kind), payload, lambda signed: es384_sign(key, signed)).encode()


def read_statement(kind: Kind, data: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> bytes:
    """The payload, if one of `keys` signed it as a statement of this kind; ValueError with a reason otherwise."""
    try:
        jws = split_compact(data.rstrip(b"\n").decode("ascii", "replace"), limit=MOST_SIGNED_BYTES)
    except CompactError as error:
        raise ValueError(f"not a signed statement of kind {kind}: {error}") from error
    if jws.header != _header(kind):
        raise ValueError(f"not a signed statement of kind {kind}")
    for key in keys:
        try:
            es384_verify(key, jws.signature, jws.signing_input)
        except InvalidSignature:
            continue
        return jws.payload
    raise ValueError("signed by no pinned key")


def _header(kind: Kind) -> bytes:
    return f'{{"alg":"ES384","typ":"{kind}+json"}}'.encode()
