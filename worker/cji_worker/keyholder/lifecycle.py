"""The life of one admitted job: a pure machine, an event in, the next phase and its effects out.

    phase        event        next         effects, in this order
                              ADMITTING    SEND_HEADER, LEND_CELL, WRITE_ADMISSION
    ADMITTING    Done         OPENING      OPEN_CELL
                 Failed       OVER         KILL_CELL, Refuse
                 Stopped      OVER         KILL_CELL, WriteEnd, Refuse
    OPENING      Done         RUNNING      AWAIT_CELL
                 Failed       OVER         KILL_CELL, WriteEnd, Refuse
    RUNNING      Vouched      COMPLETING   WriteReceipt
                 Stopped      OVER         KILL_CELL, WriteEnd, Refuse
    COMPLETING   Done         ENDING       MAKE_END
                 Failed       OVER         KILL_CELL, WriteEnd, Refuse
    ENDING       Done         OVER         RETAIN_REFERENCE, SEND_RECEIPT, KILL_CELL
                 Failed       OVER         KILL_CELL, Refuse
                 Stopped      OVER         KILL_CELL, Refuse
    OVER         any          OVER

Invariants
* No cell gets a key before the admission is on disk, and the front gets no receipt before it is. Until then the front
  can put sealed segments into the ring of a cell that has nothing to open them with.
* An admission on disk is followed by exactly one end: the receipt, or an end without one.
* The receipt is on disk before it is made the end of the job in its pool, and the front gets it after that.
* The front gets exactly one last word per call: the receipt, with which it releases the last segments, or a refusal.
* A cell that was given a header is killed at the end of its job, if it has not ended by itself.

An effect that can fail comes last; its outcome, Done or Failed, is an event. That of a line of the trail comes once the
line is on disk or lost, with those of other jobs, and that of MAKE_END once the ledger has answered; the others come at
once. Stopped and Vouched come from outside, at any time. A job that is stopped while it is ADMITTING has its end
written only if its admission is on disk. One that is COMPLETING is not stopped: whether it has a receipt is decided by
the disk, and a denial or reload is a line of its own, after those that waited: nothing completes behind it. One that is
stopped while it is ENDING has a receipt on disk, which is settled without it: `settlement`. No input or output, and no
clock.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cji_core.errors import Refusal
from cji_worker.ipc.messages import Summary, Witnessed


class Phase(enum.Enum):
    """How far a job has come."""

    ADMITTING = enum.auto()
    OPENING = enum.auto()
    RUNNING = enum.auto()
    COMPLETING = enum.auto()
    ENDING = enum.auto()
    OVER = enum.auto()


@dataclass(frozen=True, slots=True)
class Done:
    """The last effect succeeded."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Both witnesses have made their statements: the cell sealed every output, and the front has all of them."""

    cell: Summary
    front: Witnessed


@dataclass(frozen=True, slots=True)
class Failed:
    """The last effect failed."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Stopped:
    """The cell failed, its channel closed, the caller left, or the key was dropped."""

    refusal: Refusal


Event = Done | Vouched | Failed | Stopped


class Action(enum.Enum):
    """Effects that need nothing but the job; those marked with an asterisk have an outcome."""

    SEND_HEADER = enum.auto()  # let the cell get ready while the admission is written
    LEND_CELL = enum.auto()  # let the front bring segments meanwhile: the cell's data channel and ring
    WRITE_ADMISSION = enum.auto()  # * open the keys, and append the admission to the audit trail
    OPEN_CELL = enum.auto()  # * check what was opened, put the keys into the cell's key slot
    AWAIT_CELL = enum.auto()  # wait for the cell's statement
    MAKE_END = enum.auto()  # * make the receipt the end of the job, if its worker is one of a pool
    RETAIN_REFERENCE = enum.auto()  # keep the reference that the job wrote, if it asked for that
    SEND_RECEIPT = enum.auto()
    KILL_CELL = enum.auto()


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """Compare the statements, sign the receipt, and append it to the audit trail; has an outcome."""

    cell: Summary
    front: Witnessed


@dataclass(frozen=True, slots=True)
class WriteEnd:
    """Append the end of an admission that is on disk; where that fails, once the trail is available again."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send the refusal to the front."""

    refusal: Refusal


Effect = Action | WriteReceipt | WriteEnd | Refuse
Step = tuple[Phase, tuple[Effect, ...]]

BEGIN: Final[Step] = (Phase.ADMITTING, (Action.SEND_HEADER, Action.LEND_CELL, Action.WRITE_ADMISSION))
"""The first step of every job."""

_DONE: Final[Mapping[Phase, Step]] = MappingProxyType(
    {
        Phase.ADMITTING: (Phase.OPENING, (Action.OPEN_CELL,)),
        Phase.OPENING: (Phase.RUNNING, (Action.AWAIT_CELL,)),
        Phase.COMPLETING: (Phase.ENDING, (Action.MAKE_END,)),
        Phase.ENDING: (Phase.OVER, (Action.RETAIN_REFERENCE, Action.SEND_RECEIPT, Action.KILL_CELL)),
    }
)


def advance(phase: Phase, event: Event) -> Step:
    """Return the phase after `event` and the effects to perform; an event that does not belong changes nothing."""
    match phase, event:
        case Phase.RUNNING, Vouched(cell, front):
            return Phase.COMPLETING, (WriteReceipt(cell, front),)
        case (Phase.ADMITTING, Failed(refusal)) | (Phase.ENDING, Failed(refusal) | Stopped(refusal)):
            return Phase.OVER, (Action.KILL_CELL, Refuse(refusal))
        case ((Phase.OPENING | Phase.COMPLETING), Failed(refusal)) | (
            (Phase.ADMITTING | Phase.RUNNING),
            Stopped(refusal),
        ):
            return Phase.OVER, (Action.KILL_CELL, WriteEnd(refusal), Refuse(refusal))
        case _, Done():
            return _DONE.get(phase, (phase, ()))
    return phase, ()
