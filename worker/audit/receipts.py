"""The signed receipt of one job: compact JWS, `typ` "cji-receipt+jws". Needs no network to verify.

    receipt = b64url(header) "." b64url(payload) "." b64url(signature)
    header  = {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":"cji-receipt+jws"}        exactly, in this order
              with "ML-DSA-87-ES384" for a job of the suite hybrid-1
    payload = `Claims` as compact JSON, members in the order of their definition, members of `tcb` sorted

Contract and invariants
* `verify` returns a `VerifiedReceipt`, which nothing else can construct, or raises a ReceiptError that names the fault.
* The receipt chooses nothing: algorithm, key and type are the reader's; `kid` is only compared.
* A receipt has one encoding: other base64url, blanks, and duplicate, unknown or reordered members are refused.
* `receipt_sha384` covers header and payload, not the signature, which an outsider can re-randomise (s -> n - s).

The checks, in this order:
    R1 three parts of canonical base64url, at most 64 KiB
    R2 the header is exactly ours, with the algorithm of the suite that the payload names
    R3 the payload is exactly one `Claims`                 names the claim with a wrong shape
    R4 the signature is valid                              names `signature`, and the claims that differ
    R5 every claim equals the reader's expectation         names the claim
Sources: RFC 7515, RFC 7518 §3.4, RFC 8725; draft-ietf-jose-pq-composite-sigs.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature

from worker.audit.claims import Claims, Expected
from worker.audit.fields import KeyId
from worker.jose import SigningKey, VerifyingKey, b64url, b64url_decode, key_id
from worker.jose import sign as sign_message
from worker.jose import verify as verify_message
from worker.suites import Suite
from worker.verified import _CONSTRUCTOR_KEY, Verified

MAX_BYTES: Final = 64 * 1024
FIRST_PREVIOUS: Final = "0" * 96


Alg = Literal["ES384", "ML-DSA-87-ES384"]
_ALGS: Final[dict[Suite, Alg]] = {Suite.CLASSICAL_1: "ES384", Suite.HYBRID_1: "ML-DSA-87-ES384"}


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Alg
    kid: KeyId
    typ: Literal["cji-receipt+jws"]


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_headers: Final = msgspec.json.Decoder(_Header)
_claims: Final = msgspec.json.Decoder(Claims)


class ReceiptError(Exception):
    """An invalid receipt. `field` names the part or claim, `differing` the claims that differ from the expected."""

    def __init__(self, field: str, *, differing: tuple[str, ...] = ()) -> None:
        super().__init__(field, differing)
        self.field = field
        self.differing = differing

    def __str__(self) -> str:
        tail = f" (not as expected: {', '.join(self.differing)})" if self.differing else ""
        return f"receipt: {self.field}{tail}"


class SequenceError(ReceiptError):
    """A broken sequence of one worker's receipts: numbers `first` to `last` are missing, repeated or misplaced."""

    def __init__(
        self, kind: Literal["missing", "repeated", "reordered", "previous", "anchor"], first: int, last: int
    ) -> None:
        super().__init__({"previous": "previous_sha384", "anchor": "audit_anchor"}.get(kind, "sequence"))
        self.kind = kind
        self.first = first
        self.last = last

    def __str__(self) -> str:
        numbers = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        if self.kind == "previous":
            return f"receipt {numbers}: previous_sha384 names another receipt than the one before it"
        if self.kind == "anchor":
            return f"receipt {numbers}: audit_anchor is below that of the one before it"
        return f"receipt {numbers}: {self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt(Verified):
    """A receipt that passed every check. Only `verify` constructs one."""

    claims: Claims
    key_id: str
    sha384: str
    compact: str = field(repr=False)


def sign(claims: Claims, private_key: SigningKey) -> str:
    """Return the compact JWS. Raises ValueError if a claim does not fit its type or the key its suite."""
    header = _Header(alg=_ALGS[claims.suite], kid=key_id(private_key.public_key()), typ="cji-receipt+jws")
    try:
        payload = _encoder.encode(claims)
        _claims.decode(payload)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError("claim out of shape") from error
    signed = f"{b64url(_encoder.encode(header))}.{b64url(payload)}"
    receipt = f"{signed}.{b64url(sign_message(private_key, signed.encode('ascii'), claims.suite))}"
    if len(receipt) > MAX_BYTES:
        raise ValueError("receipt too long")
    return receipt


def receipt_sha384(receipt: str) -> str:
    """Hexadecimal SHA-384 of header and payload in compact form, which the next receipt names."""
    return hashlib.sha384(receipt.rpartition(".")[0].encode("ascii")).hexdigest()


def claims_unverified(receipt: str) -> Claims:
    """The claims of a receipt that is trusted because of its origin, such as our own audit trail.

    Raises ReceiptError if it is not well-formed (R1, R3); signature and expectations are not checked.
    """
    return _payload(_parts(receipt)[1])


def key_id_unverified(receipt: str) -> str:
    """The thumbprint of the key that a receipt names as its own. Raises ReceiptError if its header is malformed."""
    return _header_of(receipt.partition(".")[0]).kid


def verify(receipt: str, *, key: VerifyingKey, expected: Expected) -> VerifiedReceipt:
    """Return the receipt if it was signed with `key` and meets `expected`, else raise ReceiptError."""
    header, payload, signature = _parts(receipt)  # R1
    found, kid = _header(header), key_id(key)
    if found.kid != kid:
        raise ReceiptError("kid")
    claims = _payload(payload)  # R3
    if found.alg != _ALGS[claims.suite]:  # R2
        raise ReceiptError("alg")
    differing = expected.differences(claims)
    try:  # R4
        verify_message(key, signature, receipt.rpartition(".")[0].encode("ascii"), claims.suite)
    except InvalidSignature as error:
        raise ReceiptError("signature", differing=differing) from error
    if differing:  # R5
        raise ReceiptError(differing[0], differing=differing)
    return VerifiedReceipt(
        claims=claims,
        key_id=kid,
        sha384=receipt_sha384(receipt),
        compact=receipt,
        constructor_key=_CONSTRUCTOR_KEY,
    )


def verify_sequence(receipts: Sequence[VerifiedReceipt], *, after: VerifiedReceipt | None = None) -> None:
    """Return if the receipts of one worker follow each other without a gap, from number 1 or directly after `after`.

    Raises a SequenceError that names the missing, repeated or reordered numbers, or the receipt whose predecessor was
    replaced or whose audit anchor is lower; ReceiptError("worker") if they come from different workers.
    """
    if len({each.claims.worker for each in (*receipts, *([after] if after else []))}) > 1:
        raise ReceiptError("worker")
    number, digest = (after.claims.sequence, after.sha384) if after else (0, FIRST_PREVIOUS)
    anchor = after.claims.audit_anchor if after else 0
    numbers = [each.claims.sequence for each in receipts]
    seen: set[int] = set()
    for each in receipts:
        found = each.claims.sequence
        if found in seen or (after and found == after.claims.sequence):
            raise SequenceError("repeated", found, found)
        if found != number + 1:
            _raise_gap(found, number + 1, numbers)
        if each.claims.previous_sha384 != digest:
            raise SequenceError("previous", found, found)
        if each.claims.audit_anchor < anchor:
            raise SequenceError("anchor", found, found)
        seen.add(found)
        number, digest, anchor = found, each.sha384, each.claims.audit_anchor


def _raise_gap(found: int, wanted: int, numbers: list[int]) -> None:
    if found < wanted or wanted in numbers:
        raise SequenceError("reordered", found, found)
    raise SequenceError("missing", wanted, min(each for each in numbers if each > wanted) - 1)


def _parts(receipt: str) -> tuple[bytes, bytes, bytes]:
    if len(receipt) > MAX_BYTES or not receipt.isascii() or receipt.count(".") != 2:
        raise ReceiptError("receipt")
    decoded: list[bytes] = []
    for name, text in zip(("header", "payload", "signature"), receipt.split("."), strict=True):
        try:
            decoded.append(b64url_decode(text))
        except ValueError as error:
            raise ReceiptError(name) from error
    return decoded[0], decoded[1], decoded[2]


@functools.lru_cache(maxsize=64)
def _header_of(text: str) -> _Header:
    """The receipts of one start of a worker have the same headers."""
    try:
        return _header(b64url_decode(text))
    except ValueError as error:
        raise ReceiptError("header") from error


def _header(header: bytes) -> _Header:
    """The header, in its one encoding. Raises ReceiptError with the wrong member."""
    try:
        parsed = _headers.decode(header)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReceiptError(_named(error, "header")) from error
    if _encoder.encode(parsed) != header:
        raise ReceiptError("header")
    return parsed


def _payload(payload: bytes) -> Claims:
    try:
        claims = _claims.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReceiptError(_named(error, "payload")) from error
    if _encoder.encode(claims) != payload:
        raise ReceiptError("payload")
    return claims


def _named(error: Exception, otherwise: str) -> str:
    """The path of the wrong member as msgspec reports it; it contains only our own member names and numbers."""
    found = re.search(r"at `(?:key in )?\$\.([a-z0-9_.\[\]]+)`", str(error))
    return found[1] if found else otherwise
