"""How far a job by reference has come on this machine, as `cji_client.standing` for one by a connection."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_client.standing import Sent, Standing


@dataclass(slots=True, kw_only=True)
class ReferenceStanding(Standing):
    """The state of a job by reference. A pool keeps its result, so that it can be fetched again."""

    folder: Path | None = None
    """Of the sealed job."""
    ticket: bool | None = False
    """Whether its ticket was sent; None while its queue has not answered."""
    failed: bool = False
    """A verified failure receipt is its end."""
    fetching: bool = False
    """The result of a job is fetched that may have been sent from elsewhere."""

    def met(self, job_id: bytes, folder: Path, *, ticket_sent: bool) -> None:
        """The job is known. A ticket that was sent stays so."""
        self.job_id, self.folder = job_id, folder
        if ticket_sent:
            self.begin()
            self.ticket = True

    def facts(self) -> str:
        """As `Standing.facts`."""
        if self.sent is Sent.NOTHING:
            return "" if self.fetching else "Nothing was sent."
        head = f"Job {self.job_id.hex()}: {self.sent}."
        if self.sent is Sent.RECEIPT:
            return f"{head} Its result stays in the pool's storage until that is cleared."
        if self.failed:
            return f"{head} Its failure receipt was verified: nothing of a result left the workers."
        if self.ticket is None:
            return f"{head} Whether its ticket was sent is unknown; to send it again does no harm."
        return f"{head} {_TICKET[self.ticket]}"

    def next(self) -> str:
        """As `Standing.next`."""
        if self.following is not None:
            return self.following(self)
        if self.sent is Sent.NOTHING or self.failed:
            return ""
        return "Call `fetch` again." if self.ticket or self.sent is Sent.RECEIPT else "Call `submit` again."


_TICKET: Final = {
    True: "The pool has it, and goes on whatever happens here.",
    False: "Its ticket was not sent, so no worker begins it.",
}
