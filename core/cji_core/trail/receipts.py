"""The signed receipt of one job: a document of `cji_core.trail.compact` with the `typ` "cji-receipt+jws".

* `verify` returns a `VerifiedReceipt`, which nothing else can construct, or raises a ReceiptError that names the fault.
* `receipt_sha384` covers header and payload, not the signature, which an outsider can re-randomise (s -> n - s).
"""

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cji_core.jose import SigningKey, VerifyingKey, key_id, signing_input
from cji_core.trail.claims import Claims, Expected
from cji_core.trail.compact import SignedClaims
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

FIRST_PREVIOUS: Final = "0" * 96

_receipts: Final = SignedClaims("cji-receipt+jws", Claims)


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
    return hashlib.sha384(signing_input(receipt)).hexdigest()


@functools.lru_cache(maxsize=4)
def claims_unverified(receipt: str) -> Claims:
    """The claims of a receipt that is trusted because of its origin, such as our own audit trail.

    The latest are remembered: a worker asks for those of each receipt until the next one has followed it.

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
