"""Signed statements of an operator: a compact JWS, ES384, under one of the keys that a configuration pins.

The header is a constant for each kind of statement, so there is nothing in it to choose: no algorithm, no key, no
extension. A statement of one kind is never read as another.
"""

from collections.abc import Sequence
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import ec_from_jwk, parse_object
from cji_core.jose import canonical_jwk
from cji_core.strict import b64url, b64url_decode

Kind = Literal["cji-advisories", "cji-acceptance"]
MOST_SIGNED_BYTES: Final = 512 * 1024
MOST_JWK_BYTES: Final = 512
_SIZE: Final = 48  # bytes of r, and of s


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
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("statements are signed with P-384")
    signed = f"{_header(kind)}.{b64url(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA384())))
    return f"{signed}.{b64url(r.to_bytes(_SIZE, 'big') + s.to_bytes(_SIZE, 'big'))}".encode()


def read_statement(kind: Kind, data: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> bytes:
    """The payload, if one of `keys` signed it as a statement of this kind; ValueError with a reason otherwise."""
    text = data.rstrip(b"\n").decode("ascii", "replace") if len(data) <= MOST_SIGNED_BYTES else ""
    header, _, rest = text.partition(".")
    payload, _, signature = rest.partition(".")
    if header != _header(kind):
        raise ValueError(f"not a signed statement of kind {kind}")
    content, raw = b64url_decode(payload), b64url_decode(signature)
    if len(raw) != 2 * _SIZE:
        raise ValueError("a signature of another length")
    encoded = encode_dss_signature(int.from_bytes(raw[:_SIZE], "big"), int.from_bytes(raw[_SIZE:], "big"))
    for key in keys:
        try:
            key.verify(encoded, f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            continue
        return content
    raise ValueError("signed by no pinned key")


def _header(kind: Kind) -> str:
    return b64url(f'{{"alg":"ES384","typ":"{kind}+json"}}'.encode())
