"""Watchers: small state machines that follow a trail, and name what must not happen. Each has one topic.

`see` is called for every verified line, in order, and returns what is wrong with it, as (line, words); `end` is called
once, with the last time of the trail. Memory is bounded by what runs at the same time, and by a day's jobs.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from worker.audit.claims import Claims
from worker.audit.events import Attested, Event, JobAdmitted, JobCompleted, JobEnded, KeyDropped, KeyReleased
from worker.audit.worker_events import (
    FilesReloaded,
    HostChanged,
    TrailAnchored,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    WorkerStarted,
)
from worker.errors import Reason

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
MAX_EVIDENCE: Final = 65_536

Fault = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A verified line, and for a completed job the claims of its receipt with their digest (`receipt_sha384`)."""

    line: int
    time: str
    event: Event
    receipt: tuple[Claims, str] | None


class Watcher(Protocol):
    """One topic."""

    topic: str

    def see(self, step: Step) -> Iterator[Fault]:
        """The faults that this line reveals."""

    def end(self, time: str) -> Iterator[Fault]:
        """The faults that only the end reveals."""


class _Watcher:
    def end(self, time: str) -> Iterator[Fault]:  # noqa: ARG002 - most have nothing left at the end
        yield from ()


class TimeOrder(_Watcher):
    """The clock never goes back."""

    topic = "time-stamps"

    def __init__(self) -> None:
        self._latest = ""

    def see(self, step: Step) -> Iterator[Fault]:
        """Each line that is earlier than one before it."""
        if step.time < self._latest:
            yield step.line, f"{step.time} follows {self._latest}"
        self._latest = max(self._latest, step.time)


class Anchors(_Watcher):
    """Anchors increase."""

    topic = "anchors"

    def __init__(self) -> None:
        self._last: int | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each anchor that does not exceed the one before it, unless an operator resumed the trail in between."""
        event = step.event
        if isinstance(event, TrailResumed):
            self._last = None
        elif isinstance(event, TrailAnchored):
            if self._last is not None and event.counter <= self._last:
                yield step.line, f"anchor {event.counter} follows {self._last}"
            self._last = event.counter


class Receipts(_Watcher):
    """Receipts continue each other: numbers without a gap, each with the digest of the one before it."""

    topic = "receipt-chain"

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each receipt that does not continue the one before it."""
        if step.receipt is None:
            return
        claims, digest = step.receipt
        if self._last is not None and (claims.sequence, claims.previous_sha384) != (self._last[0] + 1, self._last[1]):
            yield step.line, f"receipt {claims.sequence} does not continue receipt {self._last[0]}"
        self._last = claims.sequence, digest


class Outcomes(_Watcher):
    """Every admitted job has one outcome, within a day."""

    topic = "outcomes"

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, str]] = {}

    def see(self, step: Step) -> Iterator[Fault]:
        """Each outcome of a job that was not admitted, and each job that is admitted twice."""
        event = step.event
        if isinstance(event, JobAdmitted):
            if event.job_id in self._open:
                yield step.line, "the job is already running"
            self._open[event.job_id] = step.line, step.time
        elif isinstance(event, JobCompleted | JobEnded) and self._open.pop(event.job_id, None) is None:
            yield step.line, "the outcome of a job that was not admitted"

    def end(self, time: str) -> Iterator[Fault]:
        """Each job that was admitted more than a day before the end."""
        yield from ((line, "the job has no outcome") for line, at in self._open.values() if _seconds(at, time) > DAY)


class Replays(_Watcher):
    """No job id completes twice while it is remembered, which is at most two days."""

    topic = "replays"

    def __init__(self) -> None:
        self._done: OrderedDict[str, str] = OrderedDict()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job that completes again."""
        if isinstance(step.event, JobCompleted):
            if step.event.job_id in self._done:
                yield step.line, "the job has already completed"
            self._done[step.event.job_id] = step.time
            while _seconds(next(iter(self._done.values())), step.time) > 2 * DAY:
                self._done.popitem(last=False)


class Attribution(_Watcher):
    """Every admitted job names operator, requestor and recipient."""

    topic = "attribution"

    def see(self, step: Step) -> Iterator[Fault]:
        """Each admitted job without them."""
        if isinstance(step.event, JobAdmitted) and step.event.attribution is None:
            yield step.line, "the job has no attribution"


class PolicyInForce(_Watcher):
    """Jobs are admitted under the policy that the last start or reload put in force."""

    topic = "policy-in-force"

    def __init__(self) -> None:
        self._policy = ""

    def see(self, step: Step) -> Iterator[Fault]:
        """Each reload that begins from another policy, and each job under another one."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._policy = event.policy_sha384
        elif isinstance(event, FilesReloaded):
            if event.before.policy_file != self._policy:
                yield step.line, "the reload replaced a policy that was not in force"
            self._policy = event.after.policy_file
        elif isinstance(event, JobAdmitted) and event.policy_sha384 != self._policy:
            yield step.line, "the job was admitted under a policy that was not in force"


class Changes(_Watcher):
    """Receipts name the code and the configuration of the last start, and the policy of their job's admission."""

    topic = "changes-recorded"

    def __init__(self) -> None:
        self._start = ("", "")
        self._policies: dict[str, str] = {}

    def see(self, step: Step) -> Iterator[Fault]:
        """Each receipt that names something else."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._start = event.code_sha384, event.config_sha384
        elif isinstance(event, JobAdmitted):
            self._policies[event.job_id] = event.policy_sha384
        elif isinstance(event, JobCompleted | JobEnded):
            policy = self._policies.pop(event.job_id, None)
            if step.receipt is None:
                return
            claims = step.receipt[0]
            wanted = {"code_sha384": self._start[0], "config_sha384": self._start[1], "policy_sha384": policy}
            for name, value in wanted.items():
                if value is not None and getattr(claims, name) != value:
                    yield step.line, f"the receipt names another {name} than the trail"


class Machines(_Watcher):
    """Keys are released to, and receipts are made on, machines whose evidence the trail has."""

    topic = "attested-machines"

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each release and each receipt with other evidence."""
        event = step.event
        if isinstance(event, Attested):
            self._known[event.evidence_sha384] = None
            if len(self._known) > MAX_EVIDENCE:
                self._known.popitem(last=False)
        elif isinstance(event, KeyReleased) and event.evidence_sha384 not in self._known:
            yield step.line, "the key was released for evidence that was not attested"
        if step.receipt is not None and step.receipt[0].evidence_sha384 not in self._known:
            yield step.line, "the receipt names evidence that was not attested"


class Keys(_Watcher):
    """Jobs are admitted under keys that were released and not dropped."""

    topic = "released-keys"

    def __init__(self) -> None:
        self._held: set[str] = set()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job under another key."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._held.clear()
        elif isinstance(event, KeyReleased):
            self._held.add(event.kek_id)
        elif isinstance(event, KeyDropped):
            self._held.discard(event.kek_id)
        elif isinstance(event, JobAdmitted) and event.kek_id not in self._held:
            yield step.line, "the job was admitted under a key that was not held"


class Host(_Watcher):
    """No job is admitted while a condition of the machine is unmet."""

    topic = "host-profile"

    def __init__(self) -> None:
        self._unmet = 0

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job at such a time."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._unmet = 0
        elif isinstance(event, HostChanged):
            self._unmet = len(event.unmet)
        elif isinstance(event, JobAdmitted) and self._unmet:
            yield step.line, f"the job was admitted while {self._unmet} conditions of the machine were unmet"


class AuditFailures(_Watcher):
    """A time without a writable trail ends within an hour."""

    topic = "audit-failures"

    def __init__(self) -> None:
        self._since: tuple[int, str] | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each time that took longer, at its beginning."""
        event = step.event
        if isinstance(event, WorkerNotReady) and event.reason is Reason.AUDIT_UNAVAILABLE and self._since is None:
            self._since = step.line, step.time
        elif isinstance(event, WorkerReady | WorkerStarted):
            yield from self.end(step.time)
            self._since = None

    def end(self, time: str) -> Iterator[Fault]:
        """One that has not ended."""
        if self._since is not None and (seconds := _seconds(self._since[1], time)) > HOUR:
            yield self._since[0], f"the trail could not be written for {seconds / HOUR:.1f} hours"


class Refusals(_Watcher):
    """A trail on which a worker refused to start is continued by an operator's decision only."""

    topic = "trail-incidents"

    def __init__(self) -> None:
        self._refused: int | None = None

    def see(self, step: Step) -> Iterator[Fault]:
        """Each refusal that a start follows without a decision."""
        event = step.event
        if isinstance(event, TrailRefused):
            self._refused = step.line
        elif isinstance(event, TrailResumed):
            self._refused = None
        elif isinstance(event, WorkerStarted):
            yield from self.end(step.time)
            self._refused = None

    def end(self, time: str) -> Iterator[Fault]:  # noqa: ARG002 - it does not depend on the time
        """One without a decision."""
        if self._refused is not None:
            yield self._refused, "the trail was refused, and nobody explained it"


WATCHERS: Final[tuple[Callable[[], Watcher], ...]] = (
    TimeOrder,
    Anchors,
    Receipts,
    Outcomes,
    Replays,
    Attribution,
    PolicyInForce,
    Changes,
    Machines,
    Keys,
    Host,
    AuditFailures,
    Refusals,
)


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
