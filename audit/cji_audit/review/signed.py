"""A signed review, `review.signed.json`: a reviewer's statement about a report, chained to the review before it.

    {"payload":"<base64url>","protected":"<base64url>","signature":"<base64url>"}     flattened JWS, RFC 7515 §7.2.2
    protected = {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":"cji-review+jws"}
    payload   = `Statement` as compact JSON

Contract and invariants
* The reader chooses the keys; `kid` selects among them, and nothing else in the file chooses anything.
* A signed review has one encoding, a line feed at its end included. Unknown or reordered members are refused.
* `previous_sha384` is `digest` of the review of the week before, 96 zeros in the first one: reviews form a chain.
* `digest` covers header and payload, not the signature, which an outsider can re-randomise.
Sources: RFC 7515; RFC 7518 §3.4; RFC 8725.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from cji_audit.errors import AuditError
from cji_core.jose import es384_sign, es384_verify, key_id
from cji_core.strict import b64url, b64url_decode
from cji_core.trail.fields import Hex96, KeyId, Text, Utc
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

MAX_BYTES: Final = 1024 * 1024
FIRST_PREVIOUS: Final = "0" * 96
_Comment = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reviewer's statement. `findings` has comments by the ids of findings; `reviewer` is a name for people."""

    version: Annotated[int, Meta(ge=1, le=1)]
    week: str
    report_sha384: Hex96
    page_sha384: Hex96
    reviewer: Text
    time: Utc
    comment: _Comment
    findings: dict[str, _Comment]
    previous_sha384: Hex96


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Literal["ES384"]
    kid: KeyId
    typ: Literal["cji-review+jws"]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: str
    protected: str
    signature: str


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_files: Final = msgspec.json.Decoder(_File)
_headers: Final = msgspec.json.Decoder(_Header)
_statements: Final = msgspec.json.Decoder(Statement)


class SignedReviewError(AuditError):
    """A signed review that cannot be used. The text names the fault."""

    code = "signed-review-invalid"
    remedy = "Ask the reviewer to sign again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReview(Verified):
    """A review whose signature is that of a known reviewer. Only `verify` constructs one."""

    statement: Statement
    key_id: str
    digest: str


def sha384(data: bytes) -> str:
    """Hexadecimal SHA-384."""
    return hashlib.sha384(data).hexdigest()


def sign(statement: Statement, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The file of a signed review. Raises ValueError for a member out of shape, or a key that is not P-384."""
    header = _Header(alg="ES384", kid=key_id(key.public_key()), typ="cji-review+jws")
    try:
        payload = _encoder.encode(statement)
        _statements.decode(payload)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"a comment or the reviewer's name does not fit: {error}") from error
    protected = b64url(_encoder.encode(header))
    body = b64url(payload)
    signature = b64url(es384_sign(key, f"{protected}.{body}".encode("ascii")))
    data = _encoder.encode(_File(payload=body, protected=protected, signature=signature)) + b"\n"
    if len(data) > MAX_BYTES:
        raise ValueError("the comments are longer than 1 MiB")
    return data


def verify(data: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> SignedReview:
    """The review, if one of these keys signed it. Raises SignedReviewError."""
    if len(data) > MAX_BYTES:
        raise SignedReviewError("larger than 1 MiB")
    try:
        file = _files.decode(data)
        protected, payload, signature = (b64url_decode(text) for text in (file.protected, file.payload, file.signature))
        header, statement = _headers.decode(protected), _statements.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SignedReviewError("not a signed review") from error
    if (_encoder.encode(file) + b"\n", _encoder.encode(header), _encoder.encode(statement)) != (
        data,
        protected,
        payload,
    ):
        raise SignedReviewError("not in its one encoding")
    known: Mapping[str, ec.EllipticCurvePublicKey] = {key_id(key): key for key in keys}
    if header.kid not in known:
        raise SignedReviewError(f"signed with the key {header.kid}, which is not a known reviewer's")
    signed = f"{file.protected}.{file.payload}".encode("ascii")
    try:
        es384_verify(known[header.kid], signature, signed)
    except InvalidSignature:
        raise SignedReviewError("the signature is wrong") from None
    return SignedReview(statement=statement, key_id=header.kid, digest=sha384(signed), constructor_key=_CONSTRUCTOR_KEY)
