"""The durable audit trail of one worker: a file of chained lines, and the replay ledger that indexes its jobs.

Contract and invariants
* `append` returns after the line is on disk. Until then its content must not be disclosed.
* `enter` lets a line wait for a group, which one sync makes durable, and calls its owner back then. While a thread
  syncs a group, the next one gathers. What `append` writes, or what reads the trail, ends the wait of all (`settle`).
* Nothing here counts a line that waits: head, ledger and tree are those of the lines on disk. Only the order of a job's
  events, the number of its submitter's jobs and the sequence of receipts include those that wait.
* A failed write or sync makes the trail unavailable, for every line of its group and every later event. `maintain`,
  called every second, reads the file again from the disk once there is room, requires exactly what was acknowledged,
  and appends a line. If it finds anything else, or fails too often, it raises a StartupError: the worker must end.
* At start, the line at the ledger's mark must still be the one that was recorded, and every line after it is verified
  and applied. Lines before it were verified when they were applied; `cji audit verify` reads them all again. A missing
  ledger is built from the whole trail.
* A last line without its line feed was never acknowledged; it is cut off, and the cut is recorded. Any other fault is
  AUDIT_UNAVAILABLE: somebody changed the file, and a person must investigate.
* `begin` makes `TrailStarted` the first line of a new trail; its hash is the trail's identity. It stands nowhere else.
* A job is admitted, then completed or ended, and completed only once. An event that breaks this order is not written.
* After a checkpoint, a file that is large enough is closed as a segment, and a new one continues it (`rotate`).
* Memory does not grow with the trail.

Not thread-safe.
"""

import queue
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from cji_core.errors import Reason, Refusal, Stage
from cji_core.log import log
from cji_core.strict import hex_decode
from cji_core.trail.chain import GENESIS, ChainError, Head, Record, append_record, read
from cji_core.trail.compact import ReceiptError
from cji_core.trail.events import Event, JobAdmitted, JobCompleted
from cji_core.trail.fields import unix_seconds, utc_hundredths
from cji_core.trail.merkle import Frontier
from cji_core.trail.pruned import Pruned
from cji_core.trail.short_receipts import Stated, whole
from cji_core.trail.task_events import TaskAdmitted
from cji_core.trail.worker_events import TrailAnchored, TrailCheckpoint, TrailStarted
from cji_worker.trail.opening import (
    RolledBackError,
    cause_of,
    explained,
    follow,
    in_order,
    lacks_room,
    new_trail,
    open_replay_ledger,
    record_rollback,
    recovered,
)
from cji_worker.trail.replay_ledger import (
    DAY_S,
    JobEntry,
    JobState,
    ReplayLedger,
    ReplayLedgerDamagedError,
    is_damage,
    remove_replay_ledger,
)
from cji_worker.trail.storage import MIB, TrailChangedError, TrailStorage, has_room
from cji_worker.trail.waiting import Line, SyncThread, Then, Waiting

# Room that must be left for a job to be admitted: its own lines and those of every job that already runs.
RESERVE_BYTES: Final = 16 * MIB
SEGMENT_BYTES: Final = 256 * MIB
ATTEMPTS: Final = 5
"""Recoveries in a row that may fail for another reason than a full disk."""
MAX_OWED: Final = 1024

_FAULTS: Final = (OSError, sqlite3.Error, ChainError, ReplayLedgerDamagedError, RolledBackError, TrailChangedError)
T = TypeVar("T")
E = TypeVar("E", bound=Event)


class AuditFile:
    """An open audit trail. Close it with `close`, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        *,
        worker: str,
        clock: Callable[[], datetime],
        ledger: Path | None = None,
        rebuild: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Open the trail at `path` and its replay ledger; create them if they do not exist, the trail with mode 0640.

        `worker` names this machine in every line, `clock` returns aware times. The ledger is beside the trail by
        default; `rebuild` discards it. A file of `segment_bytes` or more is closed after a checkpoint. Raises
        StartupError with the Reason AUDIT_UNAVAILABLE.
        """
        self._path, self._ledger_path = path, ledger or path.with_name(f"{path.name}.ledger")
        self._worker, self._clock, self._segment_bytes = worker, clock, segment_bytes
        self._closed = False
        self._fault: Exception | None = None
        self._attempts = 0
        self._rotates = True
        self._owed: deque[Event] = deque()
        self._base: tuple[int, Stated] | None = None
        """A whole receipt that was read, by the offset of its line."""
        self._waiting = Waiting()
        self._thread: SyncThread | None = None
        self._wake: Callable[[], object] = lambda: None
        self._alone: Callable[[], bool] = lambda: False
        self._completed: JobCompleted | None = None
        self._head, self._line = GENESIS, 0
        self.began = False
        """Whether this process wrote the first line."""
        try:
            self._storage = TrailStorage(path)
        except (OSError, ChainError) as error:
            raise explained(error, self._ledger_path) from error
        try:
            if rebuild:
                remove_replay_ledger(self._ledger_path)
            self._ledger = self._open_ledger()
            torn = self._follow()
            if torn:
                self._storage.cut()
                if self._head != GENESIS:  # else there is nothing that it could follow
                    self.append(recovered(torn))
        except (*_FAULTS, Refusal) as error:
            self._storage.close()
            raise explained(cause_of(error), self._ledger_path) from cause_of(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> None:
        """Write the first line of a trail that has none.

        Raises StartupError with the Reason AUDIT_UNAVAILABLE, also for a trail whose first line is another event.
        """
        try:
            if self._head == GENESIS:
                self.append(new_trail())
                self.began = True
            self._storage.identity_of_trail()
        except (*_FAULTS, Refusal) as error:
            raise explained(cause_of(error), self._ledger_path) from cause_of(error)

    @property
    def identity(self) -> str:
        """The hash of the first line, pruned or not. No other trail has it. Raises OSError or ChainError."""
        return self._storage.identity_of_trail()

    @property
    def head(self) -> Head:
        """The last line's number and hash."""
        return self._head

    @property
    def floor(self) -> int:
        """Unix seconds: job ids of headers created until then may be unknown, so they are not accepted."""
        return self._ledger.mark.floor

    @property
    def resumed(self) -> bool:
        """Whether an operator resumed the trail and no attestation followed, so that the floor is not known yet."""
        return self._ledger.mark.resumed

    @property
    def policy_serial(self) -> int:
        """The highest serial of a policy that was in force: no lower one may follow."""
        return self._ledger.mark.policy_serial

    @property
    def anchored(self) -> bool:
        """Whether the last line is an anchor."""
        return self._ledger.mark.anchor == self._line

    @property
    def tree(self) -> Frontier:
        """The right edge of the Merkle tree of all lines, once none waits; it grows with the trail."""
        self.settle()
        return self._ledger.mark.tree

    @property
    def uncovered(self) -> bool:
        """Whether lines other than anchors follow the last checkpoint."""
        return self._ledger.mark.uncovered

    def unfinished(self) -> tuple[JobAdmitted, ...]:
        """Admissions without an end. After a start, a crash cut these jobs short: append a `JobEnded` for each."""
        lines = self._looked_up(self._ledger.unfinished, Stage.START)
        return tuple(self._event_at(line, JobAdmitted) for line in lines)

    def entry(self, job_id: bytes) -> JobEntry | None:
        """The ledger's entry of one admitted job. Raises Refusal(AUDIT_UNAVAILABLE)."""
        return self._entry(job_id, Stage.ADMIT)

    def admitted(self, *, day: date, submitter: str, ori: str) -> int:
        """Admissions of this submitter and requesting agency on a UTC day. Raises Refusal(AUDIT_UNAVAILABLE)."""
        time = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        on_disk = self._looked_up(lambda: self._ledger.admitted(time=time, submitter=submitter, ori=ori), Stage.ADMIT)
        return on_disk + self._waiting.counted(time // DAY_S, submitter, ori)

    def completion(self, job_id: bytes) -> JobCompleted | None:
        """The event with the job's receipt, if the job completed. Raises Refusal(AUDIT_UNAVAILABLE)."""
        entry = self._entry(job_id, Stage.RECEIPT)
        if entry is None or entry.state is not JobState.COMPLETED:
            return None
        return self._completion_at(entry.line, entry.admission, entry.base)

    def last_completions(self, most: int) -> tuple[JobCompleted, ...]:
        """The events of the last receipts that were not superseded. Raises Refusal(AUDIT_UNAVAILABLE)."""
        lines = self._looked_up(lambda: self._ledger.last_completions(most), Stage.START)
        return tuple(self._completion_at(*each) for each in lines)

    def last_completion(self) -> JobCompleted | None:
        """The event with the latest receipt, which may wait; the next receipt names its digest.

        Raises Refusal(AUDIT_UNAVAILABLE).
        """
        mark = self._ledger.mark
        if self._completed is None and mark.receipt is not None:
            self._completed = self._completion_at(mark.receipt, mark.admission, mark.base)
        return self._waiting.completion() or self._completed

    def base(self, job_id: bytes) -> Stated | None:
        """The last whole receipt, which that of this job may be like.

        None if it or the job's admission is in a segment: no receipt needs lines that are pruned before it. Raises
        Refusal(AUDIT_UNAVAILABLE).
        """
        if self._waiting.has_whole_receipt:
            self.settle()
        line, known = self._ledger.mark.base, self._entry(job_id, Stage.COMMIT)
        if line is None or known is None or known.admission is None:
            return None
        return None if min(line, known.admission) < self._storage.before.end else self._base_at(line)

    def last_anchor(self) -> int | None:
        """The latest anchor's counter. Raises Refusal(AUDIT_UNAVAILABLE)."""
        line = self._ledger.mark.anchor
        return None if line is None else self._event_at(line, TrailAnchored).counter

    def append(self, event: Event) -> Record:
        """Append `event` durably and return its record; with it every line that waits.

        Raises Refusal(AUDIT_UNAVAILABLE) if it could not be made durable. Raises ValueError if a field of the event
        does not fit its type, or the event the job's state or the lines so far; then nothing was written.
        """
        line = self._add(event, None)
        self.settle()
        if not line.on_disk:
            raise _unavailable(Stage.COMMIT) from self._fault
        return line.record

    def enter(self, event: Event, then: Then, *, whole: JobCompleted | None = None) -> Line:
        """Append `event` with the next group. `deliver` calls `then` once it is on disk, or lost.

        `whole` is the event with its whole receipt, where the line has a short one. Raises as `append` does; then
        nothing waits, and `then` is not called.
        """
        line = self._add(event, then, whole)
        self._begin_group()
        return line

    def attach(
        self,
        wake: Callable[[], object],
        wake_from_thread: Callable[[], object],
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Let a thread sync. Both are called when `follow` has something to do.

        `wake` after a fault, `wake_from_thread` by that thread after each group, also one that `settle` decided.
        While `alone` is true, no other job's line can gather, so a line is synced at once: a thread costs two wake-ups.
        """
        self._wake, self._thread, self._alone = wake, SyncThread(wake_from_thread), alone
        self._begin_group()

    def follow(self) -> None:
        """Go on after a wake: decide the group that was synced, begin the next one, and call who waited."""
        self._end_group(wait=False)
        self._begin_group()
        self._waiting.deliver()

    def settle(self) -> None:
        """Decide every line that waits without calling anybody; `deliver` does. A fault makes the trail unavailable."""
        self._end_group(wait=True)
        while self._fault is None and self._waiting.gathered:
            try:
                self._storage.append(b"".join(line.data for line in self._waiting.take()))
            except OSError as error:
                self._lose_group(error)
            else:
                self._count_group()

    def deliver(self) -> None:
        """Call what waited for the lines that were decided. Not in the middle of a job's step."""
        self._waiting.deliver()

    def record(self, event: Event) -> bool:
        """Append `event`, or keep it until the trail is available again; return whether it is on disk."""
        try:
            self.append(event)
        except Refusal:
            if len(self._owed) < MAX_OWED:
                self._owed.append(event)
            else:
                log("audit event lost")
            return False
        return True

    def rotate(self) -> None:
        """Close the current file as a segment, if it is large enough and ends with a checkpoint."""
        self.settle()
        if self._closed or self._fault is not None or self.uncovered:
            return
        if self._storage.current_bytes < self._segment_bytes:
            return
        try:
            name = self._storage.rotate(self._head.seq)
        except (OSError, ChainError) as error:
            self._fail(error)
            return
        if name is not None:
            log("audit trail rotated", what=name.name)
        elif self._rotates:
            log("audit trail not rotated")  # each later checkpoint tries again
        self._rotates = name is not None

    def prune(self, pruned: Pruned) -> None:
        """Put this in place of the lines that it is about, once a `TrailPruned` records it. For a stopped worker.

        Raises OSError, ChainError or sqlite3.Error. The same again finishes what a crash cut short.
        """
        self._storage.prune(pruned)
        self._ledger.forget(pruned)

    def remove_pruned(self) -> list[str]:
        """Remove segments that a crash left after their lines were pruned; return their names. Raises OSError."""
        return self._storage.remove_pruned()

    def writable(self) -> bool:
        """Whether a job may start: no write failed, the path still names this file, and the disk has space."""
        if self._closed or self._fault is not None:
            return False
        try:
            return self._storage.room() >= RESERVE_BYTES
        except OSError as error:
            self._fail(error)
            return False

    def maintain(self) -> None:
        """Commit the ledger; after a failure, try to continue. Call it every second. StartupError if it cannot."""
        if self._closed:
            return
        self.settle()
        if self._fault is None:
            try:
                self._ledger.commit()
            except sqlite3.Error as error:
                self._fail(error)
        elif isinstance(self._fault, sqlite3.Error) and is_damage(self._fault):
            raise explained(ReplayLedgerDamagedError(), self._ledger_path) from self._fault
        elif has_room(self._path.parent, RESERVE_BYTES):
            self._recover()

    def close(self) -> None:
        """Sync what waits, commit the ledger, close both files and release the lock. Closing twice is allowed."""
        if self._closed:
            return
        self.settle()
        self._closed = True
        if self._thread is not None:
            self._thread.end()
        if self._fault is None:  # else a line may be applied in part; the next start applies what is missing
            with suppress(sqlite3.Error):
                self._ledger.commit()
        self._ledger.close()
        self._storage.close()

    def _open_ledger(self) -> ReplayLedger:
        try:
            return open_replay_ledger(self._ledger_path, self._storage)
        except RolledBackError as error:
            record_rollback(self._storage, error, time=utc_hundredths(self._clock()), worker=self._worker)
            raise

    def _follow(self) -> bytes:
        torn = follow(self._storage, self._ledger)
        self._head, self._line = self._ledger.mark.head, self._ledger.mark.line
        return torn

    def _recover(self) -> None:
        try:
            tail = self._reopen()
            self.append(recovered(tail))
        except (OSError, sqlite3.Error, Refusal) as error:
            self._fault = cause = cause_of(error)
            if not lacks_room(cause):
                self._attempts += 1
            if self._attempts == ATTEMPTS:
                raise explained(cause, self._ledger_path) from cause
            return
        except (ChainError, ReplayLedgerDamagedError, RolledBackError, TrailChangedError) as error:
            raise explained(error, self._ledger_path) from error
        self._attempts = 0
        log("audit recovered", bytes=len(tail))
        owed, self._owed = self._owed, deque()
        for event in owed:
            self.record(event)

    def _reopen(self) -> bytes:
        """Read the disk again: what was acknowledged must be there, and the ledger must lead to it."""
        head, line = self._head, self._line
        tail = self._storage.recover(line)
        self._storage.cut()
        self._ledger.close()
        self._ledger = open_replay_ledger(self._ledger_path, self._storage)
        if self._follow() or (self._head, self._line) != (head, line):
            raise TrailChangedError
        self._fault = None
        return tail

    def _fail(self, error: Exception) -> None:
        log("audit unavailable", error=type(error).__name__)
        self._fault = error
        self._waiting.lose(_unavailable(Stage.COMMIT))
        if self._waiting.undelivered:
            self._wake()

    # ---- lines that wait ----

    def _add(self, event: Event, then: Then | None, whole: JobCompleted | None = None) -> Line:
        """Let a line wait. Of one job only one does; what is about the lines before it waits for none."""
        job_id = getattr(event, "job_id", None)
        if isinstance(event, TrailStarted | TrailCheckpoint) or (job_id and self._waiting.has_job(job_id)):
            self.settle()
        if self._closed or self._fault is not None:
            raise _unavailable(Stage.COMMIT)
        if not self._looked_up(lambda: in_order(event, self._ledger), Stage.COMMIT):
            raise ValueError("event out of order")
        last = self._waiting.last
        head, offset = (self._head, self._storage.size) if last is None else (last.head, last.end)
        _, data = append_record(event, head=head, time=utc_hundredths(self._clock()), worker=self._worker)
        record, counts = read(data), None
        if (
            isinstance(event, JobAdmitted | TaskAdmitted)
            and self._entry(hex_decode(event.job_id), Stage.COMMIT) is None
        ):
            counts = unix_seconds(record.time) // DAY_S, event.submitter, event.requesting_ori
        line = Line(record=record, data=data, offset=offset, then=then, counts=counts, whole=whole or _whole(event))
        self._waiting.add(line)
        return line

    def _begin_group(self) -> None:
        """Have the lines that gathered synced by the thread, unless it is busy."""
        if self._thread is None or self._waiting.group or self._fault is not None or not self._waiting.gathered:
            return
        if self._alone():
            self.settle()
            self._wake()
            return
        lines = self._waiting.take()
        try:
            self._thread.begin(self._storage.write(b"".join(line.data for line in lines)))
        except OSError as error:
            self._lose_group(error)

    def _end_group(self, *, wait: bool) -> None:
        """Decide the group that the thread syncs, once it is done."""
        if self._thread is None or not self._waiting.group:
            return
        try:
            error = self._thread.result(wait=wait)
        except queue.Empty:
            return
        if error is not None:
            self._storage.withdraw()
            self._lose_group(error)
            return
        self._storage.acknowledge()
        self._count_group()

    def _lose_group(self, error: OSError) -> None:
        self._waiting.decide(_unavailable(Stage.COMMIT))
        self._fail(error)

    def _count_group(self) -> None:
        """The group is on disk: it counts, and the ledger follows."""
        error = None
        for line in self._waiting.group:
            self._head, self._line = line.head, line.offset
            if isinstance(line.record.event, JobCompleted):
                self._completed = line.whole
            if error is None:
                error = self._apply(line)
        self._waiting.decide()
        if error is not None:
            self._fail(error)

    def _apply(self, line: Line) -> sqlite3.Error | None:
        try:
            self._ledger.apply(line.record, line.data, line=line.offset, file=self._storage.identity)
        except sqlite3.Error as error:  # the line is on disk, so it counts; `maintain` makes the ledger follow
            return error
        return None

    def _entry(self, job_id: bytes, stage: Stage) -> JobEntry | None:
        if self._waiting.has_job(job_id.hex()):
            self.settle()
        return self._looked_up(lambda: self._ledger.entry(job_id), stage)

    def _looked_up(self, look: Callable[[], T], stage: Stage) -> T:
        try:
            return look()
        except sqlite3.Error as error:
            self._fail(error)
            raise _unavailable(stage) from error

    def _completion_at(self, line: int, admission: int | None, base: int | None) -> JobCompleted:
        """A completion with its receipt as it was signed: a short one together with the lines that say the rest."""
        event = self._event_at(line, JobCompleted)
        if isinstance(event.receipt, str):
            return event
        if admission is None or base is None:
            raise _unavailable(Stage.RECEIPT)
        try:
            found = whole(event, self._event_at(admission, JobAdmitted), self._base_at(base))
        except ReceiptError as error:
            raise _unavailable(Stage.RECEIPT) from error
        return msgspec.structs.replace(event, receipt=found.compact)

    def _base_at(self, line: int) -> Stated:
        if self._base is None or self._base[0] != line:
            event = self._event_at(line, JobCompleted)
            try:
                self._base = line, Stated.of(event.compact)
            except (ReceiptError, ValueError) as error:
                raise _unavailable(Stage.RECEIPT) from error
        return self._base[1]

    def _event_at(self, line: int, kind: type[E]) -> E:
        try:
            event = read(self._storage.read(line)).event
        except (OSError, ChainError) as error:
            raise _unavailable(Stage.RECEIPT) from error
        if not isinstance(event, kind):
            raise _unavailable(Stage.RECEIPT)
        return event


def _whole(event: Event) -> JobCompleted | None:
    """The event, if it has a whole receipt."""
    return event if isinstance(event, JobCompleted) and isinstance(event.receipt, str) else None


def _unavailable(stage: Stage) -> Refusal:
    """The refusal of whatever needs the trail."""
    return Refusal(Reason.AUDIT_UNAVAILABLE, stage=stage)
