"""The jobs in an open trail: found in its replay ledger, and read from its lines."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TypeVar

from cji_core.errors import Reason, Refusal, Stage
from cji_core.trail.chain import ChainError, read
from cji_core.trail.events import Event, JobAdmitted, JobCompleted
from cji_core.trail.worker_events import TrailAnchored
from cji_worker.trail.ledger import JobEntry, JobState, Ledger
from cji_worker.trail.storage import TrailStorage

T = TypeVar("T")
E = TypeVar("E", bound=Event)


class JobLookups:
    """The lookups of an open trail; a fault of its ledger makes the trail unavailable."""

    _storage: TrailStorage
    _ledger: Ledger

    def unfinished(self) -> tuple[JobAdmitted, ...]:
        """Admissions without an end. After a start, a crash cut these jobs short: append a `JobEnded` for each."""
        lines = self._looked_up(self._ledger.unfinished, Stage.START)
        return tuple(self._event_at(line, JobAdmitted) for line in lines)

    def entry(self, job_id: bytes) -> JobEntry | None:
        """The ledger's entry of one admitted job. Raises Refusal(AUDIT_UNAVAILABLE)."""
        return self._looked_up(lambda: self._ledger.entry(job_id), Stage.ADMIT)

    def admitted(self, *, day: date, submitter: str, ori: str) -> int:
        """Admissions of this submitter and requesting agency on a UTC day. Raises Refusal(AUDIT_UNAVAILABLE)."""
        time = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        return self._looked_up(lambda: self._ledger.admitted(time=time, submitter=submitter, ori=ori), Stage.ADMIT)

    def completion(self, job_id: bytes) -> JobCompleted | None:
        """The event with the job's receipt, if the job completed. Raises Refusal(AUDIT_UNAVAILABLE)."""
        entry = self._looked_up(lambda: self._ledger.entry(job_id), Stage.RECEIPT)
        if entry is None or entry.state is not JobState.COMPLETED:
            return None
        return self._event_at(entry.line, JobCompleted)

    def last_completion(self) -> JobCompleted | None:
        """The event with the latest receipt; the next receipt names its digest. Raises Refusal(AUDIT_UNAVAILABLE)."""
        line = self._ledger.mark.receipt
        return None if line is None else self._event_at(line, JobCompleted)

    def last_anchor(self) -> int | None:
        """The latest anchor's counter. Raises Refusal(AUDIT_UNAVAILABLE)."""
        line = self._ledger.mark.anchor
        return None if line is None else self._event_at(line, TrailAnchored).counter

    def _fail(self, error: Exception) -> None:
        """Make the trail unavailable."""
        raise NotImplementedError

    def _looked_up(self, look: Callable[[], T], stage: Stage) -> T:
        try:
            return look()
        except sqlite3.Error as error:
            self._fail(error)
            raise unavailable(stage) from error

    def _event_at(self, line: int, kind: type[E]) -> E:
        try:
            event = read(self._storage.read(line)).event
        except (OSError, ChainError) as error:
            raise unavailable(Stage.RECEIPT) from error
        if not isinstance(event, kind):
            raise unavailable(Stage.RECEIPT)
        return event


def unavailable(stage: Stage) -> Refusal:
    """The refusal of whatever needs the trail."""
    return Refusal(Reason.AUDIT_UNAVAILABLE, stage=stage)
