"""The worker itself in the events of one trail: starts, keys, evidence, host, files, and the trail's own events.

Handlers are found by kind, so a kind that is not in HANDLERS is counted and reported as one that no rule is about.
"""

from collections.abc import Callable
from typing import Any, Final

from cji_audit.review.groups import FirstUse
from cji_audit.review.model import Place
from cji_audit.review.sightings import Sightings
from cji_audit.review.trail import TrailReview
from cji_audit.review.window import Window
from cji_core.trail.chain import Record

_DIGESTS: Final = ("code_sha384", "config_sha384", "policy_sha384")
_NOT_READY: Final = {
    "KEY_RELEASE_DENIED": "release_failed",
    "ATTESTATION_REJECTED": "attestation_failed",
    "KEY_THROTTLED": "key_expired",
    "AUDIT_UNAVAILABLE": "audit_unavailable",
}
_DROPPED: Final = {
    "revoked": "release_failed",
    "pcr-drift": "attestation_failed",
    "evidence": "attestation_failed",
    "expired": "key_expired",
}


class Machine:
    """The rules about machines. One instance serves all trails; each call names its trail."""

    def __init__(self, window: Window, sightings: Sightings) -> None:
        self._see, self._begins = sightings, window.begins
        self.risks = FirstUse()
        self._attested_earlier = False

    def event(self, trail: TrailReview, record: Record, place: Place, *, in_week: bool) -> bool:
        """Apply the rules to one line; False if its kind has none. Lines before the week only set the state."""
        handler = HANDLERS.get(record.event.kind)
        if handler is None:
            return False
        handler(self, _Line(trail, record, place, self._see, in_week=in_week))
        return True

    def finish(self) -> None:
        """The accepted advisories that are new."""
        if not self._attested_earlier and self.risks.week:
            self._see.not_checked("new_risk", "the trails have no earlier attestation to compare with")
            return
        for key, time, place in self.risks.new():
            self._see.see("new_risk", " ".join(map(str, key)), place, time)

    def _started(self, line: "_Line") -> None:
        event, trail = line.event, line.trail
        if line.in_week:
            trail.version(event.version)
        line.see("restarted", detail=f"version {event.version}{trail.stopped_for(line.record.time)}")
        if trail.running:
            line.see("crashed")
        changed = trail.start({name: getattr(event, name) for name in _DIGESTS})
        for name in changed:
            line.see("start_changed", name, detail=f"{getattr(event, name)[:16]}…")
        if event.simulated:
            line.see("simulated", "started")
        if event.host_profile == "none":
            line.see("no_host_profile")
        trail.running = True

    def _stopped(self, line: "_Line") -> None:
        line.see("down")
        line.trail.running, line.trail.stopped_at = False, line.record.time

    def _attested(self, line: "_Line") -> None:
        self._attested_earlier |= line.record.time < self._begins
        for name in line.event.accepted_advisories:
            key = (line.record.worker, name)
            if line.in_week:
                self.risks.in_week(key, line.record.time, line.place)
            elif line.record.time < self._begins:
                self.risks.earlier(key)

    def _released(self, line: "_Line") -> None:
        event = line.event
        if event.policy_before is not None:
            detail = f"from {event.policy_before} to {event.policy_sha256}"
            line.see("release_policy_changed", event.kek_id, detail=detail)
        if not event.policy_immutable:
            line.see("release_policy_open", event.kek_id)

    def _dropped(self, line: "_Line") -> None:
        if rule := _DROPPED.get(line.event.cause):
            line.see(rule, f"{line.event.kek_id}, {line.event.cause}")

    def _not_ready(self, line: "_Line") -> None:
        reason = str(line.event.reason)
        if rule := _NOT_READY.get(reason):
            line.see(rule, reason)

    def _host(self, line: "_Line") -> None:
        unmet = frozenset(line.event.unmet)
        for name in sorted(unmet | line.trail.unmet):  # a line that ends a condition gives the finding its last time
            line.see("host_conditions", name)
        line.trail.unmet = unmet

    def _reloaded(self, line: "_Line") -> None:
        before, after = line.event.before, line.event.after
        for name in before.__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                detail = f"now {getattr(after, name) or 'none'}; user {line.event.uid}, by {line.event.by}"
                line.see("files_changed", name, detail=detail)

    def _reload_refused(self, line: "_Line") -> None:
        line.see("reload_refused", line.event.file, detail=f"user {line.event.uid}, by {line.event.by}")

    def _recovered(self, line: "_Line") -> None:
        line.see("tail_recovered", detail=f"{line.event.cut_bytes} bytes")

    def _anchored(self, line: "_Line") -> None:
        line.trail.anchored(line.record, line.event.counter, line.place, in_week=line.in_week)

    def _refused(self, line: "_Line") -> None:
        event = line.event
        detail = f"compared with its {event.compared_with}: {event.expected} expected, {event.found} found"
        line.see("trail_refused", detail=detail)

    def _resumed(self, line: "_Line") -> None:
        line.trail.resumed()
        line.see("trail_resumed", line.event.operator_id, detail=line.event.explanation)

    def _pruned(self, line: "_Line") -> None:
        event = line.event
        detail = f"lines {event.first} to {event.last}: {event.explanation}"
        line.see("trail_pruned", event.operator_id, detail=detail)

    def _held(self, line: "_Line") -> None:
        event = line.event
        detail = f"lines {event.first} to {event.last or 'the last'}: {event.explanation}"
        line.see("hold_placed", f"{event.name}, {event.operator_id}", detail=detail)

    def _released_hold(self, line: "_Line") -> None:
        event = line.event
        line.see("hold_released", f"{event.name}, {event.operator_id}", detail=event.explanation)

    def _checkpoint(self, line: "_Line") -> None:
        line.trail.checkpoint(line.record, line.event.note, line.place, in_week=line.in_week)

    def _disagreed(self, line: "_Line") -> None:
        detail = f"about {', '.join(line.event.about)}; job {line.event.job_id}"
        line.see("witnesses_disagreed", line.event.submitter, detail=detail)

    def _statements(self, line: "_Line") -> None:
        event = line.event
        detail = f"about {event.about}; job {event.job_id}"
        line.see("statements_refused", event.submitter, detail=detail)

    def _poisoned(self, line: "_Line") -> None:
        event = line.event
        detail = f"{event.reason} at {event.stage} after {event.tries} tries; job {event.job_id}"
        line.see("ticket_poisoned", event.submitter, detail=detail)

    def _ticket(self, line: "_Line") -> None:
        event = line.event
        reason = f", {event.reason}" if event.reason else ""
        line.see("ticket_refused", event.fault, detail=f"{event.count} tickets{reason}")

    def _delivery(self, line: "_Line") -> None:
        event = line.event
        line.see("delivery_overdue", event.destination, detail=f"{event.cause}, after {event.seconds} seconds")

    def _nothing(self, line: "_Line") -> None:
        """Counted; normal operation."""


class _Line:
    """One line in the hands of a rule. Its event has the members of its kind."""

    __slots__ = ("_see", "event", "in_week", "place", "record", "trail")

    def __init__(
        self, trail: TrailReview, record: Record, place: Place, sightings: Sightings, *, in_week: bool
    ) -> None:
        self.trail, self.record, self.place, self.in_week = trail, record, place, in_week
        self.event: Any = record.event
        self._see = sightings

    def see(self, rule: str, subject: str = "", *, detail: str = "") -> None:
        """A finding about this worker, if the line is in the week."""
        if self.in_week:
            name = f"{self.record.worker}, {subject}" if subject else self.record.worker
            self._see.see(rule, name, self.place, self.record.time, detail=detail)


HANDLERS: Final[dict[str, Callable[[Machine, _Line], None]]] = {
    "worker_started": Machine._started,
    "worker_ready": Machine._nothing,
    "worker_not_ready": Machine._not_ready,
    "worker_stopped": Machine._stopped,
    "host_changed": Machine._host,
    "files_reloaded": Machine._reloaded,
    "reload_refused": Machine._reload_refused,
    "tail_recovered": Machine._recovered,
    "trail_anchored": Machine._anchored,
    "trail_refused": Machine._refused,
    "trail_resumed": Machine._resumed,
    "trail_pruned": Machine._pruned,
    "hold_placed": Machine._held,
    "hold_released": Machine._released_hold,
    "trail_checkpoint": Machine._checkpoint,
    "attested": Machine._attested,
    "key_released": Machine._released,
    "key_dropped": Machine._dropped,
    "witnesses_disagreed": Machine._disagreed,
    "reference_retained": Machine._nothing,
    "reference_dropped": Machine._nothing,
    "task_admitted": Machine._nothing,
    "task_completed": Machine._nothing,
    "task_ended": Machine._nothing,
    "statements_refused": Machine._statements,
    "attempt_superseded": Machine._nothing,
    "ticket_poisoned": Machine._poisoned,
    "ticket_refused": Machine._ticket,
    "delivery_overdue": Machine._delivery,
    "delivery_resumed": Machine._nothing,
}
