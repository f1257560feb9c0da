"""Counts of what becomes of jobs, for the operator's view: by operation, outcome and Reason, all of them closed sets.

The counts are those of the lines in the audit trail, since the start of this process, and begin at zero again with it.
An event that the trail does not have yet because its disk failed counts at once if it ends a job. Nothing else of an
event is kept: no job, no submitter, no purpose.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from cji_core.errors import Reason
from cji_core.trail import CallsRefused, JobCompleted, JobEnded, JobRefused
from cji_worker.ipc.messages import DURATIONS_S, SEVERAL, JobCounts, OperationCounts, ReasonCount

_MOST: Final = (1 << 63) - 1
_CLASSES: Final = tuple(int(1000 * seconds) for seconds in DURATIONS_S)


@dataclass(slots=True)
class _Operation:
    """Jobs of one operation."""

    ended: int = 0
    completed: list[int] = field(default_factory=lambda: [0] * (len(_CLASSES) + 1))
    duration_ms: int = 0


class Tally:
    """For the main thread. Operations are those of admitted jobs, so they are in the registry."""

    def __init__(self) -> None:
        self._operations: dict[str, _Operation] = {}
        self._refused: Counter[Reason] = Counter()
        self._ended: Counter[Reason] = Counter()
        self._amounts: Counter[str] = Counter()

    @property
    def jobs_completed(self) -> int:
        """Jobs with a receipt."""
        return sum(sum(each.completed) for each in self._operations.values())

    def refused(self, event: JobRefused | CallsRefused) -> None:
        """A refused job, or several calls."""
        self._refused[event.reason] += 1 if isinstance(event, JobRefused) else event.count

    def completed(self, operations: tuple[str, ...], event: JobCompleted) -> None:
        """A job has its receipt."""
        of = self._of(operations)
        of.completed[bisect_left(_CLASSES, event.duration_ms)] += 1
        of.duration_ms += event.duration_ms
        volumes = event.volumes
        self._amounts.update(
            rows_in=volumes.rows_in, rows_out=volumes.rows_out, bytes_in=volumes.bytes_in, bytes_out=volumes.bytes_out
        )

    def ended(self, operations: tuple[str, ...], event: JobEnded) -> None:
        """An admitted job ended without a receipt."""
        self._of(operations).ended += 1
        self._ended[event.reason] += 1

    def counts(self) -> JobCounts:
        """All counts now."""
        return JobCounts(
            operations=tuple(
                OperationCounts(
                    operation=name, ended=each.ended, completed=tuple(each.completed), duration_ms=each.duration_ms
                )
                for name, each in sorted(self._operations.items())
            ),
            refused=_by_reason(self._refused),
            ended=_by_reason(self._ended),
            **{name: min(count, _MOST) for name, count in self._amounts.items()},
        )

    def _of(self, operations: tuple[str, ...]) -> _Operation:
        name = operations[0] if len(operations) == 1 else SEVERAL
        return self._operations.setdefault(name, _Operation())


def _by_reason(counts: Counter[Reason]) -> tuple[ReasonCount, ...]:
    return tuple(ReasonCount(reason=reason, count=min(counts[reason], _MOST)) for reason in Reason if counts[reason])
