"""Reports for the operator: each process states once a beat what it alone can know. No caller, no record, no key."""

from typing import Annotated

import msgspec
from msgspec import Meta

from worker.errors import Reason
from worker.host import ConditionId
from worker.ipc.messages.base import Message
from worker.ipc.messages.parts import Count, Sha384

MAX_DELIVERIES = 16
MAX_KEYS = 64
"""Keys in a report; a worker with more reports the first."""


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


class KeyholderReport(Message, frozen=True, kw_only=True):
    """The keyholder's view: `reason` if no job is admitted; required conditions that do not hold; the trail's head."""

    reason: Reason | None
    unmet: tuple[ConditionId, ...]
    tpm_clock: bool
    keys: Annotated[tuple[KeyReport, ...], Meta(max_length=MAX_KEYS)]
    keys_held: Count
    cells_warm: Count
    cells_busy: Count
    jobs_waiting: Count
    policy_sha384: Sha384
    keys_opened: Count
    """Jobs since the start whose data keys were opened, or tried to."""
    audit_writable: bool
    audit_line: Count
    audit_hash: Sha384
    audit_anchor: Count
    deliveries: Annotated[tuple[DeliveryReport, ...], Meta(max_length=MAX_DELIVERIES)]


class FrontReport(Message, frozen=True, kw_only=True):
    """The front's view: whether health is serving, running jobs, the end of the revocation lists."""

    serving: bool
    jobs: Count
    crl_until: Count | None
    revoked: Count


class Snapshot(Message, frozen=True, kw_only=True):
    """The state of the whole worker, as JSON for the operator."""

    json: Annotated[bytes, Meta(max_length=64 << 10)]
