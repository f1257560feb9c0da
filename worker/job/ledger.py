"""A job id is used once: what is known of it decides whether an attempt may begin.

`digest` is SHA-384 of the header bytes; where an attempt is written down is the caller's:

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
from dataclasses import dataclass

from worker.errors import Reason, Refusal, Stage

__all__ = ["Attempt", "Entry", "decide"]


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
