"""The jobs of a day in a pool: a numbered blob for each, created by the worker that first admits the job.

    days/{day}/{caller}/{number}    the job id; numbers begin at 0

`caller` is a digest of submitter and requesting agency, `day` the day in UTC by the ledger's own clock: the `Date` of
its last answer, so that workers whose clocks have two dates count on one day.
A worker that creates a number has seen that the one before it is taken, so numbers have no gaps, and the first free one
is found in about 2 log2(n) steps, with n the numbers that were taken since the last time.

A job takes its number before its first attempt is entered in the pool ledger, so every attempt has counted. If its
worker dies in between, or two workers begin it at the same moment, the job finds its own number as long as it is the
last one that was taken. If others came after it, it takes a second one: a day may have fewer jobs than are
allowed, never more.
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

import msgspec

from cji_core.format.job import Grant
from cji_core.pool.errors import BlobAbsentError, StoreError

_FOLDER_DIGITS: Final = 32
_NUMBER_BYTES: Final = 64
_MOST_ROUNDS: Final = 64
"""Numbers that others take before this worker does; more are a storage that contradicts itself."""


class DayBlobs(Protocol):
    """The part of `cji_core.pool.store.Blobs` that counting needs."""

    def create(self, name: str, data: bytes) -> bool:
        """Create if absent; whether it was."""

    def read(self, name: str, *, most: int) -> bytes:
        """A whole blob. Raises BlobAbsentError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`most` jobs of a submitter for a requesting agency on one day in UTC."""

    submitter: str
    ori: str
    most: int

    @classmethod
    def of(cls, grant: Grant) -> "Allowance":
        """The allowance that the policy gives the caller of a job."""
        return cls(submitter=grant.submitter, ori=grant.requesting_ori, most=grant.jobs_per_day)

    def folder(self, day: date) -> str:
        """The names of its numbers on this day begin with this."""
        caller = hashlib.sha256(msgspec.json.encode((self.submitter, self.ori))).hexdigest()[:_FOLDER_DIGITS]
        return f"days/{day.isoformat()}/{caller}"


class PoolDays:
    """Takes numbers; for one thread. It remembers the last number that it saw, for each caller of one day."""

    def __init__(self) -> None:
        self._day = date.min
        self._known: dict[str, tuple[int, bytes]] = {}

    def take(self, blobs: DayBlobs, allowance: Allowance, day: date, job_id: bytes) -> bool:
        """Whether the job is among those that are allowed: it has a number below `most`. Raises StoreError."""
        if day != self._day:
            self._day, self._known = day, {}
        folder, job = allowance.folder(day), job_id.hex().encode()
        taken, last = self._known.get(folder, (0, b""))
        rounds = 0
        while last != job and taken < allowance.most:
            if (rounds := rounds + 1) > _MOST_ROUNDS:
                raise StoreError("numbers are taken faster than they are asked for")
            if blobs.create(f"{folder}/{taken}", job):
                taken, last = taken + 1, job
            else:
                taken, last = _all_taken(blobs, folder, taken, allowance.most)
        self._known[folder] = taken, last
        return last == job


def _all_taken(blobs: DayBlobs, folder: str, known: int, most: int) -> tuple[int, bytes]:
    """(how many numbers are taken, `most` at most; the job of the last one), if those below `known` are, and it is."""
    last = b""

    def taken(number: int) -> bool:
        nonlocal last
        try:
            last = blobs.read(f"{folder}/{number}", most=_NUMBER_BYTES)
        except BlobAbsentError:
            return False
        return True

    step = 1
    while (at := known + step - 1) < most and taken(at):
        known, step = at + 1, 2 * step
    low, high = known, min(at, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if taken(middle) else (low, middle)
    return low, last
