"""Public JSON Web Keys (RFC 7517, RFC 7518 §6), read strictly: RSA for recipients, P-384 for signing keys.

Invariants: an unknown, repeated or private member, a number that is not in its shortest base64url form, or a key that
is too small is a `ValueError`. The thumbprint is RFC 7638 with SHA-256, base64url without padding (43 characters).
"""

import base64
import hashlib
import json
from typing import Any, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.job.limits import LIMITS

__all__ = ["parse_p384", "parse_rsa", "rsa_jwk", "thumbprint_p384", "thumbprint_rsa"]

P384_COORDINATE_BYTES: Final = 48
RSA_EXPONENT: Final = 65_537

_T = TypeVar("_T")


class _RsaJwk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kty: Literal["RSA"]
    n: str
    e: str
    kid: str | None = None
    alg: Literal["RSA-OAEP-256"] | None = None
    use: Literal["enc"] | None = None


class _EcJwk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kty: Literal["EC"]
    crv: Literal["P-384"]
    x: str
    y: str
    kid: str | None = None
    alg: Literal["ES384"] | None = None
    use: Literal["sig"] | None = None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Decode canonical base64url without padding; a text that would not encode back to itself is refused."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError("base64url")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("doubled member")
    return members


def _load(text: str, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(json.loads(text, object_pairs_hook=_unique), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError("not a JWK of this kind") from error


def _thumbprint(members: dict[str, str]) -> str:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
    return _encode(hashlib.sha256(canonical).digest())


def thumbprint_rsa(key: rsa.RSAPublicKey) -> str:
    """RFC 7638 SHA-256 thumbprint of an RSA public key."""
    numbers = key.public_numbers()
    return _thumbprint({"kty": "RSA", "n": _encode(_octets(numbers.n)), "e": _encode(_octets(numbers.e))})


def thumbprint_p384(key: ec.EllipticCurvePublicKey) -> str:
    """RFC 7638 SHA-256 thumbprint of a P-384 public key."""
    numbers = key.public_numbers()
    x, y = (_encode(value.to_bytes(P384_COORDINATE_BYTES, "big")) for value in (numbers.x, numbers.y))
    return _thumbprint({"kty": "EC", "crv": "P-384", "x": x, "y": y})


def _octets(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def rsa_jwk(key: rsa.RSAPublicKey) -> str:
    """The public JWK in the one form that RFC 7638 §3.1 hashes."""
    numbers = key.public_numbers()
    members = {"e": _encode(_octets(numbers.e)), "kty": "RSA", "n": _encode(_octets(numbers.n))}
    return json.dumps(members, separators=(",", ":"))


def parse_rsa(text: str) -> rsa.RSAPublicKey:
    """RSA public key of 3072 to 8192 bits with exponent 65537. Raises ValueError."""
    jwk = _load(text, _RsaJwk)
    n, e = _decode(jwk.n), _decode(jwk.e)
    if n[:1] in (b"", b"\0") or int.from_bytes(e, "big") != RSA_EXPONENT or e[:1] == b"\0":
        raise ValueError("number not in its shortest form, or another exponent")
    modulus = int.from_bytes(n, "big")
    if not LIMITS.recipient_rsa_min_bits <= modulus.bit_length() <= LIMITS.recipient_rsa_max_bits or not modulus & 1:
        raise ValueError("modulus")
    key = rsa.RSAPublicNumbers(RSA_EXPONENT, modulus).public_key()
    if jwk.kid not in (None, thumbprint_rsa(key)):
        raise ValueError("kid")
    return key


def parse_p384(text: str) -> ec.EllipticCurvePublicKey:
    """P-384 public key whose point is on the curve. Raises ValueError."""
    jwk = _load(text, _EcJwk)
    x, y = _decode(jwk.x), _decode(jwk.y)
    if len(x) != P384_COORDINATE_BYTES or len(y) != P384_COORDINATE_BYTES:
        raise ValueError("coordinate")
    key = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP384R1()).public_key()
    if jwk.kid not in (None, thumbprint_p384(key)):
        raise ValueError("kid")
    return key
