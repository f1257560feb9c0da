"""The status of a job by reference, as its blobs show it: hints for people, which no result depends on.

A receipt or a failure receipt beside the results is the end of the job: neither leaves a worker before it is the end in
the pool's ledger, and `fetch` verifies it. Nothing else is final. That the submitter asked for an end, or that the time
of the header is over, says nothing about an attempt that may have finished meanwhile.
"""

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cji_client.release import Release
from cji_core.errors import Refusal
from cji_core.format.job import parse
from cji_core.pool import names
from cji_core.pool.documents import PROGRESS_BYTES, SUBMISSION_BYTES, DocumentError, Progress, decode, decode_submission
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError

if TYPE_CHECKING:
    from cji_core.pool.store import Blobs

_GRACE: Final = timedelta(minutes=5)
"""An attempt that begins in a job's last second has this time to show its first progress."""


class State(enum.StrEnum):
    """The state of a job."""

    ABSENT = "absent"
    """No header: it was not submitted, or was deleted."""
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLING = "cancelling"
    """The submitter asked for an end; a failure receipt comes, or the receipt of an attempt that had finished."""
    OVERDUE = "overdue"
    """No attempt was seen before the header's time was over, and there is no end yet."""
    LOST = "lost"
    """Of a job that went to a worker directly: its call ended, and whether the worker released a result is unknown."""

    @property
    def final(self) -> bool:
        """Whether there is nothing to wait for."""
        return self in {State.DONE, State.FAILED, State.LOST}

    @property
    def outcome(self) -> Release:
        """Whether a result was released."""
        return _OUTCOMES.get(self, Release.UNKNOWN)


_OUTCOMES: Final = {State.DONE: Release.RELEASED, State.FAILED: Release.NOT_RELEASED}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """The state of a job; the other members are of its latest attempt, None before it."""

    job_id: bytes
    state: State
    attempt: str | None = None
    stage: str | None = None
    per_cent: int | None = None
    at: str | None = None


def look(job_id: bytes, *, jobs: "Blobs", results: "Blobs") -> JobStatus:
    """The status of a job now. Raises StoreError."""
    job = job_id.hex()
    progress = _progress(results, job)
    attempt = {} if progress is None else {
        "attempt": progress.attempt, "stage": progress.stage, "per_cent": progress.per_cent, "at": progress.at,
    }  # fmt: skip

    def status(state: State) -> JobStatus:
        return JobStatus(job_id=job_id, state=state, **attempt)  # type: ignore[arg-type]  # of a Progress

    if results.exists(names.receipt(job)):
        return status(State.DONE)
    if results.exists(names.failure(job)):
        return status(State.FAILED)
    if jobs.exists(names.cancel(job)):
        return status(State.CANCELLING)
    expires = _not_after(jobs, job)
    if expires is None:
        return status(State.ABSENT)
    if progress is not None:
        return status(State.RUNNING)
    return status(State.QUEUED if datetime.now(UTC) < expires + _GRACE else State.OVERDUE)


def _progress(results: "Blobs", job: str) -> Progress | None:
    try:
        return decode(results.read(names.progress(job), most=PROGRESS_BYTES), Progress)
    except (BlobAbsentError, BlobChangedError, BlobTooLargeError, DocumentError):  # it is replaced all the time
        return None


def _not_after(jobs: "Blobs", job: str) -> datetime | None:
    """The end of the job's time, by the header that lies there."""
    try:
        return parse(decode_submission(jobs.read(names.header(job), most=SUBMISSION_BYTES)).header).not_after
    except (BlobAbsentError, BlobChangedError, BlobTooLargeError, DocumentError, Refusal):
        return None
