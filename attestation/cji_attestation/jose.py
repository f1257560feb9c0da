"""The few pieces of JOSE that MAA tokens and release statements share: RFC 4648 §5, RFC 7515, 7517, 7518 and 7638.

RS256 is the only algorithm. A key never comes from the object that it is to verify; callers pass it in.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict_json import JsonObject, parse_object

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


def b64url(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Canonical unpadded base64url; anything else is a ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise ValueError("not base64url") from error
    if b64url(data) != text:
        raise ValueError("not base64url in its one form")
    return data


def std_b64decode(text: str) -> bytes:
    """Canonical padded standard base64; anything else is a ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError("not base64 in its one form")
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedJws:
    """The parts of a compact JWS, nothing verified yet."""

    header: JsonObject
    payload: bytes
    signing_input: bytes
    signature: bytes


def split_jws(text: str, *, limit: int, fault: Fault, check: str, header_check: str) -> UnverifiedJws:
    """Take apart a compact JWS of at most `limit` characters and fix its algorithm to RS256.

    `check` names what is wrong with the three segments, `header_check` what is wrong with the header.
    `crit` (RFC 7515 §4.1.11) and `b64` (RFC 7797) are refused: this reader understands no extension.
    Header members that carry or point to keys (`jwk`, `jku`, `x5c`, `x5u`) are returned, and nobody here follows them.
    """
    parts = text.split(".") if len(text) <= limit and text.isascii() else []
    if len(parts) != 3 or not all(parts):
        raise AttestationError(fault, check=check)
    try:
        header_bytes, payload, signature = (b64url_decode(part) for part in parts)
    except ValueError as error:
        raise AttestationError(fault, check=check) from error
    header = parse_object(header_bytes, limit=limit, fault=fault, check=header_check)
    if header.get("alg") != "RS256" or "crit" in header or "b64" in header:
        raise AttestationError(fault, check=header_check)
    return UnverifiedJws(
        header=header,
        payload=payload,
        signing_input=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def verify_rs256(jws: UnverifiedJws, key: rsa.RSAPublicKey, *, fault: Fault, check: str) -> bytes:
    """Return the payload if `key` signed it with RSASSA-PKCS1-v1_5 and SHA-256."""
    try:
        key.verify(jws.signature, jws.signing_input, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise AttestationError(fault, check=check) from error
    return jws.payload


def rsa_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> rsa.RSAPublicKey:
    """The RSA key of a JWK. `e` is read as an integer: Key Vault writes AAEAAQ where others write AQAB."""
    n_text, e_text = jwk.get("n"), jwk.get("e")
    if not isinstance(n_text, str) or not isinstance(e_text, str) or len(n_text) > 2048 or len(e_text) > 16:
        raise AttestationError(fault, check=check)
    try:
        modulus = int.from_bytes(b64url_decode(n_text), "big")
        exponent = int.from_bytes(b64url_decode(e_text), "big")
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or exponent != 65537:
            raise ValueError
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise AttestationError(fault, check=check) from error


def ec_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> ec.EllipticCurvePublicKey:
    """The key of a JWK on P-256, P-384 or P-521, its point on the curve (RFC 7518 §6.2.1).

    Coordinates are read as integers, as `e` is: at most as long as the curve's, with or without leading zeros.
    """
    crv, x_text, y_text = (jwk.get(name) for name in ("crv", "x", "y"))
    if not isinstance(crv, str) or not isinstance(x_text, str) or not isinstance(y_text, str):
        raise AttestationError(fault, check=check)
    try:
        curve = _CURVES[crv]
        x, y = b64url_decode(x_text), b64url_decode(y_text)
        if max(len(x), len(y)) > _bytes(curve.key_size):
            raise ValueError
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()
    except (KeyError, ValueError) as error:
        raise AttestationError(fault, check=check) from error


def jwk_thumbprint(key: PublicKey) -> bytes:
    """RFC 7638 SHA-256 thumbprint, 32 bytes."""
    return hashlib.sha256(canonical_jwk(key).encode("ascii")).digest()


def canonical_jwk(key: PublicKey) -> str:
    """The JSON text that RFC 7638 hashes: e, kty, n as minimal integers, or crv, kty, x, y at full length; no space."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        members = {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
    else:
        point, size = key.public_numbers(), _bytes(key.key_size)
        x, y = (b64url(value.to_bytes(size, "big")) for value in (point.x, point.y))
        members = {"crv": f"P-{key.key_size}", "kty": "EC", "x": x, "y": y}
    return json.dumps(members, separators=(",", ":"))


def _integer(value: int) -> str:
    return b64url(value.to_bytes(_bytes(value.bit_length()), "big"))


def _bytes(bits: int) -> int:
    return (bits + 7) // 8
