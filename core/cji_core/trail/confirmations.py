"""A recipient's signed confirmation of the counts in a receipt: `typ` "cji-confirmation+jws" (`trail.compact`).

A receipt has the rows that its cell states. A recipient counts the rows of the opened outputs, and signs the numbers
with a key that the policy names beside the recipient (`confirmations`), bound to the digest of the receipt: a
confirmation cannot stand beside another receipt. It shows that the holder of this key states these counts. Its absence
shows nothing.

`verify_confirmation` refuses one by a fault, in this order:
    form       not a document of this kind
    receipt    about another receipt
    policy     the policy is not the one that the receipt names
    recipient  for a key that the receipt does not name as a recipient
    key        signed with a key that the policy does not name for this recipient
    date       outside the days of that key, before the end of the job, or in the future
    signature  not made by that key
    outputs    other outputs than those whose rows the receipt states
Counts that differ from those of the receipt do not refuse a confirmation: it exists to name them (`differences`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from msgspec import Meta

from cji_core.digests import Hex96
from cji_core.errors import CoreError
from cji_core.format.job.policy.decision import Policy
from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.jose import SigningKey, parse_verifying
from cji_core.operations.volumes import STATED, wrong_counts
from cji_core.suites import Suite
from cji_core.trail.claims import Claims
from cji_core.trail.compact import ReceiptError, SignedClaims, key_id_unverified
from cji_core.trail.fields import Count, KeyId, Token, Utc, unix_seconds
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

Fault = Literal["form", "receipt", "policy", "recipient", "key", "date", "signature", "outputs"]


class CountedOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows that a recipient counted in one output, all its shards together."""

    name: Token
    schema: Token
    rows: Count


class ConfirmationClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a confirmation states; `suite` is that of the receipt and of this signature.

    `recipient` is the thumbprint of the key that opened the outputs, `confirmed` the signer's own time.
    """

    version: Annotated[int, Meta(ge=1, le=1)]
    receipt_sha384: Hex96
    suite: Suite
    recipient: KeyId
    outputs: Annotated[tuple[CountedOutput, ...], Meta(min_length=1)]
    confirmed: Utc


class ConfirmationError(CoreError):
    """A confirmation that is refused; `fault` is one of the list above."""

    code = "confirmation-refused"
    remedy = "Give the receipt that was confirmed and the policy of that job, or ask the recipient to confirm again."

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Final = fault

    def __str__(self) -> str:
        return f"confirmation refused: {self.fault}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedConfirmation(Verified):
    """A confirmation by a key of the policy, about one receipt. Only `verify_confirmation` constructs one.

    `differences` are the counts of the receipt that the recipient counted otherwise, in words.
    """

    claims: ConfirmationClaims
    key_id: str
    differences: tuple[str, ...]
    compact: str = field(repr=False)

    @property
    def words(self) -> str:
        """The key that confirmed the counts and its day, or the counts that differ, in words."""
        by = f"by {self.key_id} on {self.claims.confirmed[:10]}"
        return f"counted otherwise {by}: {', '.join(self.differences)}" if self.differences else f"confirmed {by}"


_confirmations: Final = SignedClaims("cji-confirmation+jws", ConfirmationClaims)


def sign_confirmation(claims: ConfirmationClaims, private_key: SigningKey) -> str:
    """Return the compact JWS. Raises ValueError if a claim does not fit its type or the key its suite."""
    return _confirmations.sign(claims, private_key)


def confirmation_unverified(confirmation: str) -> ConfirmationClaims:
    """The claims, to find the receipt that they are about. Raises ConfirmationError(`form`)."""
    try:
        return _confirmations.unverified(confirmation)
    except ReceiptError:
        raise ConfirmationError("form") from None


def verify_confirmation(
    confirmation: str,
    *,
    receipt: Claims,
    receipt_sha384: str,
    policy_sha384: str,
    keys: Collection[ConfirmationKey],
    now: datetime | None = None,
) -> VerifiedConfirmation:
    """The confirmation, if a key of the policy signed it about this receipt. Raises ConfirmationError.

    `keys` are those that the policy of the digest names for such jobs (`confirmation_keys`). Without `now`, as
    in a review that must be repeatable, a time in the future is bounded by the days of the key alone.
    """
    claims = confirmation_unverified(confirmation)
    _require(claims.receipt_sha384 == receipt_sha384 and claims.suite == receipt.suite, "receipt")
    _require(policy_sha384 == receipt.policy_sha384, "policy")
    _require(claims.recipient in receipt.recipients, "recipient")
    kid = _key_id(confirmation)
    named = [each for each in keys if (each.recipient, each.key_id) == (claims.recipient, kid)]
    _require(bool(named), "key")
    day = datetime.fromtimestamp(_seconds(claims.confirmed), UTC).date()
    in_order = receipt.ended <= claims.confirmed
    in_order = in_order and (now is None or _seconds(claims.confirmed) <= now.timestamp())
    _require(in_order and any(each.starts <= day <= each.until for each in named), "date")
    try:
        _confirmations.verify(confirmation, key=parse_verifying(named[0].jwk), differences=lambda _: ())
    except (ReceiptError, InvalidSignature):
        raise ConfirmationError("signature") from None
    names = [each.name for each in claims.outputs]
    _require(names == [each.name for each in receipt.outputs if each.name in STATED], "outputs")
    rows, schemas = ({each.name: getattr(each, of) for each in claims.outputs} for of in ("rows", "schema"))
    return VerifiedConfirmation(
        claims=claims,
        key_id=kid,
        differences=wrong_counts(receipt, schemas, rows),
        compact=confirmation,
        constructor_key=_CONSTRUCTOR_KEY,
    )


def confirmed_by(
    confirmation: str, policy: Policy, *, receipt: Claims, receipt_sha384: str, now: datetime | None = None
) -> VerifiedConfirmation:
    """As `verify_confirmation`, with the keys that this policy names for jobs like that of the receipt."""
    return verify_confirmation(
        confirmation,
        receipt=receipt,
        receipt_sha384=receipt_sha384,
        policy_sha384=policy.sha384.hex(),
        keys=confirmation_keys(policy, receipt),
        now=now,
    )


def confirmation_keys(policy: Policy, job: Claims) -> frozenset[ConfirmationKey]:
    """The keys that may confirm the counts of such a job: those that the rules of all its operations name alike."""
    found = next((each for each in policy if each.name == job.submitter), None)
    agency = None if found is None else found.agencies.get(job.requesting_ori)
    rules = {} if agency is None else agency.purposes.get(job.purpose_code, {})
    if not rules.keys() >= set(job.operations):
        return frozenset()
    return reduce(and_, (rules[name] for name in job.operations)).confirmations


def _key_id(confirmation: str) -> str:
    try:
        return key_id_unverified(confirmation)
    except ReceiptError:
        raise ConfirmationError("form") from None


def _seconds(time: str) -> int:
    try:
        return unix_seconds(time)
    except ValueError:  # the pattern admits days that do not exist
        raise ConfirmationError("form") from None


def _require(holds: bool, fault: Fault) -> None:
    if not holds:
        raise ConfirmationError(fault)
