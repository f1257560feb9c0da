"""The rules of the trail itself: anchors, checkpoints, holds, removed lines, and times at which it was in danger."""

from datetime import datetime
from typing import Final

from cji_core.errors import Reason
from cji_core.trail.chain import Record
from cji_core.trail.checkpoint import CheckpointError, origin_of, parse_checkpoint
from cji_core.trail.pruned import RETENTION
from cji_core.trail.rules.jobs import seconds_between
from cji_core.trail.rules.state import MAX_HOLDS, Hold, Mark, decode_state
from cji_core.trail.rules.watcher import ANOTHER_KEY, Watcher, at_end, on
from cji_core.trail.worker_events import (
    DeliveryOverdue,
    HoldPlaced,
    HoldReleased,
    TailRecovered,
    TrailAnchored,
    TrailCheckpoint,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    TrailStarted,
    WorkerNotReady,
    WorkerReady,
    WorkerStarted,
)

HOUR: Final = 3600.0


def a_year_between(time: str, later: str) -> bool:
    """Whether a year lies between two times of lines, so that the first may be removed at the second."""
    return datetime.fromisoformat(later) - datetime.fromisoformat(time) >= RETENTION


@on(TrailStarted)
def began(watcher: Watcher, record: Record, event: TrailStarted) -> None:  # noqa: ARG001 - a rule's form
    """The first line, and no other."""
    if record.seq != 1:
        watcher.note("trail_started_within", "a trail begins within another one", expected="line 1")
    else:
        watcher.state.trail = record.hash
        watcher.note("trail_started", "a new trail began", detail="")


@on(TrailAnchored)
def anchored(watcher: Watcher, record: Record, event: TrailAnchored) -> None:  # noqa: ARG001 - a rule's form
    """Higher than the one before it; after a resumption the machine, and so its counter, may be another one."""
    state, before = watcher.state, watcher.state.anchor
    if before is not None and event.counter <= before:
        what = f"anchor {event.counter} follows {before}"
        detail = f"{what}, without a resumption before it"
        watcher.note("anchor_went_back", what, detail=detail, found=event.counter, expected=f"above {before}")
    elif state.anchor_before_resumption is not None and event.counter <= state.anchor_before_resumption:
        what = f"anchor {event.counter} follows {state.anchor_before_resumption}, after a resumption"
        expected = f"above {state.anchor_before_resumption}"
        watcher.note("anchor_after_resumption", what, found=event.counter, expected=expected)
    state.anchor, state.anchor_before_resumption = event.counter, None


@on(TrailRefused)
def refused(watcher: Watcher, record: Record, event: TrailRefused) -> None:
    """A worker did not start on it."""
    watcher.state.refusal = Mark(record.seq, record.time)
    detail = f"compared with its {event.compared_with}: {event.expected} expected, {event.found} found"
    watcher.note("trail_refused", detail, found=event.found, expected=event.expected)


@on(TrailResumed)
def resumed(watcher: Watcher, record: Record, event: TrailResumed) -> None:  # noqa: ARG001 - a rule's form
    """An operator's decision explains a refusal."""
    state = watcher.state
    state.anchor_before_resumption = state.anchor
    state.anchor, state.receipt_anchor, state.refusal = None, 0, None
    watcher.note("trail_resumed", "an operator continued the trail", detail=event.explanation, about=event.operator_id)


@on(TrailCheckpoint)
def checkpoint(watcher: Watcher, record: Record, event: TrailCheckpoint) -> None:
    """Of all lines before it, of this worker's trail, and signed by the key of this start."""
    watcher.require_key(event.receipt_key, ANOTHER_KEY)
    state, tree, fault = watcher.state, watcher.tree, ""
    state.checkpoints += 1
    try:
        found = parse_checkpoint(event.note.encode())
        state.checkpoint_size = found.size
        if found.origin != origin_of(record.worker):
            fault = "of another trail"
        elif found.size != tree.size:
            fault = f"of {found.size} lines, but {tree.size} are before it"
        elif found.root != tree.root():
            fault = f"lines were changed, removed or added after line {watcher.signed}: it is of others"
        else:
            watcher.compared += 1
            if event.receipt_key in watcher.keys:
                found.verify(watcher.keys[event.receipt_key])
                watcher.verified[event.receipt_key] += 1
                watcher.signed = found.size
    except (CheckpointError, ValueError) as error:
        fault = str(error)
    if fault:
        watcher.note("checkpoint_differs", fault, expected=f"{tree.size} lines with root {tree.root().hex()}")


@on(TrailPruned)
def pruned(watcher: Watcher, record: Record, event: TrailPruned) -> None:
    """Of lines that were there, a year old, and under no hold."""
    detail = f"lines {event.first} to {event.last}: {event.explanation}"
    watcher.note("trail_pruned", "lines were removed", detail=detail, about=event.operator_id)
    if not event.first <= event.last < record.seq:
        watcher.note("pruned_wrongly", "lines that are not there", found=f"{event.first} to {event.last}")
    for name, hold in watcher.state.holds.items():
        if hold.covers(1, event.last):
            watcher.note("hold_broken", f"lines 1 to {event.last} are under {name}, and were removed")
    if watcher.pruned is not None and watcher.pruned.recorded_by(record):
        state = decode_state(bytes(watcher.pruned.state))
        if not a_year_between(state.time, record.time):
            what = f"line {event.last} was not a year old when it was removed"
            watcher.note(
                "pruned_wrongly", what, found=state.time, expected=f"{RETENTION.days} days before {record.time}"
            )


@on(HoldPlaced)
def hold_placed(watcher: Watcher, record: Record, event: HoldPlaced) -> None:
    """Once, on lines that are there."""
    detail = f"lines {event.first} to {event.last or 'the last'}: {event.explanation}"
    about = f"{event.name}, {event.operator_id}"
    watcher.note("hold_placed", f"{event.name} was placed", detail=detail, about=about)
    holds = watcher.state.holds
    if event.name in holds or len(holds) >= MAX_HOLDS:
        watcher.note("hold_order", f"{event.name} is in force already, or more than {MAX_HOLDS} holds are")
        return
    if not event.first <= (event.last or event.first) < record.seq:
        watcher.note("hold_order", f"{event.name} is on lines that are not there")
        return
    holds[event.name] = Hold(
        first=event.first, last=event.last, line=record.seq, time=record.time, operator_id=event.operator_id
    )


@on(HoldReleased)
def hold_released(watcher: Watcher, record: Record, event: HoldReleased) -> None:  # noqa: ARG001 - a rule's form
    """Of a hold in force."""
    about = f"{event.name}, {event.operator_id}"
    watcher.note("hold_released", f"{event.name} was released", detail=event.explanation, about=about)
    if watcher.state.holds.pop(event.name, None) is None:
        watcher.note("hold_order", f"{event.name} is not in force")


@on(TailRecovered)
def recovered(watcher: Watcher, record: Record, event: TailRecovered) -> None:  # noqa: ARG001 - a rule's form
    """Bytes that were never acknowledged were cut off."""
    watcher.note("tail_recovered", f"{event.cut_bytes} bytes")


@on(DeliveryOverdue)
def overdue(watcher: Watcher, record: Record, event: DeliveryOverdue) -> None:  # noqa: ARG001 - a rule's form
    """A destination that must have the trail lacks lines of it."""
    detail = f"{event.cause}, after {event.seconds} seconds"
    watcher.note("delivery_overdue", detail, about=event.destination)


@on(WorkerNotReady)
def unwritable(watcher: Watcher, record: Record, event: WorkerNotReady) -> None:
    """The beginning of a time without a writable trail."""
    if event.reason is Reason.AUDIT_UNAVAILABLE and watcher.state.outage is None:
        watcher.state.outage = Mark(record.seq, record.time)


@on(WorkerReady, WorkerStarted)
def writable(watcher: Watcher, record: Record, event: WorkerReady | WorkerStarted) -> None:
    """Its end; and a start without an explanation of a refusal."""
    _outage(watcher, record.time)
    watcher.state.outage = None
    if isinstance(event, WorkerStarted):
        unexplained(watcher)
        watcher.state.refusal = None


@at_end
def unwritable_until_now(watcher: Watcher) -> None:
    """A time without a writable trail that has not ended."""
    _outage(watcher, watcher.state.time)


@at_end
def unexplained(watcher: Watcher) -> None:
    """A refused trail is continued by an operator's decision only."""
    mark = watcher.state.refusal
    if mark is not None:
        what = "the trail was refused, and nobody explained it"
        watcher.note("refusal_unexplained", what, line=mark.line, time=mark.time, expected="trail_resumed")


def _outage(watcher: Watcher, time: str) -> None:
    mark = watcher.state.outage
    if mark is not None and (seconds := seconds_between(mark.time, time)) > HOUR:
        what = f"the trail could not be written for {seconds / HOUR:.1f} hours"
        watcher.note("audit_outage", what, line=mark.line, time=mark.time, found=f"{seconds:.0f} s", expected="3600 s")
