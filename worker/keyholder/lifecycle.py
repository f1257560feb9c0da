"""The life of one admitted job: a pure machine, an event in, the next phase and its effects out.

    phase        event        next         effects, in this order
                              ADMITTING    WRITE_ADMISSION
    ADMITTING    Done         OPENING      OPEN_CELL
                 Failed       OVER         RETURN_CELL, Refuse
    OPENING      Done         RUNNING      AWAIT_CELL
                 Failed       OVER         KILL_CELL, WriteEnd, Refuse
    RUNNING      Summarised   COMPLETING   WriteReceipt
                 Failed       OVER         KILL_CELL, WriteEnd, Refuse
    COMPLETING   Done         COMMITTING   RETAIN_REFERENCE, COMMIT
                 Failed       OVER         KILL_CELL, WriteEnd, Refuse
    COMMITTING   Done         OVER         SEND_RECEIPT
                 Failed       OVER         Refuse
    OVER         any          OVER

Invariants
* No key is opened before the admission is on disk, and nothing is committed before the receipt is.
* An admission on disk is followed by exactly one end: the receipt, or an end without one.
* The front gets exactly one last word per call: the receipt, or a refusal.
* A cell that was given a job is killed unless the job has its receipt.

An effect that can fail comes last; it is performed at once, and its outcome, Done or Failed, is the next event. Only
RUNNING waits for an event from outside. No input or output, and no clock.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from worker.errors import Refusal
from worker.ipc.messages import Summary


class Phase(enum.Enum):
    """How far a job has come."""

    ADMITTING = enum.auto()
    OPENING = enum.auto()
    RUNNING = enum.auto()
    COMPLETING = enum.auto()
    COMMITTING = enum.auto()
    OVER = enum.auto()


@dataclass(frozen=True, slots=True)
class Done:
    """The last effect succeeded."""


@dataclass(frozen=True, slots=True)
class Summarised:
    """The cell sealed every output and sent its summary."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Failed:
    """The last effect failed; or the cell failed, its channel closed, the caller left, or the key was dropped."""

    refusal: Refusal


Event = Done | Summarised | Failed


class Action(enum.Enum):
    """Effects that need nothing but the job; those marked with an asterisk have an outcome."""

    WRITE_ADMISSION = enum.auto()  # * append the admission to the audit trail
    OPEN_CELL = enum.auto()  # * put the keys into the cell's key slot, send it the job, hand it to the front
    AWAIT_CELL = enum.auto()  # wait for the cell's summary
    RETAIN_REFERENCE = enum.auto()  # keep the reference that the job wrote, if it asked for that
    COMMIT = enum.auto()  # * let the cell release its last segments
    SEND_RECEIPT = enum.auto()
    RETURN_CELL = enum.auto()  # the cell was never used
    KILL_CELL = enum.auto()


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """Sign the receipt and append it to the audit trail; has an outcome."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class WriteEnd:
    """Append the end to the audit trail, or where that fails, once the trail is available again."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send the refusal to the front."""

    refusal: Refusal


Effect = Action | WriteReceipt | WriteEnd | Refuse
Step = tuple[Phase, tuple[Effect, ...]]

BEGIN: Final[Step] = (Phase.ADMITTING, (Action.WRITE_ADMISSION,))
"""The first step of every job."""

_DONE: Final[Mapping[Phase, Step]] = MappingProxyType(
    {
        Phase.ADMITTING: (Phase.OPENING, (Action.OPEN_CELL,)),
        Phase.OPENING: (Phase.RUNNING, (Action.AWAIT_CELL,)),
        Phase.COMPLETING: (Phase.COMMITTING, (Action.RETAIN_REFERENCE, Action.COMMIT)),
        Phase.COMMITTING: (Phase.OVER, (Action.SEND_RECEIPT,)),
    }
)


def advance(phase: Phase, event: Event) -> Step:
    """Return the phase after `event` and the effects to perform; an event that does not belong changes nothing."""
    match phase, event:
        case Phase.RUNNING, Summarised(summary):
            return Phase.COMPLETING, (WriteReceipt(summary),)
        case Phase.ADMITTING, Failed(refusal):
            return Phase.OVER, (Action.RETURN_CELL, Refuse(refusal))
        case ((Phase.OPENING | Phase.RUNNING | Phase.COMPLETING), Failed(refusal)):
            return Phase.OVER, (Action.KILL_CELL, WriteEnd(refusal), Refuse(refusal))
        case Phase.COMMITTING, Failed(refusal):
            return Phase.OVER, (Refuse(refusal),)
        case _, Done():
            return _DONE.get(phase, (phase, ()))
    return phase, ()
