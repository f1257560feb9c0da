"""The console's knowledge at one moment. Page, metrics and spans are functions of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from cji_core.wire.v1 import worker_pb2
from cji_worker.console.machine import UNKNOWN, Machine
from cji_worker.fleet.metrics import Metrics
from cji_worker.ipc.messages import SEVERAL
from cji_worker.ipc.status import Status

OPERATIONS: Final = (
    *(each.name for each in worker_pb2.Operation.DESCRIPTOR.oneofs_by_name["operation"].fields),
    SEVERAL,
)
"""Every operation that a job can have, and the name for a job with several."""

Silence = Literal["no answer", "supervisor silent", "not understood"]
"""Why there is no status: nobody answers, the control process has heard nothing, or the answer is another version's."""
SILENCES: Final[tuple[Silence, ...]] = get_args(Silence)
DestinationKind = Literal["sink", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Jobs and refusals of one minute, by the difference of two counts."""

    number: int
    """Minutes since 1970."""
    completed: int = 0
    ended: int = 0
    refused: int = 0
    rows_out: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A sink of the trail, or the log: the last line that it has, and since when it made no progress."""

    kind: DestinationKind
    name: str
    line: int | None
    """None if its state cannot be read."""
    waiting_since: datetime | None
    """None if nothing waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """The weekly reviews: the last week with a signed one, and when the first one that is missing must be signed."""

    last_signed: str | None
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The console's own counts, since its start."""

    spans_dropped: int = 0
    export_failures: int = 0
    trail_faults: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything at `at`. Without a `status`, `silence` is the cause."""

    at: datetime
    status: Status | None = None
    silence: Silence | None = None
    minutes: tuple[Minute, ...] = ()
    """The last hour, oldest first, without minutes in which the worker was not seen."""
    certificate_until: datetime | None = None
    certificate_unreadable: bool = False
    destinations: tuple[Destination, ...] = ()
    reviews: Reviews | None = None
    fleet: Metrics | None = None
    """Of the fleet process, if it reports."""
    machine: Machine = UNKNOWN
    own: Own = Own()


def moment(text: str) -> datetime:
    """A time of the status document."""
    return datetime.fromisoformat(text).astimezone(UTC)
