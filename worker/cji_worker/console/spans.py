"""One span for each job, from the lines of the trail that admit and end it.

A span has its times, its outcome, and of what the job is only its operations, its suite, and the Reason and stage of an
end without a receipt: all of them closed sets of this software. It has no id of the trail. Left out on purpose: purpose
codes, which a policy can extend and which, with a time, show what an agency is doing; agencies, submitters and
addresses; rows and bytes, whose record is the trail.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cji_core.errors import Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, Record, WorkerStarted
from cji_worker.console.view import OPERATIONS

MAX_OPEN: Final = 256
"""Jobs that are remembered until they end; a worker has at most 64 cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpan:
    """One job. Times are nanoseconds since 1970; a job without a `reason` is completed."""

    start: int
    end: int
    operations: tuple[str, ...]
    suite: Suite
    reason: Reason | None = None
    stage: Stage | None = None


class Spans:
    """Pairs admissions with ends. A job whose admission was not seen has no span."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[int, JobAdmitted]] = OrderedDict()

    def take(self, record: Record) -> JobSpan | None:
        """The span that ends with this line."""
        now, event = _nanoseconds(record.time), record.event
        match event:
            case JobAdmitted():
                self._open[event.job_id] = now, event
                if len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            case JobCompleted():
                return self._ended(event.job_id, now)
            case JobEnded():
                return self._ended(event.job_id, now, event.reason, event.stage)
            case WorkerStarted():  # its jobs of before have ended with it
                self._open.clear()
            case _:
                pass
        return None

    def _ended(self, job_id: str, now: int, reason: Reason | None = None, stage: Stage | None = None) -> JobSpan | None:
        begun = self._open.pop(job_id, None)
        if begun is None:
            return None
        start, admitted = begun
        return JobSpan(
            start=start,
            end=max(start, now),
            operations=tuple(name for name in admitted.operations if name in OPERATIONS),
            suite=admitted.suite,
            reason=reason,
            stage=stage,
        )


def _nanoseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 100) * 10_000_000
