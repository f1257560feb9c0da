"""How far one job has come on this machine: nothing sent; sent, no receipt; receipt received.

`Standing` is the one place that knows. What sends a job moves it forward, what ends a job takes its sentence: whether
something was sent, what the worker answered about the rest, and what to do next. A job counts as sent from the moment
its first message is given to the network, because nobody here knows how much of it arrives.
"""

import contextlib
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from cji_client.errors import ClientError, JobCancelled, Unreachable
from cji_client.release import REMEDIES, JobRelease, Release, known

_CANCEL_SECONDS: Final = 5.0
"""How long a worker is asked whether it has ended a job that was cancelled."""


class Sent(enum.StrEnum):
    """The state of a job on the machine that sends it. It only moves forward."""

    NOTHING = "nothing sent"
    NO_RECEIPT = "sent, no receipt"
    RECEIPT = "receipt received"
    """And verified."""


@dataclass(slots=True, kw_only=True)
class Standing:
    """The state of one job. `following` gives the next step in words; a command replaces it by its own commands."""

    job_id: bytes = b""
    sent: Sent = Sent.NOTHING
    release: Release | None = None
    """The worker's answer after the job had ended here; None without one."""
    refused: bool = False
    """The worker refused the job before it began, and nothing of it can run anywhere else."""
    kept: Path | None = None
    """The folder with the sealed result, once its receipt was verified."""
    following: "Callable[[Standing], str] | None" = None

    _WORDS: ClassVar[dict[Release | None, str]] = {
        Release.RELEASED: "The worker answers `released`: the job finished and has a receipt, but a worker keeps no "
        "results.",
        Release.NOT_RELEASED: "The worker answers `not released`: it has ended the job without a receipt, and nothing "
        "of a result left it.",
        Release.UNKNOWN: "The worker answers `unknown`: the job may go on there.",
        None: "Unknown whether the worker ended it, and whether it has a receipt.",
    }

    @classmethod
    def of(cls, job_id: bytes, given: "Standing | None") -> "Standing":
        """The standing of this job: a new one, or that of the caller."""
        known = cls() if given is None else given
        known.job_id = job_id
        return known

    def begin(self) -> None:
        """The first bytes of the job are given to the network."""
        if self.sent is Sent.NOTHING:
            self.sent = Sent.NO_RECEIPT

    def received(self) -> None:
        """Its receipt has been verified."""
        self.sent = Sent.RECEIPT

    def facts(self) -> str:
        """The state of the job now, in words."""
        if self.sent is Sent.NOTHING:
            return "Nothing was sent."
        more = self._WORDS[self.release]
        if self.sent is Sent.RECEIPT:
            more = self._result()
        elif self.refused:
            more = "The worker refused it before it began."
        return f"Job {self.job_id.hex()}: {self.sent}. {more}"

    def next(self) -> str:
        """The next step, in words; empty if there is none."""
        if self.following is not None:
            return self.following(self)
        if self.sent is Sent.NO_RECEIPT and not self.refused:
            return REMEDIES[self.release or Release.UNKNOWN]
        return ""

    @contextlib.contextmanager
    def explaining(self, ask: Callable[[], JobRelease] | None = None) -> Iterator[None]:
        """A block of the job: whatever ends it is explained."""
        try:
            yield
        except BaseException as error:
            self.explain(error, ask)
            raise

    def explain(self, error: BaseException, ask: Callable[[], JobRelease] | None = None) -> None:
        """Add facts and next step to what ends the job, once. `ask` asks the worker, where it matters and can be known.

        An error that is none of ours has them as a note, and nobody is asked.
        """
        if getattr(error, "standing", None) is not None:
            return
        if isinstance(error, ClientError) and self.sent is Sent.NO_RECEIPT and ask is not None and not self.refused:
            self.release = known(ask, seconds=_CANCEL_SECONDS if isinstance(error, JobCancelled) else 0.0)
        text = " ".join(filter(None, (self.facts(), self.next())))
        if not text:
            return
        if isinstance(error, ClientError):
            error.standing = self
            lost = isinstance(error, Unreachable) and self.sent is not Sent.NOTHING  # to try again would be another job
            line = "\n" if self.job_id and self.sent is not Sent.NOTHING else " "
            error.remedy = text if lost else f"{error.remedy}{line}{text}".strip()
        elif text not in getattr(error, "__notes__", ()):
            error.add_note(text)

    def _result(self) -> str:
        if self.kept is None:
            return "The result is verified, and not kept in a file."
        return f"The verified result is in {self.kept}, still sealed."
