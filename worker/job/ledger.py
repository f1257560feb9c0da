"""A job id is used once: earlier attempts decide whether a new attempt may begin.

`digest` is the SHA-384 of the header bytes. Attempts are stored by the caller:

    known as                              same digest           other digest
    never seen                            begin                 begin
    attempt ended without a receipt       begin again           REPLAYED
    attempt still running                 ALREADY_EXISTS        REPLAYED
    receipt issued                        ALREADY_EXISTS        REPLAYED

The digest is compared first, so that an altered job never learns the state of the genuine one. A running attempt is
ALREADY_EXISTS: the job exists, and GetReceipt returns its receipt once it has finished. Entries are kept when a header
expires: the host controls the wall clock, and setting it back must not make an old job new.
"""

import enum
from dataclasses import dataclass

from worker.errors import Reason, Refusal, Stage

__all__ = ["Attempt", "Entry", "decide"]


class Attempt(enum.Enum):
    """State of the last attempt of a job."""

    RUNNING = "running"
    ENDED = "ended"
    RECEIPTED = "receipted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A ledger's entry for one job id."""

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
