"""The attempts that this process has begun and not finished, in files that survive it.

A file is there from before the worker gets the header until after the receipt is published, superseded or refused. So
whatever ends this process, its next start finds every attempt whose receipt may be signed and not published.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from cji_core.digests import Hex32
from cji_core.documents import decode
from cji_core.durable import replace_file
from cji_core.errors import StartupError
from cji_core.pool.ticket import HeaderDigest, JobName, Ticket

_FOLDER: Final = "attempts"
_MAX_BYTES: Final = 1024


class Attempted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attempt, by its name and its ticket."""

    job: JobName
    header_sha384: HeaderDigest
    attempt: Hex32

    @property
    def ticket(self) -> Ticket:
        """Of its job."""
        return Ticket(job=self.job, header_sha384=self.header_sha384)


class Records:
    """The files, one for each job. A task that runs a job, or recovers it, holds it meanwhile."""

    def __init__(self, state: Path, folder: str = _FOLDER) -> None:
        """Make the folder, or remove from it what is not an attempt: it was never acknowledged. Raises StartupError."""
        self._folder = state / folder
        self._held: set[str] = set()
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(mode=0o750, exist_ok=True)
            for path in sorted(self._folder.iterdir()):
                if _read(path) is None:
                    path.unlink()
        except OSError as error:
            raise unwritable(state) from error

    @contextmanager
    def hold(self, job: str) -> Iterator[bool]:
        """Hold a job for one attempt or recovery of this process; False if it is held already."""
        with self._lock:
            mine = job not in self._held
            self._held.add(job)
        try:
            yield mine
        finally:
            if mine:
                with self._lock:
                    self._held.remove(job)

    def begin(self, attempted: Attempted) -> None:
        """Write the file of an attempt in place of an earlier one; it is on disk when this returns. Raises OSError."""
        replace_file(self._folder / attempted.job, msgspec.json.encode(attempted))

    def end(self, job: str) -> None:
        """Remove the file."""
        (self._folder / job).unlink(missing_ok=True)

    def of(self, job: str) -> Attempted | None:
        """The unfinished attempt of this job."""
        return _read(self._folder / job)

    def unfinished(self) -> Iterator[Attempted]:
        """Every attempt with a file. Others may begin and end attempts meanwhile."""
        for path in sorted(self._folder.iterdir()):
            if (found := _read(path)) is not None:
                yield found


def unwritable(state: Path) -> StartupError:
    """The error of a process that cannot write its state folder."""
    return StartupError(
        f"The state folder {state} cannot be written", "Create it and give it to the user of this process."
    )


def _read(path: Path) -> Attempted | None:
    try:
        with path.open("rb") as file:
            found = decode(file.read(_MAX_BYTES), Attempted, limit=_MAX_BYTES)
    except (OSError, ValueError):
        return None
    return found if found.job == path.name else None
