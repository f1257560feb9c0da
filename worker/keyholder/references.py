"""The references that stay in secret memory between the jobs of their submitter.

    free      nothing lies on the shelf
    filling   a job lays its reference out
    held      jobs of the same submitter and key version that name it by its digest get it, until its time is over
    leaving   no further job gets it; those that have it finish
    wiping    no cell has it any more, and the zygote wipes it

A reference leaves when its time is over, when the key version that opened it is let go, or when its submitter brings
another one and no shelf is free.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final, NamedTuple

from worker.audit import AuditFile, ReferenceCause, ReferenceDropped, ReferenceHeld, utc_hundredths
from worker.compute.operation import Reference
from worker.config import ReferencesSection
from worker.errors import Reason, Refusal, Stage
from worker.ipc import Channel
from worker.ipc.messages import Clear, KeyholderFromZygote, ZygoteFromKeyholder
from worker.log import log

__all__ = ["NO_SHELF", "Owner", "References"]

NO_SHELF: Final = -1


class Owner(NamedTuple):
    """Who may use a reference: the submitter that brought it, under the key version that opened it."""

    submitter: str
    kek_id: str


class _State(Enum):
    FREE = auto()
    FILLING = auto()
    HELD = auto()
    LEAVING = auto()
    WIPING = auto()


@dataclass(slots=True, kw_only=True)
class _Shelf:
    number: int
    state: _State = _State.FREE
    owner: Owner | None = None
    sha256: bytes = b""
    until: float = 0.0
    """By the clock of `References`."""
    cells: set[int] = field(default_factory=set)
    """That have it in their memory."""


class References:
    """The shelves of this worker; for the main thread."""

    def __init__(
        self,
        section: ReferencesSection | None,
        *,
        audit: AuditFile,
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit, self._zygote, self._clock = audit, zygote, clock
        self._longest = section.hold_s if section else 0
        self._shelves = [_Shelf(number=number) for number in range(section.places if section else 0)]

    def find(self, reference: Reference | None, owner: Owner) -> int:
        """The shelf for a job's reference, NO_SHELF for a job without one.

        Raises at ADMIT: UNKNOWN_REFERENCE where it is not held, LIMIT_EXCEEDED where it is to be held for too long,
        OVERLOADED where no shelf is free.
        """
        if reference is None:
            return NO_SHELF
        self.sweep()
        if reference.sha256:
            for shelf in self._in(_State.HELD):
                if (shelf.owner, shelf.sha256) == (owner, reference.sha256):
                    return shelf.number
            raise Refusal(Reason.UNKNOWN_REFERENCE, stage=Stage.ADMIT)
        if reference.seconds > self._longest:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.ADMIT)
        for shelf in self._in(_State.FREE):
            return shelf.number
        own = [shelf for shelf in self._in(_State.HELD) if shelf.owner == owner]
        if own:
            self._leave(min(own, key=lambda shelf: shelf.until), "replaced")
        raise Refusal(Reason.OVERLOADED, stage=Stage.ADMIT)

    def give(self, number: int, cell: int) -> None:
        """A cell has the shelf now, to fill it if it is free."""
        if number != NO_SHELF:
            shelf = self._shelves[number]
            shelf.cells.add(cell)
            if shelf.state is _State.FREE:
                shelf.state = _State.FILLING

    def keep(self, number: int, *, owner: Owner, job_id: str, sha256: bytes, seconds: int) -> None:
        """A job is done, and so is the shelf that it filled. Without a line in the trail the reference is not held."""
        shelf, until = self._shelves[number], datetime.now(UTC) + timedelta(seconds=seconds)
        shelf.state, shelf.owner, shelf.sha256 = _State.HELD, owner, sha256
        shelf.until = self._clock() + seconds
        try:
            self._audit.append(
                ReferenceHeld(
                    job_id=job_id,
                    submitter=owner.submitter,
                    kek_id=owner.kek_id,
                    sha256=sha256.hex(),
                    until=utc_hundredths(until),
                )
            )
        except Refusal:
            log("audit unavailable")
            shelf.state = _State.LEAVING
            self.sweep()

    def abandon(self, number: int) -> None:
        """A job ended otherwise; what it may have left on its shelf is of no use."""
        if number != NO_SHELF and self._shelves[number].state is _State.FILLING:
            self._shelves[number].state = _State.LEAVING

    def end_of_key(self, kek_id: str) -> None:
        """A key version was let go, for whatever reason."""
        for shelf in self._in(_State.HELD):
            if shelf.owner and shelf.owner.kek_id == kek_id:
                self._leave(shelf, "key")
        self.sweep()

    def cell_gone(self, cell: int) -> None:
        """A cell's process has ended."""
        for shelf in self._shelves:
            shelf.cells.discard(cell)
        self.sweep()

    def cleared(self, number: int) -> None:
        """The zygote has wiped a shelf."""
        self._shelves[number] = _Shelf(number=number)

    def sweep(self) -> None:
        """What is over leaves; what has left is wiped. Called every second, and when a cell is gone."""
        now = self._clock()
        for shelf in self._in(_State.HELD):
            if shelf.until <= now:
                self._leave(shelf, "expired")
        for shelf in self._in(_State.LEAVING):
            if not shelf.cells:
                shelf.state = _State.WIPING
                self._zygote.send(Clear(shelf=shelf.number))

    def _in(self, state: _State) -> list[_Shelf]:
        return [shelf for shelf in self._shelves if shelf.state is state]

    def _leave(self, shelf: _Shelf, cause: ReferenceCause) -> None:
        shelf.state = _State.LEAVING
        assert shelf.owner is not None  # noqa: S101 - it was held
        try:
            self._audit.append(
                ReferenceDropped(
                    submitter=shelf.owner.submitter,
                    kek_id=shelf.owner.kek_id,
                    sha256=shelf.sha256.hex(),
                    cause=cause,
                )
            )
        except Refusal:
            log("audit unavailable")
