"""Watchers of the trail as a log: its times, anchors and receipts, and the times at which it was in danger."""

from collections.abc import Iterator
from typing import Final

from cji_audit.packet.watch.step import HOUR, Endless, Fault, Step, seconds_between
from cji_core.errors import Reason
from cji_core.trail.compact import ReceiptError, key_id_unverified
from cji_core.trail.events import Attested, JobAdmitted, JobCompleted, JobEnded
from cji_core.trail.inspection import OF_RECEIPT
from cji_core.trail.worker_events import (
    TrailAnchored,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    WorkerStarted,
)

_OF_ADMISSION: Final = (
    "header_sha384",
    "submitter",
    "originating_ori",
    "requesting_ori",
    "suite",
    "purpose_code",
    "operations",
    "recipients",
    "kek_id",
)


class TimeOrder(Endless):
    """The clock never goes back."""

    topic = "time-stamps"

    def __init__(self) -> None:
        self._latest = ""

    def see(self, step: Step) -> Iterator[Fault]:
        """Each line that is earlier than one before it."""
        if step.time < self._latest:
            yield step.line, f"{step.time} follows {self._latest}"
        self._latest = max(self._latest, step.time)


class Anchors(Endless):
    """Anchors increase."""

    topic = "anchors"

    def __init__(self) -> None:
        self._last: int | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each anchor that does not exceed the one before it, unless an operator resumed the trail in between."""
        event = step.event
        if isinstance(event, TrailResumed):
            self._last = None
        elif isinstance(event, TrailAnchored):
            if self._last is not None and event.counter <= self._last:
                yield step.line, f"anchor {event.counter} follows {self._last}"
            self._last = event.counter


class Receipts(Endless):
    """Receipts continue each other, and each is of its event, of its admission, and of the attested key.

    Numbers are without a gap, and each receipt has the digest of the one before it.
    """

    topic = "receipt-chain"

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None
        self._admitted: dict[str, JobAdmitted] = {}
        self._key = ""

    def see(self, step: Step) -> Iterator[Fault]:
        """Each receipt that does not continue the one before it, or contradicts another line."""
        event = step.event
        admitted = self._admitted.pop(event.job_id, None) if isinstance(event, JobCompleted | JobEnded) else None
        if isinstance(event, JobAdmitted):
            self._admitted[event.job_id] = event
        elif isinstance(event, WorkerStarted):  # no job outlives its process
            self._admitted, self._key = {}, ""
        elif isinstance(event, Attested):
            self._key = event.receipt_key
        if step.receipt is None or not isinstance(event, JobCompleted):
            return
        claims, digest = step.receipt
        different = [name for name in OF_RECEIPT if getattr(claims, name) != getattr(event, name)]
        if admitted is not None:
            different += [name for name in _OF_ADMISSION if getattr(claims, name) != getattr(admitted, name)]
        if different:
            yield step.line, f"receipt {claims.sequence} contradicts the trail: {', '.join(dict.fromkeys(different))}"
        if self._key and _key_of(event.receipt) != self._key:
            yield step.line, f"receipt {claims.sequence} is not of the key that was attested"
        if self._last is not None and (claims.sequence, claims.previous_sha384) != (self._last[0] + 1, self._last[1]):
            yield step.line, f"receipt {claims.sequence} does not continue receipt {self._last[0]}"
        self._last = claims.sequence, digest


def _key_of(receipt: str) -> str | None:
    """The thumbprint of the key that a receipt names; None if its header cannot be read."""
    try:
        return key_id_unverified(receipt)
    except ReceiptError:
        return None


class AuditFailures:
    """A time without a writable trail ends within an hour."""

    topic = "audit-failures"

    def __init__(self) -> None:
        self._since: tuple[int, str] | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each time that took longer, at its beginning."""
        event = step.event
        if isinstance(event, WorkerNotReady) and event.reason is Reason.AUDIT_UNAVAILABLE and self._since is None:
            self._since = step.line, step.time
        elif isinstance(event, WorkerReady | WorkerStarted):
            yield from self.end(step.time)
            self._since = None

    def end(self, time: str) -> Iterator[Fault]:
        """One that has not ended."""
        if self._since is not None and (seconds := seconds_between(self._since[1], time)) > HOUR:
            yield self._since[0], f"the trail could not be written for {seconds / HOUR:.1f} hours"


class Refusals:
    """A trail on which a worker refused to start is continued by an operator's decision only."""

    topic = "trail-incidents"

    def __init__(self) -> None:
        self._refused: int | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each refusal that a start follows without a decision."""
        event = step.event
        if isinstance(event, TrailRefused):
            self._refused = step.line
        elif isinstance(event, TrailResumed):
            self._refused = None
        elif isinstance(event, WorkerStarted):
            yield from self.end(step.time)
            self._refused = None

    def end(self, time: str) -> Iterator[Fault]:  # noqa: ARG002 - it does not depend on the time
        """One without a decision."""
        if self._refused is not None:
            yield self._refused, "the trail was refused, and nobody explained it"
