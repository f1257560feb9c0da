"""The signed receipt of one job: a document of `cji_core.trail.compact` with the `typ` "cji-receipt+jws".

* `verify` returns a `VerifiedReceipt`, which nothing else can construct, or raises a ReceiptError that names the fault.
* `receipt_sha384` covers header and payload, not the signature, which an outsider can re-randomise (s -> n - s).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cji_core.jose import SigningKey, VerifyingKey, key_id
from cji_core.trail.claims import Claims, Expected
from cji_core.trail.compact import ReceiptError, SignedClaims
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

FIRST_PREVIOUS: Final = "0" * 96

_receipts: Final = SignedClaims("cji-receipt+jws", Claims)


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
    return _receipts.sign(claims, private_key)


def receipt_sha384(receipt: str) -> str:
    """Hexadecimal SHA-384 of header and payload in compact form, which the next receipt names."""
    return hashlib.sha384(receipt.rpartition(".")[0].encode("ascii")).hexdigest()


def claims_unverified(receipt: str) -> Claims:
    """The claims of a receipt that is trusted because of its origin, such as our own audit trail.

    Raises ReceiptError if it is not well-formed (R1, R3); signature and expectations are not checked.
    """
    return _receipts.unverified(receipt)


def verify(receipt: str, *, key: VerifyingKey, expected: Expected) -> VerifiedReceipt:
    """Return the receipt if it was signed with `key` and meets `expected`, else raise ReceiptError."""
    return VerifiedReceipt(
        claims=_receipts.verify(receipt, key=key, differences=expected.differences),
        key_id=key_id(key),
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
