"""The signed failure receipt of a job by reference that was given up: `typ` "cji-failure+jws" (`trail.compact`).

It shows that a worker verified the job's header, stopped trying and recorded that in its audit trail, and that this is
the end of the job: no receipt of it was or will be released. `attempts` counts the job's entries in the pool ledger,
which are made before an attempt can begin; `reason`, `stage` and `queued` are what the process that moves tickets
reported. A failure receipt names no output, so nothing can be opened with it.
"""

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cji_core.digests import Hex32, Hex96
from cji_core.errors import Reason, Stage
from cji_core.jose import SigningKey, VerifyingKey, key_id
from cji_core.suites import Suite
from cji_core.trail.claims import differing
from cji_core.trail.compact import SignedClaims
from cji_core.trail.fields import Ori, Token, Utc
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

MAX_ATTEMPTS: Final = 1000


class FailureClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a failure receipt vouches for. Digests are lower-case hexadecimal; `suite` is that of the header.

    `queued` is when the ticket was sent, `failed` when the worker gave up; the other claims are as in a receipt.
    """

    version: Annotated[int, Meta(ge=1, le=1)]
    worker: Token
    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    originating_ori: Ori
    requesting_ori: Ori
    suite: Suite
    attempts: Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)]
    reason: Reason
    stage: Stage
    queued: Utc
    failed: Utc
    tee: Token
    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    policy_sha384: Hex96
    config_sha384: Hex96
    code_sha384: Hex96
    simulated: bool


class ExpectedFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The reader's expectations; each member that is set must equal the claim with the same name."""

    simulated: bool
    tee: str | UnsetType = UNSET
    worker: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    header_sha384: str | UnsetType = UNSET
    submitter: str | UnsetType = UNSET
    originating_ori: str | UnsetType = UNSET
    requesting_ori: str | UnsetType = UNSET
    suite: Suite | UnsetType = UNSET

    def differences(self, claims: FailureClaims) -> tuple[str, ...]:
        """Names of the claims that differ, in the order of this class."""
        return differing(self, claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFailure(Verified):
    """A failure receipt that passed every check. Only `verify_failure` constructs one."""

    claims: FailureClaims
    key_id: str
    compact: str = field(repr=False)


_failures: Final = SignedClaims("cji-failure+jws", FailureClaims)


def sign_failure(claims: FailureClaims, private_key: SigningKey) -> str:
    """Return the compact JWS. Raises ValueError if a claim does not fit its type or the key its suite."""
    return _failures.sign(claims, private_key)


def failure_unverified(failure: str) -> FailureClaims:
    """The claims of a failure receipt that is trusted because of its origin. Raises ReceiptError at R1 or R3."""
    return _failures.unverified(failure)


def verify_failure(failure: str, *, key: VerifyingKey, expected: ExpectedFailure) -> VerifiedFailure:
    """Return the failure receipt if it was signed with `key` and meets `expected`, else raise ReceiptError."""
    return VerifiedFailure(
        claims=_failures.verify(failure, key=key, differences=expected.differences),
        key_id=key_id(key),
        compact=failure,
        constructor_key=_CONSTRUCTOR_KEY,
    )
