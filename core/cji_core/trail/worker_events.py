"""The events of a worker as a whole: its start and end, its readiness, its files, and the trail itself."""

from typing import Annotated, Literal

from msgspec import Meta

from cji_core.bundle_name import BundleName
from cji_core.digests import Hex64, Hex96
from cji_core.errors import Reason
from cji_core.trail.fields import (
    Count,
    DocumentKind,
    EventBase,
    FileDigests,
    KeyId,
    LineNumber,
    Note,
    OverdueCause,
    ReloadRequester,
    ReloadSubject,
    Text,
    Token,
    Url,
)
from cji_core.trail.meaning import (
    DELIVERY,
    DOCUMENT,
    HOLD,
    HOST,
    POLICY,
    TRAIL,
    Activity,
    Severity,
    entity,
    finding,
    lifecycle,
)


class WorkerStarted(EventBase, frozen=True, kw_only=True, tag="worker_started"):
    """The keyholder started with this code, configuration and policy; `policy_signers` are keys that signed it.

    `policy_serial` is never lower than in an earlier line. `bundle` is the configuration bundle whose files these are;
    `log_policy` is the SHA-384 of its `log/policy.toml`, `witnesses_lost` of its statements that witnesses of the log
    are lost.
    """

    meaning = lifecycle(Activity.START, Severity.INFORMATIONAL, "Worker started")
    counted = ("version", "code_sha384", "config_sha384", "policy_sha384", "simulated", "host_profile")

    version: Token
    code_sha384: Hex96
    config_sha384: Hex96
    policy_sha384: Hex96
    policy_signers: tuple[KeyId, ...] = ()
    policy_serial: Count = 0
    simulated: bool
    host_profile: Token
    bundle: BundleName | None = None
    log_policy: Hex96 | None = None
    witnesses_lost: Annotated[tuple[Hex96, ...], Meta(max_length=128)] = ()


class WorkerReady(EventBase, frozen=True, kw_only=True, tag="worker_ready"):
    """Fresh evidence, a key, a policy and this sink are available: jobs are admitted from now on."""

    meaning = lifecycle(Activity.ENABLE, Severity.INFORMATIONAL, "Worker admits jobs")
    is_normal = True

    kek_ids: Annotated[tuple[Url, ...], Meta(min_length=1)]


class WorkerNotReady(EventBase, frozen=True, kw_only=True, tag="worker_not_ready"):
    """No job is admitted from now on, because of this condition (docs/operation.md lists them)."""

    meaning = lifecycle(Activity.DISABLE, Severity.MEDIUM, "Worker admits no jobs", "Failure")
    counted = ("reason", "condition")

    reason: Reason
    condition: Token


class HostChanged(EventBase, frozen=True, kw_only=True, tag="host_changed"):
    """The required conditions of the machine that do not hold, by name; none if all hold again."""

    meaning = finding(Severity.HIGH, "Required conditions of the machine do not hold", **HOST)

    unmet: tuple[Token, ...]


class FilesReloaded(EventBase, frozen=True, kw_only=True, tag="files_reloaded"):
    """Policy, client authorities and revocation lists were read again. They come into force once this line is durable.

    `uid` is the user whose process asked for it, by SIGHUP or by `cji reload`, as the kernel reports it;
    `policy_signers` are the listed keys that signed the new policy, and `policy_serial` is never lower than before.
    `bundle` is the configuration bundle that the files are of; another than before is a hot update.
    """

    meaning = entity(Activity.UPDATE, Severity.LOW, "Policy and authorities reloaded", object="policy_file", **POLICY)
    counted = ("by", "after.policy_file")

    by: ReloadRequester
    uid: Count
    before: FileDigests
    after: FileDigests
    policy_signers: tuple[KeyId, ...] = ()
    policy_serial: Count = 0
    bundle: BundleName | None = None


class ReloadRefused(EventBase, frozen=True, kw_only=True, tag="reload_refused"):
    """A reload was refused, and nothing changed; `file` is the one that cannot be used."""

    meaning = entity(Activity.UPDATE, Severity.MEDIUM, "Reload refused", object="@file", outcome="Failure", **POLICY)
    counted = ("file",)

    by: ReloadRequester
    uid: Count
    file: ReloadSubject


class DocumentRecorded(EventBase, frozen=True, kw_only=True, tag="document_recorded"):
    """A document about this trail existed by the time of this line: a user gave its digest to `cji record`.

    review  `sha384` is the digest of a signed weekly review: of protected header, `.` and payload
    packet  `sha384` is that of the packet.json of an auditor's packet

    `uid` is the user whose process asked for it, as the kernel reports it. The worker has not seen the document.
    """

    meaning = entity(Activity.CREATE, Severity.INFORMATIONAL, "Document recorded", asim="Create", **DOCUMENT)
    counted = ("document",)
    is_normal = True

    document: DocumentKind
    sha384: Hex96
    uid: Count


class WorkerStopped(EventBase, frozen=True, kw_only=True, tag="worker_stopped"):
    """An orderly end: drained, keys dropped."""

    meaning = lifecycle(Activity.STOP, Severity.INFORMATIONAL, "Worker stopped")

    jobs_completed: Count


class DeliveryOverdue(EventBase, frozen=True, kw_only=True, tag="delivery_overdue"):
    """A required destination does not get this trail: its oldest line that was not delivered is `seconds` old.

    late          it waits for longer than the configuration allows
    unreadable    the deliverer's file on it cannot be read, and it waits for as long
    contradicted  the deliverer's file names a line that this trail does not have
    """

    meaning = finding(Severity.HIGH, "Audit trail is not delivered", asim="Disable", **DELIVERY)

    destination: Token
    cause: OverdueCause
    seconds: Count
    admits_jobs: bool


class DeliveryResumed(EventBase, frozen=True, kw_only=True, tag="delivery_resumed"):
    """A destination that was overdue gets the trail again; `seconds` is the time since the alert."""

    meaning = finding(Severity.INFORMATIONAL, "Audit trail is delivered again", asim="Enable", over=True, **DELIVERY)
    is_normal = True

    destination: Token
    seconds: Count


class TailRecovered(EventBase, frozen=True, kw_only=True, tag="tail_recovered"):
    """The trail continues after a crash or a failed write; bytes that were never acknowledged were cut off."""

    meaning = entity(Activity.UPDATE, Severity.MEDIUM, "Audit trail continued after a crash", asim="Set", **TRAIL)

    cut_bytes: Count
    cut_sha384: Hex96


class TrailStarted(EventBase, frozen=True, kw_only=True, tag="trail_started"):
    """The first line of a trail, and never another one: its `hash` is the identity of the trail.

    `nonce` is 32 random bytes, so no two trails have one identity, whatever their workers are called.
    """

    meaning = entity(Activity.CREATE, Severity.MEDIUM, "Audit trail began", asim="Create", **TRAIL)

    nonce: Hex64


class TrailAnchored(EventBase, frozen=True, kw_only=True, tag="trail_anchored"):
    """All lines before this one belong to this value of the vTPM's counter, which is incremented to it afterwards."""

    meaning = entity(Activity.UPDATE, Severity.INFORMATIONAL, "Audit trail anchored", asim="Set", **TRAIL)

    counter: Count


class TrailCheckpoint(EventBase, frozen=True, kw_only=True, tag="trail_checkpoint"):
    """The worker signed the Merkle tree of all lines before this one: `note` is the checkpoint.

    `receipt_key` is the thumbprint of the key that signed it, which the evidence of this start of the worker names.
    """

    meaning = entity(Activity.UPDATE, Severity.INFORMATIONAL, "Audit trail signed", asim="Set", **TRAIL)

    note: Note
    receipt_key: KeyId


class TrailRefused(EventBase, frozen=True, kw_only=True, tag="trail_refused"):
    """A worker did not start on this trail, because lines are missing or another trail took its place.

    counter  `expected` is the last anchor of the trail, `found` the vTPM's counter
    ledger   `expected` is the number of the last line that the replay ledger recorded, `found` that of the trail
    tpm      the trail is new, but the vTPM had a counter before: `found` is its highest value, `expected` that of none
    """

    meaning = finding(Severity.CRITICAL, "Audit trail was rolled back or replaced", **TRAIL)
    counted = ("compared_with",)

    compared_with: Literal["counter", "ledger", "tpm"]
    expected: Count | None
    found: Count | None


class TrailResumed(EventBase, frozen=True, kw_only=True, tag="trail_resumed"):
    """An operator investigated a refusal and decided to continue this trail: `cji audit resume`.

    Job ids of the missing lines are unknown, so headers created before the next attestation are refused.
    """

    meaning = entity(Activity.UPDATE, Severity.HIGH, "Operator continued the audit trail", asim="Set", **TRAIL)

    operator_id: Text
    explanation: Text


class TrailPruned(EventBase, frozen=True, kw_only=True, tag="trail_pruned"):
    """An operator removes the lines `first` to `last`, which are closed segments: `cji audit prune`.

    `root` is that of the tree over all lines until `last`, `kept_sha384` the digest of the file that stays in their
    place (`cji_core.trail.pruned`). They are removed once this line is durable.
    """

    meaning = entity(
        Activity.DELETE, Severity.HIGH, "Operator removed old lines of the audit trail", asim="Delete", **TRAIL
    )

    first: LineNumber
    last: LineNumber
    root: Hex64
    kept_sha384: Hex96
    operator_id: Text
    explanation: Text


class HoldPlaced(EventBase, frozen=True, kw_only=True, tag="hold_placed"):
    """A legal hold: the lines `first` to `last`, and all later ones if `last` is left out, must not be removed."""

    meaning = entity(Activity.CREATE, Severity.LOW, "Operator placed a legal hold", asim="Create", **HOLD)

    name: Token
    first: LineNumber
    last: LineNumber | None = None
    operator_id: Text
    explanation: Text


class HoldReleased(EventBase, frozen=True, kw_only=True, tag="hold_released"):
    """The legal hold of this name ended."""

    meaning = entity(Activity.DELETE, Severity.HIGH, "Operator released a legal hold", asim="Delete", **HOLD)

    name: Token
    operator_id: Text
    explanation: Text


def waits(event: EventBase) -> bool:
    """Whether a line with this event waits for a checkpoint: an anchor and a checkpoint do not."""
    return not isinstance(event, TrailAnchored | TrailCheckpoint)
