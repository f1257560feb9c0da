"""How a trail and its replay ledger are brought together, at start and after a failed write.

The checks, in this order:
    1 the line at the ledger's mark is still the one that was recorded
    2 the ledger was derived from this very file, and not from lines that were pruned since, else it is built again from
      the first line
    3 every line after the mark continues the chain and is in order for its job, checkpoints are of the lines before
      them; each is applied to the ledger
"""

import errno
import hashlib
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cji_core.errors import Reason, Refusal, StartupError
from cji_core.log import log
from cji_core.strict import hex_decode
from cji_core.trail.chain import GENESIS, MAX_LINE_BYTES, ChainError, Head, append_record, read, verify_next
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.events import Event, JobAdmitted, JobCompleted, JobEnded
from cji_core.trail.fleet_events import AttemptSuperseded
from cji_core.trail.merkle import Frontier
from cji_core.trail.task_events import TaskAdmitted
from cji_core.trail.worker_events import TailRecovered, TrailCheckpoint, TrailRefused, TrailStarted
from cji_worker.errors import WorkerError
from cji_worker.trail.replay_ledger import (
    JobState,
    ReplayLedger,
    ReplayLedgerDamagedError,
    is_full,
    remove_replay_ledger,
)
from cji_worker.trail.storage import TrailChangedError, TrailStorage

_GROUP: Final = 50_000
_REPORT_S: Final = 5.0
_REPORT_LINES: Final = 20_000
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class RolledBackError(WorkerError):
    """The trail lacks lines that the ledger has, or has others; `expected` is the number of the last one recorded."""

    code = "trail-rolled-back"
    remedy = "Restore the newest trail; sinks and witnesses have its end."

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self.expected = expected


def open_replay_ledger(path: Path, storage: TrailStorage) -> ReplayLedger:
    """The replay ledger of this trail, new if there is none or if it is of another file with the same line.

    Raises RolledBackError, OSError, sqlite3.Error or ReplayLedgerDamagedError.
    """
    ledger, before = ReplayLedger(path), storage.before
    mark = ledger.mark
    if mark.head != GENESIS and not (before.pruned and mark.size <= before.begin):
        if not _is_recorded(storage, mark.head, line=mark.line, size=mark.size):
            ledger.close()
            raise RolledBackError(mark.head.seq)
        if mark.file == storage.identity_at(mark.line):
            return ledger
        log("audit file moved")
    if mark.head != GENESIS:
        ledger.close()
        remove_replay_ledger(path)
        ledger = ReplayLedger(path)
    if before.pruned is not None:
        ledger.begin_after(before.pruned)
    return ledger


def follow(storage: TrailStorage, ledger: ReplayLedger) -> bytes:
    """Verify and apply the lines after the mark; return what follows the last line feed. Sets `storage.size`.

    Raises ChainError with the number of the line, OSError or sqlite3.Error.
    """
    first, began, reported = ledger.mark.head.seq, time.monotonic(), time.monotonic()
    storage.size = ledger.mark.size
    torn, pruned = b"", storage.before.pruned
    awaited = pruned is not None and ledger.mark.head == pruned.head
    for number, (file, line) in enumerate(storage.lines(storage.size), first + 1):
        if file == storage.identity and not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
            torn = line
            break
        _, record = verify_next(line, head=ledger.mark.head, number=number)
        if pruned is not None:
            awaited = pruned.awaited(record, before=awaited)
        if not in_order(record.event, ledger) and not (pruned and _is_of_pruned(record.event, ledger)):
            raise ChainError(line=number, field="event", detail="out of order for its job, or not of this tree")
        ledger.apply(record, line, line=storage.size, file=file, group=_GROUP)
        storage.size += len(line)
        if number % _REPORT_LINES == 0 and time.monotonic() - reported > _REPORT_S:
            reported = time.monotonic()
            log("reading audit trail", rows=number - first, seconds=int(reported - began))
    if pruned is not None and awaited:
        raise pruned.unrecorded()
    _require_end(storage, ledger.mark.head)
    ledger.commit()
    return torn


_BEFORE: Final[Mapping[type[Event], frozenset[JobState]]] = {
    JobAdmitted: frozenset((JobState.ENDED, JobState.IN_PARTS)),
    TaskAdmitted: frozenset((JobState.ENDED, JobState.IN_PARTS)),
    JobCompleted: frozenset((JobState.ADMITTED,)),
    JobEnded: frozenset((JobState.ADMITTED,)),
    AttemptSuperseded: frozenset((JobState.COMPLETED,)),
}
"""The states of a known job in which each event about it may follow."""


def _require_end(storage: TrailStorage, head: Head) -> None:
    """Raise ChainError unless the last segment ends where its name says, so that the next one gets the right name."""
    before = storage.before
    if not before.segments:
        return
    found = head.seq if not storage.current_bytes else read(storage.read(before.end), number=before.last + 1).seq - 1
    if found != before.last:
        detail = f"{before.segments[-1].path.name} does not end with line {before.last}"
        raise ChainError(line=before.last, field="segment", detail=detail)


def in_order(event: Event, ledger: ReplayLedger) -> bool:
    """Whether the event fits the state of its job, a checkpoint the lines before it, and a trail's start no line."""
    if isinstance(event, TrailStarted):
        return ledger.mark.head == GENESIS
    if isinstance(event, TrailCheckpoint):
        return _is_of(event, ledger.mark.tree)
    if not isinstance(event, JobAdmitted | TaskAdmitted | JobCompleted | JobEnded | AttemptSuperseded):
        return True
    known, header_sha384 = ledger.entry(hex_decode(event.job_id)), hex_decode(event.header_sha384)
    if known is None:
        return isinstance(event, JobAdmitted | TaskAdmitted)
    return known.state in _BEFORE[type(event)] and known.header_sha384 == header_sha384


def _is_of_pruned(event: Event, ledger: ReplayLedger) -> bool:
    """Whether it is about a job of which the ledger has no line, because they were pruned."""
    return isinstance(event, AttemptSuperseded) and ledger.entry(hex_decode(event.job_id)) is None


def _is_of(event: TrailCheckpoint, tree: Frontier) -> bool:
    try:
        found = parse_checkpoint(event.note.encode())
    except CheckpointError:
        return False
    return (found.size, found.root) == (tree.size, tree.root())


def record_rollback(storage: TrailStorage, error: RolledBackError, *, time: str, worker: str) -> None:
    """Append `TrailRefused`, if the trail is a chain of whole lines. Raises ChainError or OSError."""
    head, storage.size = storage.before.head, storage.before.begin
    for _, line in storage.lines(storage.size):
        head, _ = verify_next(line, head=head, number=head.seq + 1)
        storage.size += len(line)
    refused = TrailRefused(compared_with="ledger", expected=error.expected, found=head.seq)
    for event in [new_trail(), refused] if head == GENESIS else [refused]:
        head, line = append_record(event, head=head, time=time, worker=worker)
        storage.append(line)


def new_trail() -> TrailStarted:
    """The first line of a trail that is like no other."""
    return TrailStarted(nonce=secrets.token_hex(32))


def recovered(cut: bytes) -> TailRecovered:
    """The event that records bytes which were cut off."""
    return TailRecovered(cut_bytes=len(cut), cut_sha384=hashlib.sha384(cut).hexdigest())


def explained(error: Exception, ledger: Path) -> StartupError:
    """The StartupError for a fault of the trail or its ledger."""
    match error:
        case StartupError():
            return error
        case ChainError():
            what = f"The audit trail is broken: {error}"
            remedy = "Investigate who changed the trail. Keep it, and configure a new file."
        case RolledBackError():
            what = f"The audit trail was rolled back or changed: its replay ledger has another line {error.expected}"
            remedy = "Restore the newest trail. If it is lost, investigate, then run `cji audit resume`."
        case TrailChangedError():
            what = "The audit trail was replaced or changed while the worker was running"
            remedy = "Investigate who changed the trail, and restore it. Then start the worker again."
        case ReplayLedgerDamagedError():
            what = f"The replay ledger {ledger.name} of the audit trail is damaged"
            remedy = f"Move {ledger.name} and {ledger.name}-wal away: the worker builds it again from the trail."
        case sqlite3.Error():
            what = f"The replay ledger {ledger.name} cannot be opened or written: {error.sqlite_errorname}"
            remedy = "Give the worker's user its folder, free space there, and stop every other process that uses it."
        case BlockingIOError():
            what = "The audit trail is in use by another process, which the worker is while it runs"
            remedy = "Stop the worker, and stop every other worker that uses this file."
        case OSError(errno=number):
            what = f"The audit file cannot be opened or written: {errno.errorcode.get(number or 0, 'unknown')}"
            remedy = "Correct audit_file or its permissions, and stop every other worker that uses it."
        case _:
            what = f"The audit trail cannot be continued: {type(error).__name__}"
            remedy = "Run `cji audit verify`."
    return StartupError(what, remedy, reason=Reason.AUDIT_UNAVAILABLE)


def cause_of(error: Exception) -> Exception:
    """The cause of a Refusal, or the error itself."""
    return error.__cause__ if isinstance(error, Refusal) and isinstance(error.__cause__, Exception) else error


def lacks_room(error: Exception) -> bool:
    """Whether the disk, the quota or the permitted size of a file is used up, which may pass."""
    return (isinstance(error, OSError) and error.errno in _NO_ROOM) or (
        isinstance(error, sqlite3.Error) and is_full(error)
    )


def _is_recorded(storage: TrailStorage, head: Head, *, line: int, size: int) -> bool:
    """Whether the line from offset `line` to `size` is the head of the chain."""
    data = storage.read(line)
    try:
        record = read(data)
    except ChainError:
        return False
    return (record.seq, record.hash, line + len(data)) == (head.seq, head.hash, size)
