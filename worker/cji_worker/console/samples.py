"""The samples of each metric in a view. `cji_worker.console.series` has the metrics."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from cji_core.errors import Reason
from cji_worker.console.machine import Machine
from cji_worker.console.view import OPERATIONS, SILENCES, DestinationKind, View
from cji_worker.fleet.metrics import Metrics
from cji_worker.ipc.messages import Condition, JobCounts
from cji_worker.ipc.status import Status

REASONS: Final = tuple(each.value for each in Reason)
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)
STATES: Final = ("serving", "not serving", "draining", "unknown")
KINDS: Final[tuple[DestinationKind, ...]] = get_args(DestinationKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """A histogram: how many are in each class of `DURATIONS_S` and above, and the sum in seconds."""

    classes: tuple[int, ...]
    seconds: float


Value: TypeAlias = float | Durations
Labels: TypeAlias = tuple[str, ...]
Sample: TypeAlias = tuple[Labels, Value]


def of_status(read: Callable[[Status], Iterable[Sample]]) -> Callable[[View], Iterable[Sample]]:
    """Samples of a status; none without one."""
    return lambda view: read(view.status) if view.status is not None else ()


def of_jobs(read: Callable[[JobCounts], Iterable[Sample]]) -> Callable[[View], Iterable[Sample]]:
    """Samples of the counts of jobs; none without them."""
    return of_status(lambda status: read(status.jobs) if status.jobs is not None else ())


def of_fleet(read: Callable[[Metrics], Iterable[Sample]]) -> Callable[[View], Iterable[Sample]]:
    """Samples of the fleet process; none without it."""
    return lambda view: read(view.fleet) if view.fleet is not None else ()


def one(value: float | None) -> list[Sample]:
    """The sample of a metric without labels."""
    return [] if value is None else [((), float(value))]


def jobs(counts: JobCounts) -> Iterator[Sample]:
    """Jobs by operation and outcome."""
    found = {each.operation: each for each in counts.operations}
    for name in OPERATIONS:
        each = found.get(name)
        yield (name, "completed"), float(sum(each.completed) if each else 0)
        yield (name, "ended"), float(each.ended if each else 0)


def durations(counts: JobCounts) -> Iterator[Sample]:
    """Durations of completed jobs by operation."""
    for each in counts.operations:
        yield (each.operation,), Durations(classes=each.completed, seconds=each.duration_ms / 1000)


def by_reason(name: Literal["refused", "ended"]) -> Callable[[JobCounts], Iterator[Sample]]:
    """Refusals, or ends of jobs, by Reason."""

    def read(counts: JobCounts) -> Iterator[Sample]:
        of = counts.refused if name == "refused" else counts.ended
        found = {each.reason.value: each.count for each in of}
        return (((reason,), float(found.get(reason, 0))) for reason in REASONS)

    return read


def not_ready(status: Status) -> Iterator[Sample]:
    """1 for the Reason that is stated now."""
    return (((reason,), float(status.reason == reason)) for reason in REASONS)


def unmet(status: Status) -> Iterator[Sample]:
    """1 for the condition that is stated now."""
    return (((condition,), float(status.condition == condition)) for condition in CONDITIONS)


def silence(view: View) -> Iterator[Sample]:
    """1 for the reason why there is no status."""
    return (((each,), float(view.silence == each)) for each in SILENCES)


def state(view: View) -> Iterator[Sample]:
    """1 for the state; unknown without a status."""
    now = "unknown" if view.status is None else view.status.state
    return (((each,), float(each == now)) for each in STATES)


def required_waits(status: Status) -> list[Sample]:
    """The longest wait for a required destination; none without one."""
    return one(max((each.waits_s for each in status.audit.deliveries), default=None)) if status.audit else []


def required_overdue(status: Status) -> list[Sample]:
    """How many required destinations are overdue; none without one."""
    found = status.audit.deliveries if status.audit else ()
    return one(sum(each.overdue for each in found)) if found else []


def disk(machine: Machine) -> list[Sample]:
    """Size and free bytes of the disk of the trail."""
    if machine.disk is None:
        return []
    return [(("free",), float(machine.disk.free)), (("size",), float(machine.disk.size))]


def cells(status: Status) -> list[Sample]:
    """Cells by state."""
    if status.cells is None:
        return []
    found = {"warm": status.cells.warm, "busy": status.cells.busy, "configured": status.cells.configured}
    return [((state,), float(count)) for state, count in found.items()]


def keys(status: Status) -> list[Sample]:
    """Keys by state."""
    usable: list[Sample] = [] if status.keys is None else [(("usable",), float(len(status.keys)))]
    return [*usable, (("configured",), float(status.keys_configured))]


def silent(status: Status) -> Iterator[Sample]:
    """Seconds since the last heartbeat of each process."""
    return (((each.name,), each.beat_age_s) for each in status.processes if each.beat_age_s is not None)


def undelivered(view: View) -> Iterator[Sample]:
    """The destination of each kind that is furthest behind."""
    audit = view.status.audit if view.status is not None else None
    for kind in KINDS:
        reached = [each.line for each in view.destinations if each.kind == kind and each.line is not None]
        if audit is not None and reached:
            yield (kind,), float(max(0, audit.line - min(reached)))


def stalled(view: View) -> Iterator[Sample]:
    """The destination of each kind that has made no progress for longest."""
    for kind in KINDS:
        since = [each.waiting_since for each in view.destinations if each.kind == kind]
        if since:
            yield (kind,), max((view.at - (each or view.at)).total_seconds() for each in since)
