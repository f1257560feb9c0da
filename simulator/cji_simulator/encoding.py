"""The base64 alphabets of the imitated services, in one place."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa

__all__ = ["CURVES", "PublicKey", "b64", "b64url", "ec_jwk", "public_jwk", "rsa_jwk", "unb64", "unb64url"]

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}


def b64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Decode base64url with or without padding; raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def unb64(text: str) -> bytes:
    """Decode either alphabet, as the attestation service does; raises ValueError."""
    return unb64url(text.rstrip("=").replace("+", "-").replace("/", "_"))


def _uint(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key: rsa.RSAPublicKey) -> dict[str, str]:
    """Return `kty`, `n` and `e` of an RSA key (RFC 7518 section 6.3)."""
    numbers = key.public_numbers()
    return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}


def ec_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return `kty`, `crv`, `x` and `y` of a key on one of CURVES (RFC 7518 section 6.2)."""
    numbers, size = key.public_numbers(), (key.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": f"P-{key.key_size}",
        "x": b64url(numbers.x.to_bytes(size, "big")),
        "y": b64url(numbers.y.to_bytes(size, "big")),
    }


def public_jwk(key: PublicKey) -> dict[str, str]:
    """Return the JWK of either kind of key."""
    return rsa_jwk(key) if isinstance(key, rsa.RSAPublicKey) else ec_jwk(key)
