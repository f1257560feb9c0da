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
from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.jose import UnverifiedCompact, es384_sign, es384_verify, join_compact, key_id, split_compact
from cji_core.strict import StrictError
from cji_core.trail.fields import KeyId, Text, Utc
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


_files: Final = OneForm(_File, limit=MAX_BYTES, end=b"\n")
_headers: Final = OneForm(_Header, limit=MAX_BYTES)
_statements: Final = OneForm(Statement, limit=MAX_BYTES, order="deterministic")


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
        payload = _statements.encode(statement)
        compact = join_compact(_headers.encode(header), payload, lambda signed: es384_sign(key, signed))
        protected, body, signature = compact.split(".")
        return _files.encode(_File(payload=body, protected=protected, signature=signature))
    except StrictError as error:
        raise ValueError(f"a comment or the reviewer's name does not fit: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedReview:
    """A review in its one encoding, whose signature nobody has verified yet."""

    statement: Statement
    key_id: str
    jws: UnverifiedCompact

    @property
    def digest(self) -> str:
        """The digest that names it: of header and payload, as a worker records it."""
        return sha384(self.jws.signing_input)

    def verify(self, key: ec.EllipticCurvePublicKey) -> SignedReview:
        """The review, if this key, which it names, signed it. Raises SignedReviewError."""
        try:
            es384_verify(key, self.jws.signature, self.jws.signing_input)
        except InvalidSignature:
            raise SignedReviewError("the signature is wrong") from None
        return SignedReview(
            statement=self.statement,
            key_id=self.key_id,
            digest=self.digest,
            constructor_key=_CONSTRUCTOR_KEY,
        )


def read(data: bytes) -> UnverifiedReview:
    """The review in a file of at most 1 MiB, which names its key. Raises SignedReviewError."""
    try:
        file = _files.decode(data)
        jws = split_compact(f"{file.protected}.{file.payload}.{file.signature}", limit=MAX_BYTES)
        header, statement = _headers.decode(jws.header), _statements.decode(jws.payload)
    except StrictError as error:
        raise SignedReviewError(f"not a signed review: {error}") from error
    return UnverifiedReview(statement=statement, key_id=header.kid, jws=jws)


def verify(data: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> SignedReview:
    """The review, if one of these keys signed it. Raises SignedReviewError."""
    found = read(data)
    known: Mapping[str, ec.EllipticCurvePublicKey] = {key_id(key): key for key in keys}
    if found.key_id not in known:
        raise SignedReviewError(f"signed with the key {found.key_id}, which is not a known reviewer's")
    return found.verify(known[found.key_id])
