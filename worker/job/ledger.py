"""A job id is used once: the decision as a pure function, and the ledger that asks it.

The table (docs/format.md §5). `digest` is SHA-384 of the header bytes:

    known as                              same digest           other digest
    never seen                            begin                 begin
    attempt ended without a receipt       begin again           REPLAYED
    attempt still running                 ALREADY_EXISTS        REPLAYED
    receipt issued                        ALREADY_EXISTS        REPLAYED

The digest decides first, so that an altered job is never told how far the genuine one has come. A running attempt is
ALREADY_EXISTS: the job exists, and GetReceipt answers once it is done. Entries are not dropped when a header expires:
the wall clock belongs to the host, and a clock set back must not make an old job new.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from worker.errors import Reason, Refusal, Stage

__all__ = ["Attempt", "Entry", "MemoryLedger", "ReplayLedger", "decide"]


class Attempt(enum.Enum):
    """How far the last attempt of a job came."""

    RUNNING = "running"
    ENDED = "ended"
    RECEIPTED = "receipted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a ledger knows of one job id."""

    header_sha384: bytes
    attempt: Attempt


def decide(known: Entry | None, header_sha384: bytes) -> None:
    """Return if an attempt may begin, else raise Refusal(REPLAYED) or Refusal(ALREADY_EXISTS)."""
    if known is None:
        return
    if known.header_sha384 != header_sha384:
        raise Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    if known.attempt is not Attempt.ENDED:
        raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.ADMIT)


class ReplayLedger(Protocol):
    """Where attempts are written down. `begin` is insert-if-absent: of two racing callers one is refused."""

    def begin(self, job_id: bytes, header_sha384: bytes) -> None:
        """Note that an attempt runs, or raise what `decide` raises. A ledger that cannot be asked refuses."""

    def finish(self, job_id: bytes, *, receipted: bool) -> None:
        """Note how the running attempt ended. Raises LookupError when none runs."""


class MemoryLedger:
    """The ledger of one worker process, filled at start from the durable audit trail. For one thread."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[bytes, Entry]] = ()) -> None:
        """Take over what earlier processes wrote down; an attempt that was RUNNING died with its process."""
        self._entries = {
            job_id: Entry(header_sha384=entry.header_sha384, attempt=Attempt.ENDED)
            if entry.attempt is Attempt.RUNNING
            else entry
            for job_id, entry in entries
        }

    def begin(self, job_id: bytes, header_sha384: bytes) -> None:
        """Note that an attempt runs. Raises Refusal(REPLAYED) or Refusal(ALREADY_EXISTS)."""
        decide(self._entries.get(job_id), header_sha384)
        self._entries[job_id] = Entry(header_sha384=header_sha384, attempt=Attempt.RUNNING)

    def finish(self, job_id: bytes, *, receipted: bool) -> None:
        """Note how the running attempt ended. Raises LookupError when none runs."""
        known = self._entries[job_id]
        if known.attempt is not Attempt.RUNNING:
            raise LookupError("no attempt runs")
        attempt = Attempt.RECEIPTED if receipted else Attempt.ENDED
        self._entries[job_id] = Entry(header_sha384=known.header_sha384, attempt=attempt)
