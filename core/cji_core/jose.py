"""JOSE as this package uses it: base64url, public keys as JWK, signatures (RFC 4648 §5, RFC 7517, RFC 7518, RFC 7638).

Signatures of the suite hybrid-1 are composite signatures of draft-ietf-lamps-pq-composite-sigs with an empty context,
named as in draft-ietf-jose-pq-composite-sigs; their keys, and all others with an ML-KEM half, are JWKs of type AKP.

Readers of our own keys are strict: a member that is unknown, repeated or private, a number that is not in its shortest
base64url form, or a key that is too small is a ValueError. Thumbprints use SHA-256.

Documents that Microsoft's services sign have RS256, the one algorithm of `split_jws`, and keys whose numbers have
several forms: `rsa_from_jwk`, `ec_from_jwk`. A key never comes from the object that it is to verify.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from cji_core.documents import convert_sent
from cji_core.pairs import EncryptionPair, SigningPair, VerifyingPair
from cji_core.strict import JsonObject, StrictError, b64url, b64url_decode, parse_object
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

MIN_RSA_BITS: Final = 2048  # of keys of Microsoft's services
MAX_RSA_BITS: Final = RSA_MAX_BITS
_REMEMBERED: Final = 64  # keys
_MAX_JWK_BYTES: Final = 16 << 10  # the longest key, a hybrid recipient's, has 2.3 KiB
_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_ML_KEM: Final = "ML-KEM-1024"
_LABEL: Final = b"COMPSIG-MLDSA87-ECDSA-P384-SHA512"
_PREFIX: Final = b"CompositeAlgorithmSignatures2025"
_T = TypeVar("_T")
_A = TypeVar("_A", VerifyingPair, EncryptionPair, mlkem.MLKEM1024PublicKey)


class HeaderError(StrictError):
    """The header of a JWS has another algorithm, or an extension."""

    code = "jose-header-refused"


class CompactError(StrictError):
    """A text that is not a compact JWS. `part` is the part that is not base64url; "jws" for another form."""

    code = "jose-compact-refused"

    def __init__(self, part: Literal["jws", "header", "payload", "signature"]) -> None:
        super().__init__("not a compact JWS" if part == "jws" else f"not a compact JWS: its {part} is not base64url")
        self.part = part


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedCompact:
    """The decoded parts of a compact JWS, and the bytes under its signature. Nothing is parsed or verified yet."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedJws:
    """The parts of a compact JWS with a header that was read, nothing verified yet."""

    header: JsonObject
    payload: bytes
    signing_input: bytes
    signature: bytes


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


def split_compact(text: str, *, limit: int, unsigned: bool = False) -> UnverifiedCompact:
    """Take apart a compact JWS of at most `limit` characters. Raises CompactError.

    Its signature may be empty if `unsigned`; nobody can verify that one.
    """
    parts = text.split(".") if len(text) <= limit and text.isascii() else []
    if len(parts) != 3:
        raise CompactError("jws")
    return UnverifiedCompact(
        header=_part("header", parts[0]),
        payload=_part("payload", parts[1]),
        signature=b"" if unsigned and not parts[2] else _part("signature", parts[2]),
        signing_input=signing_input(text),
    )


def _part(name: Literal["header", "payload", "signature"], text: str) -> bytes:
    try:
        if not text:
            raise StrictError("empty")
        return b64url_decode(text)
    except StrictError as error:
        raise CompactError(name) from error


def signing_input(compact: str) -> bytes:
    """The bytes under the signature of a compact JWS: header, dot and payload, as they stand (RFC 7515 §5.1)."""
    return compact.rpartition(".")[0].encode("ascii")


def join_compact(header: bytes, payload: bytes, make_signature: Callable[[bytes], bytes]) -> str:
    """The compact JWS of these bytes; `make_signature` is given the signing input."""
    signed = f"{b64url(header)}.{b64url(payload)}"
    return f"{signed}.{b64url(make_signature(signed.encode('ascii')))}"


def split_jws(text: str, *, limit: int) -> UnverifiedJws:
    """Take apart a compact JWS of at most `limit` characters and fix its algorithm to RS256. Raises StrictError.

    HeaderError is for the header: `crit` (RFC 7515 §4.1.11) and `b64` (RFC 7797) are refused, as no extension is read.
    Members that carry or point to keys (`jwk`, `jku`, `x5c`, `x5u`) are returned, and nobody follows them.
    """
    found = split_compact(text, limit=limit)
    try:
        header = parse_object(found.header, limit=limit)
    except StrictError as error:
        raise HeaderError(str(error)) from error
    if header.get("alg") != "RS256" or "crit" in header or "b64" in header:
        raise HeaderError("another algorithm, or an extension")
    return UnverifiedJws(
        header=header, payload=found.payload, signing_input=found.signing_input, signature=found.signature
    )


def verify_rs256(jws: UnverifiedJws, key: rsa.RSAPublicKey) -> bytes:
    """The payload, if `key` signed it with RSASSA-PKCS1-v1_5 and SHA-256. Raises StrictError."""
    try:
        key.verify(jws.signature, jws.signing_input, padding.PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise StrictError("signed by another key") from error
    return jws.payload


def rsa_from_jwk(jwk: JsonObject) -> rsa.RSAPublicKey:
    """An RSA key of 2048 to 8192 bits. `e` is read as an integer: Key Vault writes AAEAAQ where others write AQAB."""
    n_text, e_text = jwk.get("n"), jwk.get("e")
    if not isinstance(n_text, str) or not isinstance(e_text, str) or len(n_text) > 2048 or len(e_text) > 16:
        raise StrictError("no RSA key")
    modulus = int.from_bytes(b64url_decode(n_text), "big")
    exponent = int.from_bytes(b64url_decode(e_text), "big")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or exponent != RSA_EXPONENT:
        raise StrictError("an RSA key of another size or exponent")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def ec_from_jwk(jwk: JsonObject) -> ec.EllipticCurvePublicKey:
    """A key on P-256, P-384 or P-521, its point on the curve (RFC 7518 §6.2.1).

    Coordinates are read as integers, as `e` is: at most as long as the curve's, with or without leading zeros.
    """
    crv, x_text, y_text = (jwk.get(name) for name in ("crv", "x", "y"))
    if not isinstance(crv, str) or not isinstance(x_text, str) or not isinstance(y_text, str):
        raise StrictError("no EC key")
    curve = _CURVES.get(crv)
    x, y = b64url_decode(x_text), b64url_decode(y_text)
    if curve is None or max(len(x), len(y)) > (curve.key_size + 7) // 8:
        raise StrictError("another curve, or a coordinate that is too long")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()


def public_jwk(key: PublicKey) -> str:
    """As `canonical_jwk`, for keys of our own kinds. ValueError for another curve than P-384."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        _require_p384(key)
    return canonical_jwk(key)


def canonical_jwk(key: PublicKey) -> str:
    """The one JSON text that RFC 7638 §3.1 hashes: required members, sorted, no space; coordinates at full length."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        members = {"e": _shortest(numbers.e), "kty": "RSA", "n": _shortest(numbers.n)}
    elif isinstance(key, VerifyingPair | EncryptionPair):
        members = {"alg": key.alg, "kty": "AKP", "pub": b64url(key.pub)}
    elif isinstance(key, mlkem.MLKEM1024PublicKey):
        members = {"alg": _ML_KEM, "kty": "AKP", "pub": b64url(key.public_bytes_raw())}
    else:
        point, size = key.public_numbers(), (key.key_size + 7) // 8
        x, y = (b64url(value.to_bytes(size, "big")) for value in (point.x, point.y))
        members = {"crv": f"P-{key.key_size}", "kty": "EC", "x": x, "y": y}
    return json.dumps(members, separators=(",", ":"))


def _remembered(function: Callable[[PublicKey], bytes]) -> Callable[[PublicKey], bytes]:
    """Remember what was found for the latest keys, which have no hash, by object: no other has its id meanwhile."""
    known: dict[int, tuple[PublicKey, bytes]] = {}

    @functools.wraps(function)
    def found(key: PublicKey) -> bytes:
        if (entry := known.get(id(key))) is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            entry = known[id(key)] = key, function(key)
        return entry[1]

    return found


@_remembered
def thumbprint(key: PublicKey) -> bytes:
    """RFC 7638 SHA-256 thumbprint, 32 bytes. ValueError for another curve than P-384."""
    return hashlib.sha256(public_jwk(key).encode("ascii")).digest()


def jwk_thumbprint(key: PublicKey) -> bytes:
    """As `thumbprint`, of a key on any curve."""
    return hashlib.sha256(canonical_jwk(key).encode("ascii")).digest()


def key_id(key: PublicKey) -> str:
    """The thumbprint as base64url, 43 characters: what names a key in headers, policies and receipts."""
    return b64url(thumbprint(key))


@functools.lru_cache(maxsize=_REMEMBERED)
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


@functools.lru_cache(maxsize=_REMEMBERED)
def parse_p384(jwk: str) -> ec.EllipticCurvePublicKey:
    """A P-384 key whose point is on the curve. The latest are remembered: send keys and receipt keys come again."""
    found = _load(jwk, _EcJwk)
    x, y = b64url_decode(found.x), b64url_decode(found.y)
    if len(x) != SCALAR_BYTES or len(y) != SCALAR_BYTES:
        raise ValueError("coordinate")
    point = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP384R1())
    return _named(point.public_key(), found.kid)


def parse_ml_kem(jwk: str) -> mlkem.MLKEM1024PublicKey:
    """The ML-KEM-1024 half of a worker's key."""
    return _akp(jwk, _ML_KEM, mlkem.MLKEM1024PublicKey.from_public_bytes)


@functools.lru_cache(maxsize=_REMEMBERED)
def parse_encryption_pair(jwk: str) -> EncryptionPair:
    """The keys of a hybrid recipient. The latest are remembered, as RSA keys are."""
    return _akp(jwk, EncryptionPair.alg, EncryptionPair.of)


def parse_recipient(jwk: str, suite: Suite) -> RecipientKey:
    """A recipient's key of this suite."""
    return parse_rsa(jwk) if suite is Suite.CLASSICAL_1 else parse_encryption_pair(jwk)


@functools.lru_cache(maxsize=_REMEMBERED)
def recipient_key_id(jwk: str, suite: Suite) -> str:
    """The `key_id` of a recipient's key of this suite; ValueError as `parse_recipient`. The latest are remembered."""
    return key_id(parse_recipient(jwk, suite))


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

    A pair signs in both suites. Its two kinds of message cannot be taken for each other: one kind alone has the prefix.
    """
    if suite is Suite.CLASSICAL_1:
        return es384_sign(key.p384 if isinstance(key, SigningPair) else key, message)
    if not isinstance(key, SigningPair):
        raise ValueError("hybrid-1 needs a pair of keys")
    return composite(key.ml_dsa, message, lambda prepared: key.p384.sign(prepared, ec.ECDSA(SHA384())))


def composite(ml_dsa: mldsa.MLDSA87PrivateKey, message: bytes, p384: Callable[[bytes], bytes]) -> bytes:
    """The composite signature over a message; `p384` signs what it is given with ECDSA and SHA-384, in DER."""
    prepared = _representative(message)
    return ml_dsa.sign(prepared, _LABEL) + p384(prepared)


def ecdsa_der(signature: bytes) -> bytes:
    """An ES384 signature, r ‖ s, as the Ecdsa-Sig-Value that composite signatures have. ValueError for other bytes."""
    if len(signature) != ES384_BYTES:
        raise ValueError("length of an ES384 signature")
    return encode_dss_signature(
        *(int.from_bytes(half, "big") for half in (signature[:SCALAR_BYTES], signature[SCALAR_BYTES:]))
    )


def verify(key: VerifyingKey, signature: bytes, message: bytes, suite: Suite) -> None:
    """Return if the signature is this key's, in this suite; InvalidSignature if it, or one half of it, is not."""
    if suite is Suite.CLASSICAL_1:
        es384_verify(key.p384 if isinstance(key, VerifyingPair) else key, signature, message)
        return
    if not isinstance(key, VerifyingPair) or len(signature) > COMPOSITE_MAX_BYTES:
        raise InvalidSignature
    prepared = _representative(message)
    key.p384.verify(signature[ML_DSA_SIGNATURE_BYTES:], prepared, ec.ECDSA(SHA384()))  # and refuses all but DER
    key.ml_dsa.verify(signature[:ML_DSA_SIGNATURE_BYTES], prepared, _LABEL)


def es384_sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA P-384 with SHA-384 over the message: 96 bytes r ‖ s, big-endian. ValueError for another curve.

    ValueError, too, for a message that begins as those of composite signatures: their half is none of this kind.
    """
    _require_p384(key.public_key())
    if message.startswith(_PREFIX):
        raise ValueError("a message of composite signatures")
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA384())))
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


def es384_verify(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Return if the signature fits; InvalidSignature otherwise, also for another length, curve or kind of message."""
    if len(signature) != ES384_BYTES or not isinstance(key.curve, ec.SECP384R1) or message.startswith(_PREFIX):
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
        return convert_sent(parse_object(text.encode(), limit=_MAX_JWK_BYTES), kind)
    except msgspec.ValidationError as error:
        raise ValueError("not a JWK of this kind") from error


_K = TypeVar("_K", bound=PublicKey)


def _named(key: _K, kid: str | None) -> _K:
    if kid not in (None, key_id(key)):
        raise ValueError("kid")
    return key
