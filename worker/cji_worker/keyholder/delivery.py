"""CJISSECPOL AU-5: whether the trail reaches every destination that the configuration requires, in time.

Another process delivers it, and states in a file for each destination how far it got. What that file says is compared
with the trail itself; a missing one means that nothing was delivered. A destination is overdue if the oldest line that
it lacks is older than `max_undelivered_seconds`, or if its file contradicts the trail. Then an event is appended once,
and another one when it is over; with `on_failure = "stop"` no job is admitted in between.

An alert lasts for a minute at least, so anyone who can write these files adds two lines a minute to the trail and no
more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.configuration.worker import AuditDeliverySection
from cji_core.log import log
from cji_core.trail import DeliveryOverdue, DeliveryResumed
from cji_core.trail.delivered import Standing, line_at_of, standing
from cji_core.trail.fields import OverdueCause
from cji_worker.ipc.messages import DeliveryReport
from cji_worker.trail.file import AuditFile

EVERY_S: Final = 5.0
LEAST_ALERT_S: Final = 60.0
_REMEDY: Final = "Look at the log of the deliverer (`cji audit deliver`), and at what it cannot reach."


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One destination: where it stood at the last look, and since when it is overdue (monotonic)."""

    name: str
    standing: Standing
    cause: OverdueCause | None = None
    since: float | None = None


class DeliveryWatch:
    """Looks at the files of the deliverer; for the main thread."""

    def __init__(
        self,
        section: AuditDeliverySection | None,
        *,
        trail: Path,
        audit: AuditFile,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a section nothing is required."""
        self._section, self._audit, self._clock, self._monotonic = section, audit, clock, monotonic
        self._line_at = line_at_of(trail)
        nothing = Standing(seq=0, waiting_since=None, cause=None)
        self._watched = [_Watched(name=name, standing=nothing) for name in (section.required if section else ())]
        self._looked = -EVERY_S

    @property
    def stops(self) -> bool:
        """Whether no job may be admitted."""
        watched = any(each.since is not None for each in self._watched)
        return watched and self._section is not None and self._section.on_failure == "stop"

    def require(self) -> None:
        """Raise AUDIT_UNAVAILABLE unless a job may be admitted."""
        if self.stops:
            raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)

    def follow(self) -> None:
        """Look again if it is time. Call it at every beat."""
        now = self._monotonic()
        if self._section is None or now - self._looked < EVERY_S:
            return
        self._looked = now
        for each in self._watched:
            try:
                each.standing = standing(Path(self._section.state), each.name, self._line_at)
            except OSError:
                continue  # a trail that cannot be read admits no job anyway
            each.cause = each.standing.overdue(self._clock(), most_seconds=self._section.max_undelivered_seconds)
            self._follow(each, now, stops=self._section.on_failure == "stop")

    def report(self) -> tuple[DeliveryReport, ...]:
        """For the operator."""
        now = self._clock()
        return tuple(
            DeliveryReport(
                destination=each.name,
                line=each.standing.seq,
                waits_s=each.standing.seconds(now),
                overdue=each.since is not None,
            )
            for each in self._watched
        )

    def _follow(self, each: _Watched, now: float, *, stops: bool) -> None:
        if each.cause is not None and each.since is None:
            each.since = now
            seconds = each.standing.seconds(self._clock())
            log("audit delivery overdue", what=each.name, reason=each.cause, seconds=seconds, remedy=_REMEDY)
            self._audit.record(
                DeliveryOverdue(destination=each.name, cause=each.cause, seconds=seconds, admits_jobs=not stops)
            )
        elif each.cause is None and each.since is not None and now - each.since >= LEAST_ALERT_S:
            seconds, each.since = int(now - each.since), None
            log("audit delivery resumed", what=each.name, seconds=seconds)
            self._audit.record(DeliveryResumed(destination=each.name, seconds=seconds))
