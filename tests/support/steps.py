"""The steps of a job, and the faults that each of them must survive.

A step is the moment before a process sends one message about a job, or the moment before or after a line about a job is
written to the audit trail. Both are read from the product's own unions, so a new message or event is a new step: the
tests of `tests/faults` then fail until a job passes it, or until it is listed below with the reason why none does.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import pytest

from cji_core.trail import Event
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    FrontFromCell,
    FrontFromKeyholder,
    KeyholderFromCell,
    KeyholderFromFront,
    KeyholderFromZygote,
    ZygoteFromKeyholder,
)

__all__ = ["ACTORS", "NO_STEP", "STEPS", "Fault", "Route", "Step", "cases"]

_SENT: Final[Mapping[str, tuple[Any, ...]]] = {
    "front": (KeyholderFromFront, CellFromFront),
    "keyholder": (FrontFromKeyholder, CellFromKeyholder, ZygoteFromKeyholder),
    "cell": (KeyholderFromCell, FrontFromCell),
    "zygote": (KeyholderFromZygote,),
}
ACTORS: Final = tuple(_SENT)
"""The processes that take steps; the trail's are the keyholder's."""

NO_STEP: Final[Mapping[str, str]] = {
    "Beat": "sent whether there is a job or not",
    "Ready": "about the worker",
    "NotReady": "about the worker",
    "Identities": "about the policy",
    "RefusedCalls": "about calls without a job",
    "Attest": "a call of its own, which changes nothing",
    "Attested": "a call of its own, which changes nothing",
    "FetchReceipt": "a call of its own, which changes nothing",
    "FetchedReceipt": "a call of its own, which changes nothing",
    "Settle": "a call of the fleet process, which concerns no running job: tests/integration/fleet/test_pool.py",
    "Settled": "a call of the fleet process, which concerns no running job: tests/integration/fleet/test_pool.py",
    "GiveUp": "a call of the fleet process, which concerns no running job: tests/integration/fleet/test_pool.py",
    "GivenUp": "a call of the fleet process, which concerns no running job: tests/integration/fleet/test_pool.py",
    "WitnessedStreams": "of a task: tests/integration/tasks and tests/integration/fleet/test_parts.py",
    "CountedStreams": "of a task: tests/integration/tasks and tests/integration/fleet/test_parts.py",
    "Stated": "of a task: tests/integration/tasks and tests/integration/fleet/test_parts.py",
    "StatementData": "the end of a job in parts: tests/integration/tasks",
    "StatementsDone": "the end of a job in parts: tests/integration/tasks",
    "StatementsWanted": "the end of a job in parts: tests/integration/tasks",
    "Drained": "the end of the worker: tests/integration/worker/test_lifecycle.py",
    "WipeReference": "a reference outlives its job: tests/integration/keyholder/test_references.py",
    "ReferenceWiped": "a reference outlives its job: tests/integration/keyholder/test_references.py",
    "Touch": "about the worker",
    "JobsWait": "about all jobs: tests/integration/worker/test_traced_jobs.py",
    "CellFaulted": "only a fault of the program sends it; a cell that is killed says less",
}


class Route(enum.Enum):
    """A job, by what becomes of it without a fault."""

    COMPLETED = "completed"
    LEFT = "left by its caller"
    DAMAGED = "refused in the cell"
    UNKNOWN = "refused before admission"


_ROUTES: Final[Mapping[str, Route]] = {
    "Abort": Route.LEFT,
    "Ended": Route.DAMAGED,
    "JobEnded": Route.DAMAGED,
    "CellFailed": Route.DAMAGED,
    "JobRefused": Route.UNKNOWN,
}
"""The jobs that pass a step which a completed job does not."""


@dataclass(frozen=True, slots=True)
class Step:
    """`process` is about to send a message of this name; or the keyholder to write, or has written, this event."""

    process: str
    name: str

    @property
    def route(self) -> Route:
        """The job that passes it."""
        return _ROUTES.get(self.name.removesuffix("+"), Route.COMPLETED)

    def __str__(self) -> str:
        return f"{self.process}-{self.name}"


def _steps() -> Iterator[Step]:
    for process, unions in _SENT.items():
        names = [message.__name__ for union in unions for message in get_args(union)]
        yield from (Step(process, name) for name in names if name not in NO_STEP)
    for event in get_args(Event):
        if event.__name__.startswith("Job"):
            yield Step("keyholder", event.__name__)
            yield Step("keyholder", f"{event.__name__}+")


STEPS: Final = tuple(dict.fromkeys(_steps()))
"""Every step; a plus behind its name means that the line is on disk."""


class Fault(enum.Enum):
    """What happens to a worker at a step."""

    KILL = "kill"
    STOP = "stop"
    NO_SPACE = "no-space"
    IO_ERROR = "io-error"
    CLOCK_FORWARD = "clock-forward"
    CLOCK_BACK = "clock-back"
    HALF_OPEN = "half-open"
    SLOW_READER = "slow-reader"


def cases(fault: Fault) -> list[Any]:
    """Parameters for a test of one fault: every step, under an id that `tests/faults/test_coverage.py` looks for."""
    return [pytest.param(step, id=f"{fault.value}:{step}") for step in STEPS]
