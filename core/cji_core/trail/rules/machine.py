"""The rules of the machine: its starts, evidence, keys, files and conditions, and what other processes sent it."""

from datetime import datetime
from typing import Final

from cji_core.trail.chain import Record
from cji_core.trail.events import Attested, KeyDropped, KeyNotReleased, KeyReleased, WitnessesDisagreed
from cji_core.trail.fleet_events import TicketPoisoned, TicketRefused
from cji_core.trail.rules.state import MAX_CHIPS, MAX_EVIDENCE
from cji_core.trail.rules.watcher import ANOTHER_KEY, Watcher, on
from cji_core.trail.task_events import StatementsRefused
from cji_core.trail.worker_events import (
    FilesReloaded,
    HostChanged,
    ReloadRefused,
    WorkerNotReady,
    WorkerStarted,
    WorkerStopped,
)

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


@on(WorkerStarted)
def started(watcher: Watcher, record: Record, event: WorkerStarted) -> None:
    """All that follows is of this start: its code, configuration and policy, no key yet, a receipt key of its own."""
    state, after = watcher.state, ""
    if state.is_up is False:
        after = f", after {minutes_between(state.stopped_at, record.time)} minutes"
    watcher.note("restarted", f"version {event.version}{after}")
    if state.is_up:
        watcher.note("crashed", "a start without a stop before it", detail="")
    digests = {name: getattr(event, name) for name in _DIGESTS}
    for name, digest in digests.items():
        if state.started.get(name, digest) != digest:
            what, expected = f"{digest[:16]}…", state.started[name]
            watcher.note("start_changed", what, about=name, found=digest, expected=expected)
    if event.simulated:
        watcher.note("simulated", "the worker is simulated", detail="", about="started")
    if event.host_profile == "none":
        watcher.note("no_host_profile", "the worker started without a host profile", detail="")
    state.worker, state.receipt_key, state.started, state.is_up = record.worker, None, digests, True
    state.policy, state.keys, state.unmet = event.policy_sha384, {}, ()
    if state.bundle is not None and event.bundle is not None and event.bundle.serial < state.bundle.serial:
        what = "the start went back to an earlier configuration bundle"
        expected = f"at least {state.bundle.serial}"
        watcher.note("bundle_went_back", what, found=str(event.bundle.serial), expected=expected)
    state.bundle = event.bundle
    _log_policy(watcher, event)


def _log_policy(watcher: Watcher, event: WorkerStarted) -> None:
    """Whose witnesses the log has, and a statement that earlier ones are lost: at the first start that has it."""
    state, found = watcher.state, event.log_policy
    if state.log_policy is not None and found != state.log_policy:
        what = "none" if found is None else f"{found[:16]}…"
        watcher.note("log_policy_changed", what, found=found, expected=state.log_policy)
    for each in event.witnesses_lost:
        if state.witnesses_lost is None or each not in state.witnesses_lost:
            watcher.note("witnesses_lost", f"the statement {each[:16]}…", about=each, found=each)
    state.log_policy, state.witnesses_lost = found, event.witnesses_lost


@on(WorkerStopped)
def stopped(watcher: Watcher, record: Record, event: WorkerStopped) -> None:
    """An orderly end."""
    watcher.state.is_up, watcher.state.stopped_at = False, record.time
    watcher.note("down", f"after {event.jobs_completed} jobs", detail="")


@on(Attested)
def attested(watcher: Watcher, record: Record, event: Attested) -> None:
    """The evidence that keys are released for and receipts name; it has the receipt key of this start."""
    state = watcher.state
    watcher.require_key(event.receipt_key, ANOTHER_KEY)
    state.receipt_key = event.receipt_key
    if state.evidence is None:
        state.evidence = {}
    state.evidence[event.evidence_sha384] = record.seq
    if len(state.evidence) > MAX_EVIDENCE:
        state.evidence.pop(next(iter(state.evidence)))
    if state.chips and event.chip not in state.chips:
        watcher.note("new_chip", f"processor {event.chip[:16]}…", detail="", about=event.chip, found=event.chip)
    chips = state.chips or {}
    chips.pop(event.chip, None)
    state.chips = chips | {event.chip: record.seq}
    if len(state.chips) > MAX_CHIPS:
        state.chips.pop(next(iter(state.chips)))


@on(KeyReleased)
def key_released(watcher: Watcher, record: Record, event: KeyReleased) -> None:
    """For evidence that was attested, under a policy that nobody changed or can change."""
    state = watcher.state
    if state.evidence is not None and event.evidence_sha384 not in state.evidence:
        what = "the key was released for evidence that was not attested"
        watcher.note("release_evidence", what, about=event.kek_id, found=event.evidence_sha384)
    if event.policy_before is not None:
        detail = f"from {event.policy_before} to {event.policy_sha256}"
        watcher.note(
            "release_policy_changed", detail, about=event.kek_id, found=event.policy_sha256,
            expected=event.policy_before,
        )  # fmt: skip
    if not event.policy_immutable:
        watcher.note("release_policy_open", "the release policy is not immutable", detail="", about=event.kek_id)
    if state.keys is not None:
        state.keys[event.kek_id] = record.seq


@on(KeyDropped)
def key_dropped(watcher: Watcher, record: Record, event: KeyDropped) -> None:  # noqa: ARG001 - a rule's form
    """Some causes are findings."""
    if watcher.state.keys is not None:
        watcher.state.keys.pop(event.kek_id, None)
    if rule := _DROPPED.get(event.cause):
        watcher.note(rule, f"a key was dropped: {event.cause}", detail="", about=f"{event.kek_id}, {event.cause}")


@on(KeyNotReleased)
def key_not_released(watcher: Watcher, record: Record, event: KeyNotReleased) -> None:  # noqa: ARG001 - a rule's form
    """A denial, or a vault that is away."""
    rule = "release_failed" if event.cause == "denied" else "key_expired"
    watcher.note(rule, f"a key was not released: {event.cause}", detail="", about=f"{event.kek_id}, {event.cause}")


@on(WorkerNotReady)
def not_ready(watcher: Watcher, record: Record, event: WorkerNotReady) -> None:  # noqa: ARG001 - a rule's form
    """Some reasons are findings."""
    reason = str(event.reason)
    if rule := _NOT_READY.get(reason):
        watcher.note(rule, f"not ready: {reason}", detail="", about=reason)


@on(HostChanged)
def host_changed(watcher: Watcher, record: Record, event: HostChanged) -> None:  # noqa: ARG001 - a rule's form
    """A line that ends a condition gives its finding the last time."""
    for name in sorted({*event.unmet, *watcher.state.unmet}):
        watcher.note("host_conditions", f"{name} does not hold, or did not until now", detail="", about=name)
    watcher.state.unmet = event.unmet


@on(FilesReloaded)
def reloaded(watcher: Watcher, record: Record, event: FilesReloaded) -> None:  # noqa: ARG001 - a rule's form
    """In place of the policy that was in force."""
    before, after, state = event.before, event.after, watcher.state
    for name in before.__struct_fields__:
        if getattr(before, name) != getattr(after, name):
            detail = f"now {getattr(after, name) or 'none'}; user {event.uid}, by {event.by}"
            watcher.note("files_changed", f"{name} was changed", detail=detail, about=name)
    if state.policy is not None and before.policy_file != state.policy:
        what = "the reload replaced a policy that was not in force"
        watcher.note("policy_not_in_force", what, found=before.policy_file, expected=state.policy)
    state.policy = after.policy_file
    if event.bundle != state.bundle:
        if state.bundle is not None and (event.bundle is None or event.bundle.serial <= state.bundle.serial):
            found = "none" if event.bundle is None else str(event.bundle.serial)
            what = "the reload went back to an earlier configuration bundle"
            watcher.note("bundle_went_back", what, found=found, expected=f"more than {state.bundle.serial}")
        elif event.bundle is not None:
            detail = f"SHA-384 {event.bundle.sha384}; user {event.uid}, by {event.by}"
            watcher.note("files_changed", f"configuration bundle {event.bundle.serial}", detail=detail, about="bundle")
    state.bundle = event.bundle


@on(ReloadRefused)
def reload_refused(watcher: Watcher, record: Record, event: ReloadRefused) -> None:  # noqa: ARG001 - a rule's form
    """Nothing changed."""
    watcher.note("reload_refused", f"user {event.uid}, by {event.by}", about=event.file)


@on(WitnessesDisagreed)
def disagreed(watcher: Watcher, record: Record, event: WitnessesDisagreed) -> None:  # noqa: ARG001 - a rule's form
    """Front and cell contradict each other."""
    detail = f"about {', '.join(event.about)}; job {event.job_id}"
    watcher.note("witnesses_disagreed", "front and cell disagreed", detail=detail, about=event.submitter)


@on(StatementsRefused)
def statements(watcher: Watcher, record: Record, event: StatementsRefused) -> None:  # noqa: ARG001 - a rule's form
    """Statements of tasks do not make their job."""
    watcher.note("statements_refused", f"about {event.about}; job {event.job_id}", about=event.submitter)


@on(TicketPoisoned)
def poisoned(watcher: Watcher, record: Record, event: TicketPoisoned) -> None:  # noqa: ARG001 - a rule's form
    """A job by reference was given up."""
    detail = f"{event.reason} at {event.stage} after {event.tries} tries; job {event.job_id}"
    watcher.note("ticket_poisoned", detail, about=event.submitter)


@on(TicketRefused)
def ticket(watcher: Watcher, record: Record, event: TicketRefused) -> None:  # noqa: ARG001 - a rule's form
    """Nothing shows that a submitter made it."""
    reason = f", {event.reason}" if event.reason else ""
    watcher.note("ticket_refused", f"{event.count} tickets{reason}", about=event.fault)


def minutes_between(start: str, end: str) -> int:
    """Whole minutes between two times."""
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() // 60)
