"""The events of the audit trail: typed, closed, without free text.

Contract and invariants
* Every event is one Struct of the union `Event`, identified by `kind`. Named fields hold what CJISSECPOL AU-3 and
  AU-3(1) require: type (`kind`), time and place (in the chained record), source, outcome (`reason`), identity; per job
  the duration, bytes received and sent, operator, authorised receiving agency, requestor, secondary recipient.
* There is no field for a record's value, a key or an exception's text (AU-3(3)). Volumes per job are the one documented
  exception to the rule that data derived from records stay inside the sealed output.
* The shapes of `worker.audit.fields` are enforced before a line is written and again when it is read.
"""

from typing import Annotated, Literal

from msgspec import Meta

from worker.audit.fields import (
    Address,
    Code,
    Count,
    DisagreementAbout,
    DropCause,
    Hex32,
    Hex64,
    Hex96,
    Jws,
    KeyId,
    OptionalText,
    Ori,
    ReferenceCause,
    RuleId,
    Strict,
    Text,
    Token,
    TpmClock,
    Url,
    Utc,
    Volumes,
)
from worker.errors import Reason, Stage


class _Event(Strict, frozen=True, kw_only=True, tag_field="kind"):
    pass


class WorkerStarted(_Event, frozen=True, kw_only=True, tag="worker_started"):
    """The keyholder started with this code, configuration and policy."""

    version: Token
    code_sha384: Hex96
    config_sha384: Hex96
    policy_sha384: Hex96
    simulated: bool
    host_profile: Token


class WorkerReady(_Event, frozen=True, kw_only=True, tag="worker_ready"):
    """Fresh evidence, a key, a policy and this sink are available: jobs are admitted from now on."""

    kek_ids: Annotated[tuple[Url, ...], Meta(min_length=1)]


class WorkerNotReady(_Event, frozen=True, kw_only=True, tag="worker_not_ready"):
    """No job is admitted from now on."""

    reason: Reason


class HostChanged(_Event, frozen=True, kw_only=True, tag="host_changed"):
    """The required conditions of the machine that do not hold, by name; none if all hold again."""

    unmet: tuple[Token, ...]


class WorkerStopped(_Event, frozen=True, kw_only=True, tag="worker_stopped"):
    """An orderly end: drained, keys dropped."""

    jobs_completed: Count


class TailRecovered(_Event, frozen=True, kw_only=True, tag="tail_recovered"):
    """The trail continues after a crash or a failed write; bytes that were never acknowledged were cut off."""

    cut_bytes: Count
    cut_sha384: Hex96


class TrailAnchored(_Event, frozen=True, kw_only=True, tag="trail_anchored"):
    """All lines before this one belong to this value of the vTPM's counter, which is incremented to it afterwards."""

    counter: Count


class TrailRefused(_Event, frozen=True, kw_only=True, tag="trail_refused"):
    """A worker did not start on this trail, because lines are missing or another trail took its place.

    counter  `expected` is the last anchor of the trail, `found` the vTPM's counter
    ledger   `expected` is the number of the last line that the ledger recorded, `found` that of the trail
    """

    compared_with: Literal["counter", "ledger"]
    expected: Count | None
    found: Count | None


class TrailResumed(_Event, frozen=True, kw_only=True, tag="trail_resumed"):
    """An operator investigated a refusal and decided to continue this trail: `cji audit resume`.

    Job ids of the missing lines are unknown, so headers created before this line are refused.
    """

    operator_id: Text
    explanation: Text


class Attested(_Event, frozen=True, kw_only=True, tag="attested"):
    """The machine passed our appraisal and Azure Attestation's."""

    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    issuer: Url
    tee: Token
    accepted_advisories: tuple[Token, ...]
    region: Token
    expires: Utc
    tpm: TpmClock


class KeyReleased(_Event, frozen=True, kw_only=True, tag="key_released"):
    """The vault released a key version to this machine under this release policy.

    `policy_before` is set if this process saw a different policy of the key before: it was changed in between.
    """

    kek_id: Url
    evidence_sha384: Hex96
    statement_sha384: Hex96
    policy_sha256: Hex64
    policy_before: Hex64 | None = None
    policy_immutable: bool
    policy_accepted: tuple[RuleId, ...]
    policy_warnings: tuple[RuleId, ...]


class KeyDropped(_Event, frozen=True, kw_only=True, tag="key_dropped"):
    """A released key was dropped. A renewed key is not dropped.

    expired    it was not renewed in time
    revoked    the vault denied the renewal, or released another key
    pcr-drift  the PCRs differ from the attested ones
    evidence   this machine's evidence was refused, or could no longer be checked
    stopped    the worker ended
    """

    kek_id: Url
    cause: DropCause


class JobAdmitted(_Event, frozen=True, kw_only=True, tag="job_admitted"):
    """Header, signature, policy and ledger checks passed; the data key is opened once this line is durable."""

    job_id: Hex32
    header_sha384: Hex96
    not_after: Utc
    submitter: Token
    source: Address
    originating_ori: Ori
    requesting_ori: Ori
    operator_id: Text
    requestor: Text
    secondary_recipient: OptionalText
    purpose_code: Code
    operations: Annotated[tuple[Token, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1)]
    kek_id: Url
    policy_sha384: Hex96
    resident_reference: Hex64 | None = None


class JobRefused(_Event, frozen=True, kw_only=True, tag="job_refused"):
    """A job was refused before anything was decrypted. Its own claims are recorded only if its header parsed."""

    source: Address
    stage: Stage
    reason: Reason
    correlation_id: Token
    submitter: Token | None = None
    job_id: Hex32 | None = None
    header_sha384: Hex96 | None = None
    requesting_ori: Ori | None = None
    purpose_code: Code | None = None


class CallsRefused(_Event, frozen=True, kw_only=True, tag="calls_refused"):
    """Several refusals for one Reason within `seconds`, without lines of their own.

    They are calls that were refused before a job was known (strangers, callers above their share, streams without a
    first message), and refusals of jobs beyond the rate at which each has its own line. `source` and `identity` are
    those of the first; `identity` is the URI in its certificate, left out if it has none or one that is not a Token.
    """

    reason: Reason
    count: Count
    seconds: Count
    source: Address
    identity: Token | None = None
    submitter: Token | None = None


class JobCompleted(_Event, frozen=True, kw_only=True, tag="job_completed"):
    """All input was verified and all rows are accounted for. The receipt is valid once this line is durable."""

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code
    duration_ms: Count
    volumes: Volumes
    receipt: Jws


class WitnessesDisagreed(_Event, frozen=True, kw_only=True, tag="witnesses_disagreed"):
    """Front and cell contradict each other about a job, or the cell contradicts the job: one of them is compromised.

    The job's end without a receipt follows.

    result_header  it is not the one of this job, or not the one that the caller received
    inputs         other parts, segments, bytes or tags of the input
    outputs        the same of the output
    rows           more rows than these bytes can hold, or counts that contradict each other or the header
    """

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    about: Annotated[tuple[DisagreementAbout, ...], Meta(min_length=1)]
    correlation_id: Token


class JobEnded(_Event, frozen=True, kw_only=True, tag="job_ended"):
    """An admitted job ended without a receipt; the same header may run again."""

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code
    duration_ms: Count
    stage: Stage
    reason: Reason
    correlation_id: Token


class ReferenceRetained(_Event, frozen=True, kw_only=True, tag="reference_retained"):
    """A side table of a completed job stays in secret memory; `sha256` is the part's digest in the job's receipt."""

    job_id: Hex32
    submitter: Token
    kek_id: Url
    sha256: Hex64
    until: Utc


class ReferenceDropped(_Event, frozen=True, kw_only=True, tag="reference_dropped"):
    """A resident reference is no longer available. It is wiped when its last job, or the worker, has ended.

    expired   its retention time passed
    replaced  its submitter sent another one, and there was no room for both
    key       the key version that opened it was dropped
    """

    submitter: Token
    kek_id: Url
    sha256: Hex64
    cause: ReferenceCause


Event = (
    WorkerStarted
    | WorkerReady
    | WorkerNotReady
    | HostChanged
    | WorkerStopped
    | TailRecovered
    | TrailAnchored
    | TrailRefused
    | TrailResumed
    | Attested
    | KeyReleased
    | KeyDropped
    | JobAdmitted
    | JobRefused
    | CallsRefused
    | JobCompleted
    | WitnessesDisagreed
    | JobEnded
    | ReferenceRetained
    | ReferenceDropped
)
