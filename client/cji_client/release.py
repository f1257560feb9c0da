"""Whether anything of a job's result was released, in three words. Only a verified receipt proves the first one."""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cji_client.errors import ClientError, NoReceipt, Unreachable
from cji_core.wire.v1 import worker_pb2 as pb

_ASK_SECONDS: Final = 1.0
_FIRST_SECONDS: Final = 0.1


class Release(enum.StrEnum):
    """The state of a job by a connection, as far as it is known."""

    RELEASED = "released"
    """The job has its receipt; whether its result arrived, the caller knows."""
    NOT_RELEASED = "not released"
    """It has none until this answer, by a worker that can tell."""
    UNKNOWN = "unknown"
    """Nobody answered, an attempt runs, or another worker of the pool may know more."""


_STATES: Final = {pb.RELEASED: Release.RELEASED, pb.NOT_RELEASED: Release.NOT_RELEASED}

REMEDIES: Final = {
    Release.RELEASED: "Seal the job again with a new job_id and run it: the worker keeps no results. `cji receipt get` "
    "returns the receipt of this one.",
    Release.NOT_RELEASED: "Run the same sealed job again before it expires; if that is refused with ALREADY_EXISTS, "
    "its pool gave it up: seal the records again.",
    Release.UNKNOWN: "Ask again with `cji job status` before you seal the records again: a receipt may still come.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRelease:
    """The answer about one job; `receipt` is not verified, and None unless the worker that answered has it."""

    job_id: bytes
    state: Release
    receipt: str | None = None

    @classmethod
    def of(cls, job_id: bytes, answer: pb.GetReceiptResponse) -> "JobRelease":
        """From a worker's answer; a word that is not known is none."""
        return cls(job_id=job_id, state=_STATES.get(answer.release, Release.UNKNOWN), receipt=answer.receipt or None)

    def require_receipt(self) -> str:
        """The receipt; NoReceipt if the worker has none."""
        if self.receipt is None:
            raise NoReceipt(self.state.value, remedy=REMEDIES[self.state])
        return self.receipt


def ask_again(ask: Callable[[], JobRelease], *, seconds: float) -> Release | None:
    """The worker's word about a job, None if it did not answer; asked again for `seconds` until it is known.

    Raises what `ask` raises, but Unreachable.
    """
    until, pause = time.monotonic() + seconds, _FIRST_SECONDS
    while True:
        try:
            state: Release | None = ask().state
        except Unreachable:
            state = None
        if state not in (None, Release.UNKNOWN) or time.monotonic() + pause > until:
            return state
        time.sleep(pause)
        pause = min(2 * pause, _ASK_SECONDS)


def known(ask: Callable[[], JobRelease], *, seconds: float = 0.0) -> Release | None:
    """As `ask_again`; a refusal does not count as an answer."""
    try:
        return ask_again(ask, seconds=seconds)
    except ClientError:
        return None
