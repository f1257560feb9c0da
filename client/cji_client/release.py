"""Whether anything of a job's result was released, in three words. Only a verified receipt proves the first one."""

import enum
from dataclasses import dataclass
from typing import Final

from cji_client.errors import NoReceipt
from cji_core.wire.v1 import worker_pb2 as pb


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
    Release.NOT_RELEASED: "Run the same sealed job again before it expires.",
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
