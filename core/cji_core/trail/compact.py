"""A document that a worker, recipient or agency signs: compact JWS with one `typ` and one type of claims. No network.

    document = b64url(header) "." b64url(payload) "." b64url(signature)
    header   = {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":TYP}        exactly, in this order
               with "ML-DSA-87-ES384" for a job of the suite hybrid-1
    payload  = the claims as compact JSON, members in the order of their definition, members of maps sorted

The document chooses nothing: algorithm, key and type are the reader's; `kid` is only compared. It has one encoding:
other base64url, blanks, and duplicate, unknown or reordered members are refused.

The checks, in this order:
    R1 three parts of canonical base64url, at most 64 KiB
    R2 the header is exactly ours, with the algorithm of the suite that the payload names
    R3 the payload is exactly one document of claims       names the claim with a wrong shape
    R4 the signature is valid                              names `signature`, and the claims that differ
    R5 every claim equals the reader's expectation         names the claim
Sources: RFC 7515, RFC 7518 §3.4, RFC 8725; draft-ietf-jose-pq-composite-sigs.
"""

import functools
import re
from collections.abc import Callable
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature

from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.jose import CompactError, SigningKey, UnverifiedCompact, VerifyingKey, join_compact, key_id, split_compact
from cji_core.jose import sign as sign_message
from cji_core.jose import verify as verify_message
from cji_core.strict import StrictError
from cji_core.suites import Suite
from cji_core.trail.fields import KeyId

MAX_BYTES: Final = 64 * 1024

Alg = Literal["ES384", "ML-DSA-87-ES384"]
Typ = Literal["cji-receipt+jws", "cji-failure+jws", "cji-confirmation+jws", "cji-packet+jws", "cji-retention+jws"]
_ALGS: Final[dict[Suite, Alg]] = {Suite.CLASSICAL_1: "ES384", Suite.HYBRID_1: "ML-DSA-87-ES384"}


class ReceiptError(CoreError):
    """An invalid document. `field` names the part or claim, `differing` the claims that differ from the expected."""

    code = "receipt-invalid"
    remedy = "Ask for the receipt again, and compare it with the trail."

    def __init__(self, field: str, *, differing: tuple[str, ...] = ()) -> None:
        super().__init__(field, differing)
        self.field = field
        self.differing = differing

    def __str__(self) -> str:
        tail = f" (not as expected: {', '.join(self.differing)})" if self.differing else ""
        return f"receipt: {self.field}{tail}"


class _Claims(Protocol):
    @property
    def suite(self) -> Suite: ...


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Alg
    kid: KeyId
    typ: Typ


_headers: Final = OneForm(_Header, limit=MAX_BYTES)
_C = TypeVar("_C", bound=_Claims)


class SignedClaims(Generic[_C]):
    """One kind of document: its `typ` and the type of its claims, a strict msgspec structure with a `suite`."""

    def __init__(self, typ: Typ, claims: type[_C]) -> None:
        self._typ: Final = typ
        self._claims = OneForm(claims, limit=MAX_BYTES, order="deterministic")

    def sign(self, claims: _C, private_key: SigningKey) -> str:
        """Return the compact JWS. Raises ValueError if a claim does not fit its type or the key its suite."""
        return self.signed_by(
            claims, private_key.public_key(), lambda signed: sign_message(private_key, signed, claims.suite)
        )

    def signed_by(self, claims: _C, public_key: VerifyingKey, make_signature: Callable[[bytes], bytes]) -> str:
        """As `sign`, with the private half of `public_key` elsewhere; `make_signature` is given what to sign."""
        header = _Header(alg=_ALGS[claims.suite], kid=key_id(public_key), typ=self._typ)
        try:
            payload = self._claims.encode(claims)
        except StrictError as error:
            raise ValueError("claim out of shape") from error
        document = join_compact(_headers.encode(header), payload, make_signature)
        if len(document) > MAX_BYTES:
            raise ValueError("receipt too long")
        return document

    def unverified(self, document: str) -> _C:
        """The claims of a document that is trusted because of its origin. Raises ReceiptError at R1 or R3."""
        return self._payload(_split(document).payload)

    def verify(self, document: str, *, key: VerifyingKey, differences: Callable[[_C], tuple[str, ...]]) -> _C:
        """The claims, if `key` signed them and `differences` finds none. Raises ReceiptError."""
        parts = _split(document)  # R1
        found = _header(parts.header)
        if found.typ != self._typ:
            raise ReceiptError("typ")
        if found.kid != key_id(key):
            raise ReceiptError("kid")
        claims = self._payload(parts.payload)  # R3
        if found.alg != _ALGS[claims.suite]:  # R2
            raise ReceiptError("alg")
        differing = differences(claims)
        try:  # R4
            verify_message(key, parts.signature, parts.signing_input, claims.suite)
        except InvalidSignature as error:
            raise ReceiptError("signature", differing=differing) from error
        if differing:  # R5
            raise ReceiptError(differing[0], differing=differing)
        return claims

    def _payload(self, payload: bytes) -> _C:
        try:
            return self._claims.decode(payload)
        except StrictError as error:
            raise ReceiptError(_named(error, "payload")) from error


def key_id_unverified(document: str) -> str:
    """The thumbprint of the key that a document names as its own. Raises ReceiptError if its header is malformed."""
    return _header(_split(document).header).kid


def typ_unverified(document: str) -> str:
    """The type that a document names as its own. Raises ReceiptError if its header is malformed."""
    return _header(_split(document).header).typ


def _split(document: str) -> UnverifiedCompact:
    try:
        return split_compact(document, limit=MAX_BYTES)
    except CompactError as error:
        raise ReceiptError("receipt" if error.part == "jws" else error.part) from error


@functools.lru_cache(maxsize=64)
def _header(header: bytes) -> _Header:
    """The header, in its one encoding: the same for the documents of one start. ReceiptError with the wrong member."""
    try:
        return _headers.decode(header)
    except StrictError as error:
        raise ReceiptError(_named(error, "header")) from error


def _named(error: Exception, otherwise: str) -> str:
    """The path of the wrong member as msgspec reports it; it contains only our own member names and numbers."""
    found = re.search(r"at `(?:key in )?\$\.([a-z0-9_.\[\]]+)`", str(error))
    return found[1] if found else otherwise
