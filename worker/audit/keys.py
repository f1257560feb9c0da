"""The receipt-signing key of one boot: P-384, named by its RFC 7638 thumbprint, which is inside the TPM quote.

Invariant: a receipt key travels as exactly the JSON that RFC 7638 §3.1 hashes,
`{"crv":"P-384","kty":"EC","x":...,"y":...}`; any other text is refused, so key, JWK and thumbprint name each other.
"""

import base64
import binascii
import hashlib
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["b64url", "from_b64url", "key_from_jwk", "key_id", "public_jwk", "thumbprint"]

COORDINATE_BYTES: Final = 48


class _Jwk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    crv: Literal["P-384"]
    kty: Literal["EC"]
    x: str
    y: str


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """Bytes of the one base64url text that `b64url` gives for them. Raises ValueError for any other text."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("base64url") from error
    if b64url(data) != text:
        raise ValueError("base64url")
    return data


def public_jwk(key: ec.EllipticCurvePublicKey) -> str:
    """The public key as the canonical JWK. Raises ValueError unless it is on P-384."""
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("not a P-384 key")
    numbers = key.public_numbers()
    x, y = (b64url(each.to_bytes(COORDINATE_BYTES, "big")) for each in (numbers.x, numbers.y))
    return msgspec.json.encode(_Jwk(crv="P-384", kty="EC", x=x, y=y)).decode("ascii")


def key_from_jwk(jwk: str) -> ec.EllipticCurvePublicKey:
    """The key of a canonical JWK. Raises ValueError for any other text, or a point that is not on the curve."""
    try:
        parsed = msgspec.json.decode(jwk, type=_Jwk)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError("not a P-384 JWK") from error
    x, y = (int.from_bytes(from_b64url(each), "big") for each in (parsed.x, parsed.y))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()
    if public_jwk(key) != jwk:
        raise ValueError("not the canonical JWK")
    return key


def thumbprint(key: ec.EllipticCurvePublicKey) -> bytes:
    """RFC 7638 SHA-256 thumbprint, 32 bytes."""
    return hashlib.sha256(public_jwk(key).encode("ascii")).digest()


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The thumbprint as base64url, 43 characters: `kid` of every receipt that the key signs."""
    return b64url(thumbprint(key))
