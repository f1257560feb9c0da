"""Reports for the operator: each process states once a beat what it alone can know. No caller, no record, no key."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.bundle_name import BundleName
from cji_core.errors import Reason
from cji_worker.host import ConditionId
from cji_worker.ipc.messages.base import Condition, Count, Message, Name, Sha384

MAX_DELIVERIES: Final = 16
MAX_KEYS: Final = 64
"""Keys in a report, usable and missing together; a worker with more reports the first."""
DURATIONS_S: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the classes in which the durations of completed jobs are counted, in seconds; one more is above."""
SEVERAL: Final = "several"
"""The operation of a job that has several, in counts by operation."""
_MAX_OPERATIONS: Final = 64


class KeyReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that may be used, until `until` (seconds since 1970)."""

    kek_id: Annotated[str, Meta(max_length=1024)]
    until: Count


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A required destination of the trail: its last line there, and for how many seconds the next one waits."""

    destination: Annotated[str, Meta(max_length=64)]
    line: Count
    waits_s: Count
    overdue: bool


class MissingKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configured key that is not held, and why."""

    kek_id: Annotated[str, Meta(max_length=1024)]
    reason: Reason


class OperationCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs of one operation, or of `SEVERAL`: those that ended without a receipt, and the others by their duration."""

    operation: Name
    ended: Count
    completed: Annotated[tuple[Count, ...], Meta(min_length=len(DURATIONS_S) + 1, max_length=len(DURATIONS_S) + 1)]
    duration_ms: Count
    """Sum over completed jobs."""


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often something happened for one Reason."""

    reason: Reason
    count: Count


ReasonCounts = Annotated[tuple[ReasonCount, ...], Meta(max_length=len(Reason))]


class JobCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counts of what the keyholder wrote to the trail since its start: jobs, refusals, amounts of completed jobs.

    `refused` counts jobs at admission and calls before it, `ended` admitted jobs without a receipt. Bytes are
    ciphertext bytes.
    """

    operations: Annotated[tuple[OperationCounts, ...], Meta(max_length=_MAX_OPERATIONS)] = ()
    refused: ReasonCounts = ()
    ended: ReasonCounts = ()
    rows_in: Count = 0
    rows_out: Count = 0
    bytes_in: Count = 0
    bytes_out: Count = 0


class Ends(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When what the keyholder works with ends, in seconds since 1970; None if there is none, or it has no end.

    evidence    this machine's evidence is too old: no key may be used
    token       Azure Attestation's token expires
    advisories  the table of advisories expires: all evidence is refused
    acceptance  the first risk acceptance on which this machine's verdict rests expires
    policy      the first agreement in the policy ends
    """

    evidence: Count | None = None
    token: Count | None = None
    advisories: Count | None = None
    acceptance: Count | None = None
    policy: Count | None = None


class KeyholderReport(Message, frozen=True, kw_only=True):
    """The keyholder's view: `reason` if no job is admitted; required conditions that do not hold; the trail's head."""

    reason: Reason | None
    condition: Condition | None
    unmet: tuple[ConditionId, ...]
    tpm_clock: bool
    keys: Annotated[tuple[KeyReport, ...], Meta(max_length=MAX_KEYS)]
    keys_missing: Annotated[tuple[MissingKey, ...], Meta(max_length=MAX_KEYS)]
    keys_held: Count
    ends: Ends
    early: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)] = ()
    """Advisories that are open on this machine only by Intel's early statements."""
    jobs: JobCounts
    cells_warm: Count
    cells_busy: Count
    jobs_waiting: Count
    policy_sha384: Sha384
    bundle: BundleName | None
    keys_opened: Count
    """Jobs since the start whose data keys were opened, or tried to."""
    audit_writable: bool
    audit_line: Count
    audit_hash: Sha384
    audit_anchor: Count
    deliveries: Annotated[tuple[DeliveryReport, ...], Meta(max_length=MAX_DELIVERIES)]


class FrontReport(Message, frozen=True, kw_only=True):
    """The front's view: whether health is serving and if not, why; jobs; the ends of revocation lists and authorities.

    A worker that drains does not serve, and has no `condition`.
    """

    serving: bool
    condition: Condition | None
    jobs: Count
    crl_until: Count | None
    authorities_until: Count
    revoked: Count


class Snapshot(Message, frozen=True, kw_only=True):
    """The state of the whole worker, as JSON for the operator."""

    json: Annotated[bytes, Meta(max_length=64 << 10)]
