"""JOSE as this package uses it: base64url, public keys as JWK, ES384 (RFC 4648 §5, RFC 7517, RFC 7518, RFC 7638).

Readers are strict: a member that is unknown, repeated or private, a number that is not in its shortest base64url form,
or a key that is too small is a ValueError. Thumbprints use SHA-256. `attestation.jose` is for the documents that
Microsoft's services sign: RS256, and keys whose numbers are written in several forms.
"""

import base64
import functools
import hashlib
import json
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

RSA_MIN_BITS: Final = 3072  # 128-bit strength (NIST SP 800-57 part 1, table 2)
RSA_MAX_BITS: Final = 8192  # bounds the cost of one public-key operation
RSA_EXPONENT: Final = 65_537
SCALAR_BYTES: Final = 48
ES384_BYTES: Final = 2 * SCALAR_BYTES  # raw r ‖ s

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
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


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """The bytes of the one text that `b64url` gives for them; ValueError for any other text."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))  # binascii.Error is a ValueError
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def public_jwk(key: PublicKey) -> str:
    """The one JSON text that RFC 7638 §3.1 hashes: required members, sorted, no space. ValueError for another curve."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        members = {"e": _shortest(numbers.e), "kty": "RSA", "n": _shortest(numbers.n)}
    else:
        _require_p384(key)
        point = key.public_numbers()
        x, y = (b64url(value.to_bytes(SCALAR_BYTES, "big")) for value in (point.x, point.y))
        members = {"crv": "P-384", "kty": "EC", "x": x, "y": y}
    return json.dumps(members, separators=(",", ":"))


def thumbprint(key: PublicKey) -> bytes:
    """RFC 7638 SHA-256 thumbprint, 32 bytes."""
    return hashlib.sha256(public_jwk(key).encode("ascii")).digest()


def key_id(key: PublicKey) -> str:
    """The thumbprint as base64url, 43 characters: what names a key in headers, policies and receipts."""
    return b64url(thumbprint(key))


@functools.lru_cache(maxsize=64)
def parse_rsa(jwk: str) -> rsa.RSAPublicKey:
    """An RSA key of 3072 to 8192 bits with exponent 65537. The latest keys are remembered: recipients come again."""
    found = _load(jwk, _RsaJwk)
    n, e = b64url_decode(found.n), b64url_decode(found.e)
    modulus, exponent = int.from_bytes(n, "big"), int.from_bytes(e, "big")
    if exponent != RSA_EXPONENT or (found.n, found.e) != (_shortest(modulus), _shortest(exponent)):
        raise ValueError("number not in its shortest form, or another exponent")
    if not RSA_MIN_BITS <= modulus.bit_length() <= RSA_MAX_BITS or not modulus & 1:
        raise ValueError("modulus")
    return _named(rsa.RSAPublicNumbers(exponent, modulus).public_key(), found.kid)


def parse_p384(jwk: str) -> ec.EllipticCurvePublicKey:
    """A P-384 key whose point is on the curve."""
    found = _load(jwk, _EcJwk)
    x, y = b64url_decode(found.x), b64url_decode(found.y)
    if len(x) != SCALAR_BYTES or len(y) != SCALAR_BYTES:
        raise ValueError("coordinate")
    point = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP384R1())
    return _named(point.public_key(), found.kid)


def parse_canonical_p384(jwk: str) -> ec.EllipticCurvePublicKey:
    """A P-384 key from exactly the text that `public_jwk` writes, so that key, text and thumbprint name each other."""
    key = parse_p384(jwk)
    if public_jwk(key) != jwk:
        raise ValueError("not the canonical JWK")
    return key


def es384_sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA P-384 with SHA-384 over the message: 96 bytes r ‖ s, big-endian. ValueError for another curve."""
    _require_p384(key.public_key())
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA384())))
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


def es384_verify(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Return if the signature fits; InvalidSignature otherwise, also for another length or curve."""
    if len(signature) != ES384_BYTES or not isinstance(key.curve, ec.SECP384R1):
        raise InvalidSignature
    r, s = int.from_bytes(signature[:SCALAR_BYTES], "big"), int.from_bytes(signature[SCALAR_BYTES:], "big")
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA384()))


def _require_p384(key: ec.EllipticCurvePublicKey) -> None:
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("not a P-384 key")


def _shortest(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _load(text: str, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(json.loads(text, object_pairs_hook=_unique), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError("not a JWK of this kind") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


_K = TypeVar("_K", bound=PublicKey)


def _named(key: _K, kid: str | None) -> _K:
    if kid not in (None, key_id(key)):
        raise ValueError("kid")
    return key
