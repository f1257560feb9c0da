"""The durable audit trail of one worker: an append-only file of chained lines, with an index by job.

Contract and invariants
* `append` returns after the line is on disk (write, fsync). Until then its content must not be disclosed.
* Any failure to write is Refusal(AUDIT_UNAVAILABLE) and final: this object never writes again, because the content of
  the disk is unknown after a failed fsync. A restart reopens the file and reads its actual content.
* There is one writer: the file is locked (flock) while it is open, and it is never a symbolic link.
* At start the whole chain is verified line by line, and the index is rebuilt. A last line without its line feed was
  never acknowledged; it is cut off, and the cut is recorded. Any other fault is AUDIT_UNAVAILABLE: somebody changed
  the file, and a person must investigate.
* A job is admitted, then completed or ended, and completed only once. An event that breaks this order is not written.
* Memory holds, per job, its header digest, its state and the offsets of its lines. Lines are read on demand.

Not thread-safe.
"""

import enum
import errno
import fcntl
import hashlib
import os
import stat
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from worker.audit.chain import GENESIS, MAX_LINE_BYTES, ChainError, Head, Record, append_record, read, verify_next
from worker.audit.events import (
    Event,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    TailRecovered,
    utc_hundredths,
)
from worker.errors import Reason, Refusal, Stage

MIB: Final = 1024 * 1024
# Room that must be left for a job to be admitted: its own lines and those of every job that already runs.
RESERVE_BYTES: Final = 16 * MIB


class JobState(enum.Enum):
    """State of the last attempt of an admitted job."""

    ADMITTED = "admitted"  # no end recorded: running, or its process died
    ENDED = "ended"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """The index entry of one admitted job; `offset` is the start of the line that records `state`."""

    state: JobState
    header_sha384: bytes
    offset: int


class AuditFile:
    """An open audit trail. Close it with `close`, or use it as a context manager."""

    def __init__(self, path: Path, *, worker: str, clock: Callable[[], datetime]) -> None:
        """Open, lock, verify and index the file at `path`; create it (mode 0600) if it does not exist.

        `worker` names this machine in every line, `clock` returns aware times. Raises Refusal(AUDIT_UNAVAILABLE); the
        cause is an OSError, or a ChainError that names the line.
        """
        self._path = path
        self._worker = worker
        self._clock = clock
        self._failed = False
        self._head = GENESIS
        self._size = 0
        self._jobs: dict[bytes, JobEntry] = {}
        self._lines: dict[bytes, array[int]] = {}
        self._last_receipt: int | None = None
        self._fd = -1
        try:
            self._fd = _open_locked(path)
            torn = self._read_all()
            if torn:
                os.ftruncate(self._fd, self._size)
                os.fsync(self._fd)
                self.append(TailRecovered(cut_bytes=len(torn), cut_sha384=hashlib.sha384(torn).hexdigest()))
        except (OSError, ChainError, ValueError, Refusal) as error:
            self.close()
            raise _unavailable(Stage.START) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def head(self) -> Head:
        """The last line's number and hash."""
        return self._head

    def append(self, event: Event) -> Record:
        """Append `event` durably and return its record.

        Raises Refusal(AUDIT_UNAVAILABLE) if it could not be made durable (final). Raises ValueError if a field of the
        event does not fit its type, or if the event does not fit the job's state; then nothing was written and the file
        stays usable.
        """
        if self._failed or self._fd < 0:
            raise _unavailable(Stage.COMMIT)
        if not self._in_order(event):
            raise ValueError("event out of order")
        head, line = append_record(event, head=self._head, time=utc_hundredths(self._clock()), worker=self._worker)
        try:
            self._check_identity()
            _write_all(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            self._failed = True
            with suppress(OSError):  # best effort: what stays behind is a torn line to the next start
                os.ftruncate(self._fd, self._size)
            raise _unavailable(Stage.COMMIT) from error
        record = read(line)
        self._take(head, record, len(line))
        return record

    def writable(self) -> bool:
        """Whether a job may start: no write failed, the path still names this file, and the disk has space.

        A full disk may recover; any other fault is final.
        """
        if self._failed or self._fd < 0:
            return False
        try:
            self._check_identity()
            room = os.fstatvfs(self._fd)
        except OSError:
            self._failed = True
            return False
        return room.f_bavail * room.f_frsize >= RESERVE_BYTES

    def unfinished(self) -> tuple[bytes, ...]:
        """Job ids whose last attempt has not ended. After a start, a crash cut them short: append a `JobEnded` each."""
        return tuple(job_id for job_id, entry in self._jobs.items() if entry.state is JobState.ADMITTED)

    def entry(self, job_id: bytes) -> JobEntry | None:
        """The index entry of one admitted job."""
        return self._jobs.get(job_id)

    def events_for(self, job_id: bytes) -> Iterator[Record]:
        """The records of one job, including refusals, in the order written. Raises Refusal(AUDIT_UNAVAILABLE)."""
        return (self._record_at(offset) for offset in self._lines.get(job_id, ()))

    def completion(self, job_id: bytes) -> JobCompleted | None:
        """The event with the job's receipt, if the job completed. Raises Refusal(AUDIT_UNAVAILABLE)."""
        entry = self._jobs.get(job_id)
        if entry is None or entry.state is not JobState.COMPLETED:
            return None
        return self._completion_at(entry.offset)

    def last_completion(self) -> JobCompleted | None:
        """The event with the latest receipt; the next receipt names its digest. Raises Refusal(AUDIT_UNAVAILABLE)."""
        return None if self._last_receipt is None else self._completion_at(self._last_receipt)

    def close(self) -> None:
        """Close the file and release the lock. Closing twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_all(self) -> bytes:
        """Verify and index every whole line; return what follows the last line feed."""
        with open(self._fd, "rb", buffering=MIB, closefd=False) as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                    return line
                head, record = verify_next(line, head=self._head, number=number)
                if not self._in_order(record.event):
                    raise ChainError(line=number, field="event", detail="out of order for its job")
                self._take(head, record, len(line))
        return b""

    def _in_order(self, event: Event) -> bool:
        match event:
            case JobAdmitted():
                known = self._jobs.get(bytes.fromhex(event.job_id))
                return known is None or (
                    known.state is JobState.ENDED and known.header_sha384.hex() == event.header_sha384
                )
            case JobCompleted() | JobEnded():
                known = self._jobs.get(bytes.fromhex(event.job_id))
                return (
                    known is not None
                    and known.state is JobState.ADMITTED
                    and known.header_sha384.hex() == event.header_sha384
                )
            case _:
                return True

    def _take(self, head: Head, record: Record, length: int) -> None:
        """Index a line that is on disk at the end of the file."""
        offset, event = self._size, record.event
        self._head = head
        self._size += length
        if not isinstance(event, JobAdmitted | JobRefused | JobCompleted | JobEnded) or event.job_id is None:
            return
        job_id = bytes.fromhex(event.job_id)
        self._lines.setdefault(job_id, array("Q")).append(offset)
        if isinstance(event, JobRefused):
            return  # a refused repetition changes nothing of what the job already is
        self._jobs[job_id] = JobEntry(
            state=_STATES[type(event)], header_sha384=bytes.fromhex(event.header_sha384), offset=offset
        )
        if isinstance(event, JobCompleted):
            self._last_receipt = offset

    def _record_at(self, offset: int) -> Record:
        try:
            line, end, _ = os.pread(self._fd, MAX_LINE_BYTES, offset).partition(b"\n")
            return read(line + end)
        except (OSError, ChainError) as error:
            raise _unavailable(Stage.RECEIPT) from error

    def _completion_at(self, offset: int) -> JobCompleted:
        event = self._record_at(offset).event
        if not isinstance(event, JobCompleted):
            raise _unavailable(Stage.RECEIPT)
        return event

    def _check_identity(self) -> None:
        """Raise OSError unless the path still names this file, with the length that we left."""
        ours, theirs = os.fstat(self._fd), os.stat(self._path, follow_symlinks=False)
        if (ours.st_dev, ours.st_ino, ours.st_size) != (theirs.st_dev, theirs.st_ino, self._size):
            raise OSError(errno.ESTALE, "the audit file was replaced or changed")


_STATES: Final = {
    JobAdmitted: JobState.ADMITTED,
    JobCompleted: JobState.COMPLETED,
    JobEnded: JobState.ENDED,
}


def _unavailable(stage: Stage) -> Refusal:
    return Refusal(Reason.AUDIT_UNAVAILABLE, stage=stage)


def _open_locked(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(errno.EPERM, "the audit file must be a regular file that only its owner can write")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sync_folder(path.parent)  # a file that was just created must survive too
    except OSError:
        os.close(fd)
        raise
    return fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
