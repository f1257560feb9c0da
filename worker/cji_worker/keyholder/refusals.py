"""Refusals in the audit trail: a line each while they are few, one line for many where they are not.

Jobs that are refused at admission have their own lines at a rate that an honest submitter does not reach; calls that
the front refuses never have one. The rest is counted by submitter and Reason, and written once in a period. So nobody,
a compromised front included, adds more than a line for each submitter and Reason in a period, and a line a second for
each submitter. Counts are kept while the trail cannot be written.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cji_core.errors import Reason, Refusal
from cji_core.format.job import Header
from cji_core.trail import CallsRefused, Event, TokenCheck
from cji_worker.ipc.messages import Admit, FetchReceipt, RefusedCalls
from cji_worker.keyholder.entra import TokenRefused
from cji_worker.keyholder.events import calls_refused, job_refused
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.token_buckets import TokenBuckets

PERIOD_S: Final = 10.0
_JOB_BURST: Final = 300
_JOB_SECONDS: Final = 1.0
_NOBODY: Final = ""


@dataclass(slots=True, kw_only=True)
class _Count:
    """Refusals of one submitter for one Reason, with the first caller."""

    count: int
    source: str
    identity: str
    since: float
    token_check: TokenCheck | None


class Refusals:
    """`write` appends an event to the trail and returns whether it is on disk."""

    def __init__(
        self, policy: PolicyInForce, write: Callable[[Event], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy, self._write, self._clock = policy, write, clock
        self._own_lines = TokenBuckets(burst=_JOB_BURST, seconds=_JOB_SECONDS, clock=clock)
        self._counts: dict[tuple[str, Reason], _Count] = {}
        self._flushed = clock()

    def job(self, request: Admit, header: Header | None, refusal: Refusal) -> None:
        """A job that was refused at admission."""
        submitter = self._name(request.submitter)
        if self._own_lines.take(submitter) and self._write(
            job_refused(request, header, refusal, submitter=submitter or None)
        ):
            return
        self._add_own(submitter, refusal, source=request.source, identity=request.submitter)

    def receipt(self, request: FetchReceipt, refusal: TokenRefused) -> None:
        """A GetReceipt that was refused for its token."""
        self._add_own(self._name(request.submitter), refusal, source=request.source, identity=request.submitter)

    def calls(self, report: RefusedCalls) -> None:
        """Calls that the front refused."""
        submitter = self._name(report.identity)
        since = self._clock() - PERIOD_S  # the front counts for as long before it reports
        self._add(submitter, report.reason, report.count, source=report.source, identity=report.identity, since=since)

    def flush(self, *, at_once: bool = False) -> None:
        """Write what was counted, if a period has passed."""
        now = self._clock()
        if not self._counts or (now - self._flushed < PERIOD_S and not at_once):
            return
        self._flushed = now
        for (submitter, reason), found in list(self._counts.items()):
            event: CallsRefused = calls_refused(
                reason,
                count=found.count,
                seconds=int(now - found.since),
                source=found.source,
                identity=found.identity,
                submitter=submitter or None,
                token_check=found.token_check,
            )
            if not self._write(event):
                return
            del self._counts[submitter, reason]

    def _name(self, identity: str) -> str:
        try:
            return self._policy.now.submitter(identity).name
        except Refusal:
            return _NOBODY

    def _add_own(self, submitter: str, refusal: Refusal, *, source: str, identity: str) -> None:
        """Count one refusal by the keyholder."""
        check = refusal.check if isinstance(refusal, TokenRefused) else None
        self._add(
            submitter, refusal.reason, 1, source=source, identity=identity, since=self._clock(), token_check=check
        )

    def _add(
        self,
        submitter: str,
        reason: Reason,
        count: int,
        *,
        source: str,
        identity: str,
        since: float,
        token_check: TokenCheck | None = None,
    ) -> None:
        first = _Count(count=0, source=source, identity=identity, since=since, token_check=token_check)
        found = self._counts.setdefault((submitter, reason), first)
        found.count = min(found.count + count, (1 << 63) - 1)
