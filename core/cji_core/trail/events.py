"""The events of the audit trail: typed, closed, without free text.

Contract and invariants
* Every event is one Struct of the union `Event`, identified by `kind`. Named fields hold what CJISSECPOL AU-3 and
  AU-3(1) require: type (`kind`), time and place (in the chained record), source, outcome (`reason`), identity; per job
  the duration, bytes received and sent, operator, authorised receiving agency, requestor, secondary recipient.
* There is no field for a record's value, a key or an exception's text (AU-3(3)). Volumes per job are the one documented
  exception to the rule that data derived from records stay inside the sealed output.
* The shapes of `cji_core.trail.fields` are enforced before a line is written and again when it is read.
"""

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, Union

from msgspec import Meta

from cji_core.digests import Hex32, Hex64, Hex96
from cji_core.errors import DeniedBy, Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import fleet_events, task_events, worker_events  # noqa: F401 - their events are of the union
from cji_core.trail.fields import (
    Address,
    Attributed,
    Chip,
    Code,
    Count,
    DisagreementAbout,
    DropCause,
    EntraApplication,
    EventBase,
    Jws,
    KeyId,
    Ori,
    ReferenceCause,
    ReleaseFailure,
    RuleId,
    Token,
    TokenCheck,
    TpmClock,
    Url,
    UsedColumnKeys,
    Utc,
    Uuid,
    Volumes,
)
from cji_core.trail.meaning import KEY, REFERENCE, SERVICE, Activity, Severity, entity, finding, job
from cji_core.trail.short_receipts import ShortReceipt


class Attested(EventBase, frozen=True, kw_only=True, tag="attested"):
    """The machine passed our appraisal and Azure Attestation's.

    `receipt_key` is the thumbprint of the key that signs receipts and checkpoints until the worker stops. `chip` is the
    processor: CHIP_ID of SEV-SNP, PPID of TDX.
    """

    meaning = entity(
        Activity.CREATE,
        Severity.INFORMATIONAL,
        "Machine attested",
        noun="attestation token",
        object="@maa_token_sha384",
        asim="Create",
    )
    counted = ("tee", "region", "issuer", "accepted_advisories")

    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    issuer: Url
    tee: Token
    accepted_advisories: tuple[Token, ...]
    chip: Chip
    region: Token
    expires: Utc
    tpm: TpmClock
    receipt_key: KeyId


class KeyReleased(EventBase, frozen=True, kw_only=True, tag="key_released"):
    """The vault released a key version to this machine under this release policy.

    `policy_before` is set if this process saw a different policy of the key before: it was changed in between. The
    vault's log has `request_id` as the entry's `correlationId`: 122 random bits, made for this one request.
    """

    meaning = entity(Activity.CREATE, Severity.INFORMATIONAL, "Key released to the machine", asim="Create", **KEY)
    counted = ("kek_id", "policy_sha256", "policy_before", "policy_immutable", "policy_accepted", "policy_warnings")

    kek_id: Url
    request_id: Uuid
    evidence_sha384: Hex96
    statement_sha384: Hex96
    policy_sha256: Hex64
    policy_before: Hex64 | None = None
    policy_immutable: bool
    policy_accepted: tuple[RuleId, ...]
    policy_warnings: tuple[RuleId, ...]


class KeyDropped(EventBase, frozen=True, kw_only=True, tag="key_dropped"):
    """A released key was dropped. A renewed key is not dropped.

    expired    it was not renewed in time
    revoked    the vault denied the renewal, or released another key
    pcr-drift  the PCRs differ from the attested ones
    evidence   this machine's evidence was refused, or could no longer be checked
    stopped    the worker ended
    """

    meaning = entity(Activity.DELETE, Severity.LOW, "Released key dropped", asim="Delete", **KEY)
    counted = ("cause",)

    kek_id: Url
    cause: DropCause


class KeyNotReleased(EventBase, frozen=True, kw_only=True, tag="key_not_released"):
    """A request for a key did not lead to its release, whether the key was held or not; once until that changes.

    denied       the vault denied it, or released another key: jobs under the key end
    unavailable  the vault, or the machine's identity for it, did not answer; a key that is held stays until it expires
    """

    meaning = entity(Activity.CREATE, Severity.MEDIUM, "Key not released", asim="Create", outcome="Failure", **KEY)
    counted = ("cause",)

    kek_id: Url
    cause: ReleaseFailure


class JobAdmitted(EventBase, frozen=True, kw_only=True, tag="job_admitted"):
    """All checks that need no key passed; the cell gets its keys once this is durable.

    `attribution` is null if it does not open. A secondary recipient that the policy does not list ends the job before
    the cell gets a key; `JobEnded` has the rule.
    `entra` is the second identity of a submitter that the policy gives one.
    `column_keys` are the statements under which the job gets keys of sealed columns, with those keys.
    `attempt` is the name of the attempt of a job by reference: such a caller had no certificate, and its header's
    signature alone established its submitter.
    """

    meaning = job(Activity.CREATE, Severity.INFORMATIONAL, "Success", "Job admitted")
    counted = ("policy_sha384", "suite", "kek_id")

    job_id: Hex32
    header_sha384: Hex96
    not_after: Utc
    submitter: Token
    source: Address
    originating_ori: Ori
    requesting_ori: Ori
    attribution: Attributed | None
    suite: Suite
    purpose_code: Code
    operations: Annotated[tuple[Token, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1)]
    kek_id: Url
    policy_sha384: Hex96
    resident_reference: Hex64 | None = None
    entra: EntraApplication | None = None
    attempt: Hex32 | None = None
    column_keys: tuple[UsedColumnKeys, ...] = ()


class JobRefused(EventBase, frozen=True, kw_only=True, tag="job_refused"):
    """A job was refused before anything was decrypted. Its own claims are recorded only if its header parsed.

    `denied_by` is the rule of the policy, if the policy refused it, `token_check` the check that its token failed.
    `attempt` is set if the job came by reference.
    """

    meaning = job(Activity.REFUSE, Severity.LOW, "Failure", "Job refused")
    counted = ("reason",)

    source: Address
    stage: Stage
    reason: Reason
    correlation_id: Token
    submitter: Token | None = None
    job_id: Hex32 | None = None
    header_sha384: Hex96 | None = None
    requesting_ori: Ori | None = None
    purpose_code: Code | None = None
    token_check: TokenCheck | None = None
    denied_by: DeniedBy | None = None
    attempt: Hex32 | None = None


class CallsRefused(EventBase, frozen=True, kw_only=True, tag="calls_refused"):
    """Several refusals for one Reason within `seconds`, without lines of their own.

    They are calls that were refused before a job was known (strangers, callers above their share, streams without a
    first message), refusals of GetReceipt for an access token, and refusals of jobs beyond the rate at which each has
    its own line. `source`, `identity` and `token_check` are those of the first; `identity` is the URI in its
    certificate, left out if it has none or one that is not a Token.
    """

    meaning = job(Activity.REFUSE, Severity.LOW, "Failure", "Calls refused", object=SERVICE)
    counted = ("reason",)

    reason: Reason
    count: Count
    seconds: Count
    source: Address
    identity: Token | None = None
    submitter: Token | None = None
    token_check: TokenCheck | None = None


class JobCompleted(EventBase, frozen=True, kw_only=True, tag="job_completed"):
    """All input was verified and all rows are accounted for. The receipt is valid once this line is durable.

    `receipt` is whole, a compact JWS, or short: without what the event, the job's admission and the last whole receipt
    before it state (`cji_core.trail.short_receipts`).
    """

    meaning = job(Activity.COMPLETE, Severity.INFORMATIONAL, "Success", "Job completed")

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code
    duration_ms: Count
    volumes: Volumes
    receipt: Jws | ShortReceipt

    @property
    def compact(self) -> str:
        """The receipt, if it is whole. Raises ValueError for a short one."""
        if not isinstance(self.receipt, str):
            raise ValueError("the receipt is short")
        return self.receipt


class WitnessesDisagreed(EventBase, frozen=True, kw_only=True, tag="witnesses_disagreed"):
    """Front and cell contradict each other about a job, or the cell contradicts the job: one of them is compromised.

    The job's end without a receipt follows.

    result_header  it is not the one of this job, or not the one that the caller received
    inputs         other parts, segments, bytes or tags of the input
    outputs        the same of the output
    plan           it is not a plan of this job
    rows           more rows than these bytes can hold, or counts that contradict each other or the header
    """

    meaning = finding(
        Severity.CRITICAL, "Front and cell contradict each other about a job", noun="job", object="@job_id"
    )
    counted = ("about",)

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    about: Annotated[tuple[DisagreementAbout, ...], Meta(min_length=1)]
    correlation_id: Token


class JobEnded(EventBase, frozen=True, kw_only=True, tag="job_ended"):
    """An admitted job ended without a receipt; the same header may run again.

    `denied_by` is the rule of the policy, if the policy ended it: for a secondary recipient, for more rows or bytes
    than it allows, or after a reload.
    """

    meaning = job(Activity.END, Severity.LOW, "Failure", "Job ended without a receipt", asim="Terminate")
    counted = ("reason",)

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code
    duration_ms: Count
    stage: Stage
    reason: Reason
    correlation_id: Token
    denied_by: DeniedBy | None = None


class ReferenceRetained(EventBase, frozen=True, kw_only=True, tag="reference_retained"):
    """A side table of a completed job stays in secret memory; `sha256` is the part's digest in the job's receipt."""

    meaning = entity(
        Activity.CREATE, Severity.INFORMATIONAL, "Reference retained in secret memory", asim="Create", **REFERENCE
    )
    is_normal = True

    job_id: Hex32
    submitter: Token
    kek_id: Url
    sha256: Hex64
    until: Utc


class ReferenceDropped(EventBase, frozen=True, kw_only=True, tag="reference_dropped"):
    """A resident reference is no longer available. It is wiped when its last job, or the worker, has ended.

    expired   its retention time passed
    replaced  its submitter sent another one, and there was no room for both
    key       the key version that opened it was dropped
    policy    a reload removed its submitter from the policy
    """

    meaning = entity(Activity.DELETE, Severity.INFORMATIONAL, "Reference dropped", asim="Delete", **REFERENCE)
    is_normal = True

    submitter: Token
    kek_id: Url
    sha256: Hex64
    cause: ReferenceCause


def _kinds(base: type[EventBase]) -> list[type[EventBase]]:
    below = [kind for each in base.__subclasses__() for kind in _kinds(each)]
    return below or [base]


KINDS: Final = tuple(_kinds(EventBase))
"""Every event that this module or one that it imports defines."""
if TYPE_CHECKING:
    Event: TypeAlias = EventBase
else:
    Event = Union[KINDS]  # noqa: UP007 - the members are found, not written
