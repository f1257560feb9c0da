"""The rules of jobs: their order, who asked, and what was in force when they were admitted."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

from cji_core.trail.chain import Record
from cji_core.trail.events import CallsRefused, JobAdmitted, JobCompleted, JobEnded, JobRefused
from cji_core.trail.fleet_events import AttemptSuperseded
from cji_core.trail.rules import receipts
from cji_core.trail.rules.state import MAX_COMPLETED, MAX_RUNNING, Admission
from cji_core.trail.rules.watcher import Watcher, at_end, on

DAY: Final = 24 * 3600.0
_SUSPECT: Final = frozenset(
    {"HEADER_SIGNATURE_INVALID", "DEK_UNWRAP_FAILED", "CERTIFICATE_REFUSED", "AUDIENCE_MISMATCH"}
)
FOUND_ALWAYS: Final = _SUSPECT | {"REPLAYED"}
"""Reasons of refusals that are a finding each, whatever their number."""
_ENDED: Final = {"ATTESTATION_REJECTED": "attestation_failed", "KEY_RELEASE_DENIED": "release_failed"}


def seconds_between(earlier: str, later: str) -> float:
    """Between two times of a trail."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@lru_cache(maxsize=8)
def _two_days_before(day: str) -> str:
    return str(date.fromisoformat(day) - timedelta(days=2)) if day > "0001-01-03" else day


@on(JobAdmitted)
def admitted(watcher: Watcher, record: Record, event: JobAdmitted) -> None:
    """Once, with an operator, under the policy in force and a key that is held, while the machine is as it must be."""
    state = watcher.state
    if event.job_id in state.running:
        _order(watcher, record, event.submitter, "the job was admitted before and has not ended")
    if len(state.running) >= MAX_RUNNING:
        _order(watcher, record, event.submitter, f"more than {MAX_RUNNING} jobs at once")
    else:
        state.running[event.job_id] = Admission.of(event, record.seq, record.time)
    if state.policy is not None and event.policy_sha384 != state.policy:
        what = "the job was admitted under a policy that was not in force"
        watcher.note("policy_not_in_force", what, found=event.policy_sha384, expected=state.policy)
    if state.keys is not None and event.kek_id not in state.keys:
        what = "the job was admitted under a key that was not held"
        watcher.note("key_not_held", what, about=event.kek_id, found=event.kek_id, expected=", ".join(state.keys))
    if state.unmet:
        what = f"the job was admitted while {len(state.unmet)} conditions of the machine were unmet"
        watcher.note("admitted_while_unmet", what, detail=", ".join(state.unmet))
    if event.attribution is None:
        what, detail = "the job has no attribution", f"agency {event.requesting_ori}"
        watcher.note("unattributed", what, detail=detail, subject=event.submitter)
    else:
        watcher.operator = event.attribution.operator_id


@on(JobEnded)
def ended(watcher: Watcher, record: Record, event: JobEnded) -> None:
    """After its admission, with its header; some reasons are findings about the machine."""
    _end(watcher, record, event)
    rule = _ENDED.get(str(event.reason))
    if rule is not None:
        watcher.note(rule, f"a job ended with {event.reason}", detail="", subject=f"{record.worker}: jobs ended")


@on(JobCompleted)
def completed(watcher: Watcher, record: Record, event: JobCompleted) -> None:
    """After its admission, with its header, once, and with the receipt of all that."""
    admission = _end(watcher, record, event)
    done, forgotten = watcher.state.completed, _two_days_before(record.time[:10]) + record.time[10:]
    while done and (len(done) > MAX_COMPLETED or next(iter(done.values())) < forgotten):
        done.pop(next(iter(done)))
    if done.pop(event.job_id, None) is not None:
        watcher.note("completed_again", "the job has already completed", about=f"job {event.job_id}")
    done[event.job_id] = record.time
    receipts.examine(watcher, record, event, admission)


@on(AttemptSuperseded)
def superseded(watcher: Watcher, record: Record, event: AttemptSuperseded) -> None:  # noqa: ARG001 - a rule's form
    """The job may complete again."""
    watcher.state.completed.pop(event.job_id, None)


@on(JobRefused, CallsRefused)
def refused(watcher: Watcher, record: Record, event: JobRefused | CallsRefused) -> None:  # noqa: ARG001 - as above
    """Some reasons can be those of an attack."""
    reason = str(event.reason)
    if reason not in FOUND_ALWAYS:
        return
    count = event.count if isinstance(event, CallsRefused) else 1
    subject = event.submitter or getattr(event, "identity", None) or "unknown callers"
    rule, subject = ("replayed", subject) if reason == "REPLAYED" else ("suspect_refusals", f"{subject}, {reason}")
    watcher.note(
        rule, f"refused {count} times with {reason}", detail=f"first from {event.source}", subject=subject, count=count
    )


@at_end
def unfinished(watcher: Watcher) -> None:
    """Every admitted job has an outcome within a day."""
    now = watcher.state.time
    for job_id, job in watcher.state.running.items():
        if job.line and seconds_between(job.time, now) > DAY:
            watcher.note("no_outcome", "the job has no outcome", about=f"job {job_id}", line=job.line, time=job.time)


def _end(watcher: Watcher, record: Record, event: JobEnded | JobCompleted) -> Admission | None:
    admission = watcher.state.running.pop(event.job_id, None)
    if admission is None:
        _order(watcher, record, event.submitter, "the end of a job that was not admitted, or has ended before")
        return None
    watcher.operator = admission.operator
    if admission.header_sha384 != event.header_sha384:
        _order(watcher, record, event.submitter, "the job was admitted with another header")
    return admission


def _order(watcher: Watcher, record: Record, submitter: str, what: str) -> None:
    watcher.note("job_order", what, subject=f"{record.worker}, {submitter}")
