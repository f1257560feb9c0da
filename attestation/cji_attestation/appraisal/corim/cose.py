"""CBOR and COSE_Sign1 from strangers (RFC 8949; RFC 9052 §4.2), with ES256 or ES384 (RFC 9053 §2.1).

CBOR: bytes in, one value out, or CoseError. Refused: more than `limit` bytes, nesting deeper than MAX_DEPTH, tags that
the caller does not name, floating point numbers, simple values other than false, true and null, keys other than
integers and text, duplicate keys, and every other form than the one that RFC 8949 §4.1 prefers: open lengths, longer
heads, bytes after the value.

COSE: a key never comes from the message that it is to verify, and headers that carry or point to keys are ignored. The
algorithm is read from the protected header and must be that of the key's curve. `crit` is refused: this reader
understands no extension.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cji_core.errors import CoreError

MAX_DEPTH: Final = 16  # levels
SIGN1: Final = 18
ALGORITHM, CRITICAL, CONTENT_TYPE, KEY_ID = 1, 2, 3, 4  # header parameters
_PLAIN: Final = (int, bytes, str, bool, type(None))
_CURVES: Final[dict[str, tuple[int, hashes.HashAlgorithm, int]]] = {
    "secp256r1": (-7, hashes.SHA256(), 32),
    "secp384r1": (-35, hashes.SHA384(), 48),
}


class CoseError(CoreError, ValueError):
    """CBOR or a COSE_Sign1 that cannot be read or does not verify; the text names the fault."""

    code = "cose-refused"
    remedy = "Ask its maker for the message again."


class SignatureError(CoseError):
    """The signature is not this key's, or of another algorithm than the key's."""

    code = "cose-signature-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedSign1:
    """The parts of a COSE_Sign1, nothing verified yet. `payload` is None if it is detached."""

    header: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    protected: bytes
    signature: bytes


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """Has `cbor2` keep every tag as it is. By itself it would make objects of many kinds."""

    def __missing__(self, number: int) -> Callable[[Any, bool], Any]:
        return lambda value, _: cbor2.CBORTag(number, value)


def parse_cbor(data: bytes, *, limit: int, tags: frozenset[int] = frozenset()) -> Any:
    """Decode one item; raises CoseError. Tags are `cbor2.CBORTag`, arrays are lists."""
    if len(data) > limit:
        raise CoseError("too long")
    try:
        value = cbor2.loads(
            data,
            semantic_decoders=_Tags(),
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        _check_kinds(value, tags)
        again = cbor2.dumps(value)
    except CoseError:
        raise
    except (cbor2.CBORError, ValueError) as error:
        raise CoseError("not CBOR") from error
    if again != data:
        raise CoseError("not in preferred form")
    return value


def _check_kinds(value: Any, tags: frozenset[int]) -> None:
    if type(value) in _PLAIN:
        return
    if isinstance(value, cbor2.CBORTag) and value.tag in tags:
        _check_kinds(value.value, tags)
    elif type(value) is list:
        for one in value:
            _check_kinds(one, tags)
    elif type(value) is dict:
        for key, one in value.items():
            if type(key) not in (int, str):
                raise CoseError("a key that is neither a number nor text")
            _check_kinds(one, tags)
    else:
        raise CoseError("a value of a kind that is not read")


def split_sign1(value: Any, *, tags: frozenset[int] = frozenset(), detachable: bool = False) -> UnverifiedSign1:
    """Take apart the array inside tag 18; a payload may be absent where it is `detachable`. Raises CoseError."""
    if not isinstance(value, list) or len(value) != 4 or not isinstance(value[1], dict):
        raise CoseError("no COSE_Sign1")
    protected, unprotected, payload, signature = value
    if not isinstance(protected, bytes) or not isinstance(signature, bytes):
        raise CoseError("no COSE_Sign1")
    if not isinstance(payload, bytes) and (payload is not None or not detachable):
        raise CoseError("a COSE_Sign1 with a detached payload")
    header = parse_cbor(protected, limit=len(protected), tags=tags)
    if not isinstance(header, dict) or CRITICAL in header:
        raise CoseError("a protected header that is not a map, or with critical parameters")
    return UnverifiedSign1(
        header=header, unprotected=unprotected, payload=payload, protected=protected, signature=signature
    )


def verify_sign1(message: UnverifiedSign1, key: ec.EllipticCurvePublicKey, *, detached: bytes | None = None) -> bytes:
    """Return the payload, or `detached` in its place, if `key`, on P-256 or P-384, signed it. Raises SignatureError."""
    payload = message.payload if detached is None else detached
    try:
        if payload is None:
            raise SignatureError("a detached payload")
        algorithm, digest, size = algorithm_of(key)
        if message.header.get(ALGORITHM) != algorithm or len(message.signature) != 2 * size:
            raise SignatureError("another algorithm, or a signature of another length")
        r, s = (int.from_bytes(half, "big") for half in (message.signature[:size], message.signature[size:]))
        key.verify(encode_dss_signature(r, s), to_be_signed(message.protected, payload), ec.ECDSA(digest))
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("signed by another key") from error
    return payload


def algorithm_of(key: ec.EllipticCurvePublicKey) -> tuple[int, hashes.HashAlgorithm, int]:
    """Number, hash and length of a coordinate of the key's algorithm. Raises CoseError for a key on another curve."""
    try:
        return _CURVES[key.curve.name]
    except KeyError:
        raise CoseError("the key is not on P-256 or P-384") from None


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 §4.4, without external data."""
    return cbor2.dumps(["Signature1", protected, b"", payload])
