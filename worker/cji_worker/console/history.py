"""The last hour, minute by minute, from counts that only grow and begin at zero when the worker starts."""

from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

from cji_worker.console.view import Minute
from cji_worker.ipc.messages import JobCounts
from cji_worker.ipc.status import Status

MINUTES: Final = 60


class Totals(NamedTuple):
    """The counts that the history follows."""

    completed: int
    ended: int
    refused: int
    rows_out: int
    bytes: int


def totals(jobs: JobCounts) -> Totals:
    """The sums of a report."""
    return Totals(
        completed=sum(sum(each.completed) for each in jobs.operations),
        ended=sum(each.ended for each in jobs.operations),
        refused=sum(each.count for each in jobs.refused),
        rows_out=jobs.rows_out,
        bytes=jobs.bytes_in + jobs.bytes_out,
    )


class History:
    """At most `MINUTES` minutes. The first report is where counting begins, unless the worker is younger."""

    def __init__(self) -> None:
        self._started = ""
        self._last: Totals | None = None
        self._minutes: deque[Minute] = deque()

    def note(self, status: Status, *, at: datetime) -> None:
        """Take a report into account."""
        if status.jobs is None:
            return
        now, number = totals(status.jobs), int(at.timestamp() // 60)
        before = self._last
        if before is not None and (
            status.started != self._started or any(n < b for n, b in zip(now, before, strict=True))
        ):
            before = Totals(0, 0, 0, 0, 0)  # a worker that started since
        self._started, self._last = status.started, now
        if not self._minutes or self._minutes[-1].number < number:
            self._minutes.append(Minute(number=number))
        if before is not None:
            last = self._minutes[-1]
            grown = {name: getattr(last, name) + getattr(now, name) - getattr(before, name) for name in Totals._fields}
            self._minutes[-1] = Minute(number=last.number, **grown)

    def minutes(self, *, at: datetime) -> tuple[Minute, ...]:
        """Those of the last hour, oldest first."""
        first = int(at.timestamp() // 60) - MINUTES + 1
        while self._minutes and (self._minutes[0].number < first or len(self._minutes) > MINUTES):
            self._minutes.popleft()
        return tuple(self._minutes)
