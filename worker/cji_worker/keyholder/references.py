"""Resident references: side tables that stay in secret memory between the jobs of their submitter.

    free      the slot is empty
    filling   a job writes its reference into the slot
    resident  jobs of the same submitter and key version may use it by its digest, until it expires
    leaving   no further job gets it; jobs that already use it finish
    wiping    no cell maps it any more, and the zygote wipes it

A job holds a `Tenancy`: a slot in one of its generations. Every call names the tenancy, and one whose slot was wiped
since then changes nothing: a job that ends late cannot reach the next tenancy of its slot.

A reference leaves when it expires, when the key version that opened it is dropped, or when its submitter brings another
one and no slot is free, or when a reload removes its submitter. It is retained only while its key version is held.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final, NamedTuple

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.configuration.worker import ReferencesSection
from cji_core.log import log
from cji_core.operations.declaration import Reference
from cji_core.trail import ReferenceCause, ReferenceDropped, ReferenceRetained, utc_hundredths
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import KeyholderFromZygote, WipeReference, ZygoteFromKeyholder
from cji_worker.trail.file import AuditFile

_RETRY_MS: Final = 500
NO_SLOT: Final = -1


class Tenancy(NamedTuple):
    """The use of one slot by a job. `generation` counts how often the slot was wiped before."""

    slot: int
    generation: int


class Owner(NamedTuple):
    """The owner of a reference: the submitter that sent it, under the key version that opened it."""

    submitter: str
    kek_id: str


class _State(Enum):
    FREE = auto()
    FILLING = auto()
    RESIDENT = auto()
    LEAVING = auto()
    WIPING = auto()


@dataclass(slots=True, kw_only=True)
class ReferenceSlot:
    """One region of secret memory that holds at most one reference."""

    number: int
    generation: int = 0
    state: _State = _State.FREE
    owner: Owner | None = None
    sha256: bytes = b""
    until: float = 0.0
    """By the clock of `References`."""
    cells: set[int] = field(default_factory=set)
    """Numbers of the cells that map it."""

    @property
    def tenancy(self) -> Tenancy:
        """The present one."""
        return Tenancy(self.number, self.generation)


class References:
    """The reference slots of this worker; for the main thread."""

    def __init__(
        self,
        section: ReferencesSection | None,
        *,
        audit: AuditFile,
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
        is_held: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_held` returns whether the key version with an id may be used now."""
        self._audit, self._zygote, self._is_held, self._clock = audit, zygote, is_held, clock
        self._longest = section.retain_seconds if section else 0
        self._slots = [ReferenceSlot(number=number) for number in range(section.max_references if section else 0)]

    def find(self, reference: Reference | None, owner: Owner) -> Tenancy | None:
        """The tenancy for a job's reference, None for a job without one.

        Raises at ADMIT: UNKNOWN_REFERENCE if it is not resident, LIMIT_EXCEEDED if the job asks to retain it for too
        long, OVERLOADED if no slot is free.
        """
        if reference is None:
            return None
        self.sweep()
        if reference.sha256:
            for slot in self._in(_State.RESIDENT):
                if (slot.owner, slot.sha256) == (owner, reference.sha256):
                    return slot.tenancy
            raise Refusal(Reason.UNKNOWN_REFERENCE, stage=Stage.ADMIT)
        if reference.seconds > self._longest:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.ADMIT)
        for slot in self._in(_State.FREE):
            return slot.tenancy
        own = [slot for slot in self._in(_State.RESIDENT) if slot.owner == owner]
        if own:
            self._leave(min(own, key=lambda slot: slot.until), "replaced")
        raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=_RETRY_MS)

    def assign(self, tenancy: Tenancy | None, cell: int) -> int:
        """Assign the slot to a cell, which fills it if it is free; return its number, NO_SLOT for no tenancy."""
        slot = self._of(tenancy)
        if slot is None:
            return NO_SLOT
        slot.cells.add(cell)
        if slot.state is _State.FREE:
            slot.state = _State.FILLING
        return slot.number

    def retain(self, tenancy: Tenancy | None, *, owner: Owner, job_id: str, sha256: bytes, seconds: int) -> None:
        """Retain the reference that a completed job wrote. Without its key or its audit event it leaves at once."""
        slot, until = self._of(tenancy), datetime.now(UTC) + timedelta(seconds=seconds)
        if slot is None or slot.state is not _State.FILLING:
            return
        if not self._is_held(owner.kek_id):
            log("reference not retained", reason=Reason.NOT_READY.value)
            slot.state = _State.LEAVING
            self.sweep()
            return
        slot.state, slot.owner, slot.sha256 = _State.RESIDENT, owner, sha256
        slot.until = self._clock() + seconds
        try:
            self._audit.append(
                ReferenceRetained(
                    job_id=job_id,
                    submitter=owner.submitter,
                    kek_id=owner.kek_id,
                    sha256=sha256.hex(),
                    until=utc_hundredths(until),
                )
            )
        except Refusal:
            log("audit unavailable")
            slot.state = _State.LEAVING
            self.sweep()

    def abandon(self, tenancy: Tenancy | None) -> None:
        """Discard what a job wrote that ended without a receipt."""
        slot = self._of(tenancy)
        if slot is not None and slot.state is _State.FILLING:
            slot.state = _State.LEAVING

    def end_of_key(self, kek_id: str) -> None:
        """A key version was dropped, for any reason."""
        for slot in self._in(_State.RESIDENT):
            if slot.owner and slot.owner.kek_id == kek_id:
                self._leave(slot, "key")
        self.sweep()

    def end_of_submitters(self, names: Collection[str]) -> None:
        """These submitters are not in the policy any more."""
        for slot in self._in(_State.RESIDENT):
            if slot.owner and slot.owner.submitter in names:
                self._leave(slot, "policy")
        self.sweep()

    def cell_gone(self, cell: int) -> None:
        """A cell's process has ended."""
        for slot in self._slots:
            slot.cells.discard(cell)
        self.sweep()

    def wiped(self, number: int) -> None:
        """The zygote has wiped a slot."""
        self._slots[number] = ReferenceSlot(number=number, generation=self._slots[number].generation + 1)

    def sweep(self) -> None:
        """Let expired references leave and have unused ones wiped. Called every second, and when a cell is gone."""
        now = self._clock()
        for slot in self._in(_State.RESIDENT):
            if slot.until <= now:
                self._leave(slot, "expired")
        for slot in self._in(_State.LEAVING):
            if not slot.cells:
                slot.state = _State.WIPING
                self._zygote.send(WipeReference(slot=slot.number))

    def _of(self, tenancy: Tenancy | None) -> ReferenceSlot | None:
        """The slot while it is in this tenancy: the one rule that keeps a job from the next one."""
        if tenancy is None or self._slots[tenancy.slot].tenancy != tenancy:
            return None
        return self._slots[tenancy.slot]

    def _in(self, state: _State) -> list[ReferenceSlot]:
        return [slot for slot in self._slots if slot.state is state]

    def _leave(self, slot: ReferenceSlot, cause: ReferenceCause) -> None:
        slot.state = _State.LEAVING
        assert slot.owner is not None  # noqa: S101 - it was resident
        dropped = ReferenceDropped(
            submitter=slot.owner.submitter, kek_id=slot.owner.kek_id, sha256=slot.sha256.hex(), cause=cause
        )
        if not self._audit.record(dropped):
            log("audit unavailable")
