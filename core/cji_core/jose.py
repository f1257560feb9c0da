"""JOSE as this package uses it: base64url, public keys as JWK, signatures (RFC 4648 §5, RFC 7517, RFC 7518, RFC 7638).

Signatures of the suite hybrid-1 are composite signatures of draft-ietf-lamps-pq-composite-sigs with an empty context,
named as in draft-ietf-jose-pq-composite-sigs; their keys, and all others with an ML-KEM half, are JWKs of type AKP.

Readers are strict: a member that is unknown, repeated or private, a number that is not in its shortest base64url form,
or a key that is too small is a ValueError. Thumbprints use SHA-256. `cji_attestation.jose` is for the documents that
Microsoft's services sign: RS256, and keys whose numbers are written in several forms.
"""

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from cji_core.pairs import EncryptionPair, SigningPair, VerifyingPair
from cji_core.suites import Suite

RSA_MIN_BITS: Final = 3072  # 128-bit strength (NIST SP 800-57 part 1, table 2)
RSA_MAX_BITS: Final = 8192  # bounds the cost of one public-key operation
RSA_EXPONENT: Final = 65_537
SCALAR_BYTES: Final = 48
ES384_BYTES: Final = 2 * SCALAR_BYTES  # raw r ‖ s
ML_DSA_SIGNATURE_BYTES: Final = 4627  # FIPS 204, table 2
COMPOSITE_MAX_BYTES: Final = ML_DSA_SIGNATURE_BYTES + 104  # with an Ecdsa-Sig-Value in DER

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | SigningPair
VerifyingKey: TypeAlias = ec.EllipticCurvePublicKey | VerifyingPair
RecipientKey: TypeAlias = rsa.RSAPublicKey | EncryptionPair
PublicKey: TypeAlias = VerifyingKey | RecipientKey | mlkem.MLKEM1024PublicKey

_ML_KEM: Final = "ML-KEM-1024"
_LABEL: Final = b"COMPSIG-MLDSA87-ECDSA-P384-SHA512"
_PREFIX: Final = b"CompositeAlgorithmSignatures2025"
_T = TypeVar("_T")
_A = TypeVar("_A", VerifyingPair, EncryptionPair, mlkem.MLKEM1024PublicKey)


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


class _AkpJwk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kty: Literal["AKP"]
    alg: str
    pub: str
    kid: str | None = None


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
    elif isinstance(key, VerifyingPair | EncryptionPair):
        members = {"alg": key.alg, "kty": "AKP", "pub": b64url(key.pub)}
    elif isinstance(key, mlkem.MLKEM1024PublicKey):
        members = {"alg": _ML_KEM, "kty": "AKP", "pub": b64url(key.public_bytes_raw())}
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


def parse_ml_kem(jwk: str) -> mlkem.MLKEM1024PublicKey:
    """The ML-KEM-1024 half of a worker's key."""
    return _akp(jwk, _ML_KEM, mlkem.MLKEM1024PublicKey.from_public_bytes)


@functools.lru_cache(maxsize=64)
def parse_encryption_pair(jwk: str) -> EncryptionPair:
    """The keys of a hybrid recipient. The latest are remembered, as RSA keys are."""
    return _akp(jwk, EncryptionPair.alg, EncryptionPair.of)


def parse_recipient(jwk: str, suite: Suite) -> RecipientKey:
    """A recipient's key of this suite."""
    return parse_rsa(jwk) if suite is Suite.CLASSICAL_1 else parse_encryption_pair(jwk)


def parse_verifying(jwk: str) -> VerifyingKey:
    """A P-384 key, or a pair of an ML-DSA-87 and a P-384 key."""
    try:
        return parse_p384(jwk)
    except ValueError:
        return _akp(jwk, VerifyingPair.alg, VerifyingPair.of)


def parse_canonical_verifying(jwk: str) -> VerifyingKey:
    """The key from exactly the text that `public_jwk` writes, so that key, text and thumbprint name each other."""
    key = parse_verifying(jwk)
    if public_jwk(key) != jwk:
        raise ValueError("not the canonical JWK")
    return key


def sign(key: SigningKey, message: bytes, suite: Suite) -> bytes:
    """The signature of this suite: ES384, or composite. ValueError for a key that cannot make it.

    A pair signs in both suites. Its two kinds of message cannot be taken for each other: one kind has the prefix.
    """
    if suite is Suite.CLASSICAL_1:
        return es384_sign(key.p384 if isinstance(key, SigningPair) else key, message)
    if not isinstance(key, SigningPair):
        raise ValueError("hybrid-1 needs a pair of keys")
    prepared = _representative(message)
    return key.ml_dsa.sign(prepared, _LABEL) + key.p384.sign(prepared, ec.ECDSA(SHA384()))


def verify(key: VerifyingKey, signature: bytes, message: bytes, suite: Suite) -> None:
    """Return if the signature is this key's, in this suite; InvalidSignature if it, or one half of it, is not."""
    if suite is Suite.CLASSICAL_1:
        es384_verify(key.p384 if isinstance(key, VerifyingPair) else key, signature, message)
        return
    if not isinstance(key, VerifyingPair) or len(signature) > COMPOSITE_MAX_BYTES:
        raise InvalidSignature
    prepared, tail = _representative(message), signature[ML_DSA_SIGNATURE_BYTES:]
    try:
        if encode_dss_signature(*decode_dss_signature(tail)) != tail:
            raise InvalidSignature
    except ValueError:
        raise InvalidSignature from None
    key.p384.verify(tail, prepared, ec.ECDSA(SHA384()))
    key.ml_dsa.verify(signature[:ML_DSA_SIGNATURE_BYTES], prepared, _LABEL)


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


def _representative(message: bytes) -> bytes:
    """M' of the draft, for the empty context: one message that both halves sign, and that no half signs alone."""
    return _PREFIX + _LABEL + b"\0" + hashlib.sha512(message).digest()


def _require_p384(key: ec.EllipticCurvePublicKey) -> None:
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("not a P-384 key")


def _shortest(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _akp(text: str, alg: str, read: Callable[[bytes], _A]) -> _A:
    found = _load(text, _AkpJwk)
    if found.alg != alg:
        raise ValueError("alg")
    try:
        return _named(read(b64url_decode(found.pub)), found.kid)
    except UnsupportedAlgorithm as error:
        raise ValueError("this OpenSSL has neither ML-KEM nor ML-DSA") from error


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
