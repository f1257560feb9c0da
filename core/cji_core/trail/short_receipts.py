"""The receipt in a line of the trail: whole, or what no earlier line says of it.

Most claims of a receipt are those of the line that it stands in, of its job's admission, or of the receipts before it:
the machine, its evidence, its code. So the trail has a receipt in one of two forms:

* whole: the compact JWS as its submitter has it;
* short: its own claims, its signature, and `like`, the number of the last whole receipt before it. A claim that is left
  out is that of the line (`OF_EVENT`), of the admission (`OF_ADMISSION`) or of the receipt `like` (`_OF_BASE`).

A worker writes the whole form if one of these lines is in a closed segment, which may be pruned before this one.

Nothing is lost: `whole` makes the receipt again, byte for byte, and the next receipt names its digest. A claim that
differs from the one that it would have is written, so every rule about receipts sees what was signed.
"""

import hashlib
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cji_core.jose import signing_input
from cji_core.strict import b64url
from cji_core.trail.claims import Claims
from cji_core.trail.compact import ReceiptError, key_id_unverified
from cji_core.trail.fields import Strict
from cji_core.trail.receipts import claims_unverified

OF_EVENT: Final = ("job_id", "header_sha384", "submitter", "requesting_ori", "purpose_code", "volumes")
OF_ADMISSION: Final = ("originating_ori", "suite", "operations", "recipients", "kek_id", "policy_sha384")
_ALWAYS: Final = (
    "sequence", "previous_sha384", "result_header_sha384", "inputs", "outputs", "started", "ended", "audit_anchor",
)  # fmt: skip
OPTIONAL: Final = tuple(each.name for each in msgspec.structs.fields(Claims) if each.default is UNSET)
_OF_BASE: Final = tuple(
    name for name in Claims.__struct_fields__ if name not in {*OF_EVENT, *OF_ADMISSION, *_ALWAYS, *OPTIONAL}
)

OwnClaims: Any = msgspec.defstruct(
    "OwnClaims",
    [
        (each.name, each.type) if each.name in _ALWAYS else (each.name, each.type | UnsetType, UNSET)
        for each in msgspec.structs.fields(Claims)
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
"""As `Claims`, but those that an earlier line may say can be left out."""


class ShortReceipt(Strict, frozen=True, kw_only=True):
    """A receipt without what earlier lines say; `like` is the number of the last whole one before it."""

    like: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    claims: OwnClaims
    signature: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\Z", max_length=16 * 1024)]


class Completion(Protocol):
    """The event that a receipt stands in, `JobCompleted`; it has all of `OF_EVENT` too."""

    @property
    def receipt(self) -> str | ShortReceipt:
        """Whole or short."""


class Stated(NamedTuple):
    """A receipt as it was signed. Nothing is verified: it is trusted because of the trail that it stands in."""

    compact: str
    claims: Claims
    key_id: str
    sha384: str
    """`receipt_sha384`."""

    @classmethod
    def of(cls, compact: str) -> "Stated":
        """The statement of a whole receipt. Raises ReceiptError if it is not well-formed."""
        return cls(compact, claims_unverified(compact), key_id_unverified(compact), _sha384(signing_input(compact)))


_encoder: Final = msgspec.json.Encoder(order="deterministic")


def shorten(receipt: str, event: Completion, terms: object, base: Stated | None) -> str | ShortReceipt:
    """The form in which a line has this receipt: short, unless it is of another key or evidence than `base`."""
    header, _, signature = receipt.split(".")
    claims = claims_unverified(receipt)
    if base is None or base.compact.partition(".")[0] != header:
        return receipt
    if base.claims.evidence_sha384 != claims.evidence_sha384:
        return receipt
    left_out = {
        name
        for names, source in ((OF_EVENT, event), (OF_ADMISSION, terms), (_OF_BASE, base.claims))
        for name in names
        if getattr(claims, name) == getattr(source, name)
    }
    own = {name: getattr(claims, name) for name in Claims.__struct_fields__ if name not in left_out}
    return ShortReceipt(like=base.claims.sequence, claims=OwnClaims(**own), signature=signature)


def whole(event: Completion, terms: object, base: Stated | None) -> Stated:
    """The receipt in a line, as it was signed.

    `terms` has what its job's admission states, and is None without one; `base` is the last whole receipt before this
    line. Raises ReceiptError: `like` without that receipt, `admission` without the terms, or the part of a whole one
    that is not well-formed.
    """
    short = event.receipt
    if isinstance(short, str):
        return Stated.of(short)
    if base is None or base.claims.sequence != short.like:
        raise ReceiptError("like")
    if terms is None:
        raise ReceiptError("admission")
    own = short.claims
    values = {name: getattr(own, name) for name in (*_ALWAYS, *OPTIONAL)}
    for names, source in ((OF_EVENT, event), (OF_ADMISSION, terms), (_OF_BASE, base.claims)):
        for name in names:
            value = getattr(own, name)
            values[name] = getattr(source, name) if value is UNSET else value
    claims = Claims(**values)
    signed = base.compact.partition(".")[0] + "." + b64url(_encoder.encode(claims))
    return Stated(f"{signed}.{short.signature}", claims, base.key_id, _sha384(signed.encode("ascii")))


def _sha384(signed: bytes) -> str:
    return hashlib.sha384(signed).hexdigest()
