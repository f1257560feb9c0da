"""Watchers of jobs: their outcomes, who asked, and what was in force when they were admitted."""

from collections import OrderedDict
from collections.abc import Iterator

from cji_audit.packet.watch.step import DAY, Endless, Fault, Step, seconds_between
from cji_core.trail.events import JobAdmitted, JobCompleted, JobEnded
from cji_core.trail.fleet_events import AttemptSuperseded
from cji_core.trail.worker_events import FilesReloaded, WorkerStarted


class Outcomes:
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
        yield from (
            (line, "the job has no outcome") for line, at in self._open.values() if seconds_between(at, time) > DAY
        )


class Replays(Endless):
    """No job id completes twice while it is remembered, at most two days, unless the first receipt was superseded."""

    topic = "replays"

    def __init__(self) -> None:
        self._done: OrderedDict[str, str] = OrderedDict()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job that completes again."""
        if isinstance(step.event, JobCompleted):
            while self._done and seconds_between(next(iter(self._done.values())), step.time) > 2 * DAY:
                self._done.popitem(last=False)
            if self._done.pop(step.event.job_id, None) is not None:
                yield step.line, "the job has already completed"
            self._done[step.event.job_id] = step.time
        elif isinstance(step.event, AttemptSuperseded):
            self._done.pop(step.event.job_id, None)


class Attribution(Endless):
    """Every admitted job names operator, requestor and recipient."""

    topic = "attribution"

    def see(self, step: Step) -> Iterator[Fault]:
        """Each admitted job without them."""
        if isinstance(step.event, JobAdmitted) and step.event.attribution is None:
            yield step.line, "the job has no attribution"


class PolicyInForce(Endless):
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


class Changes(Endless):
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
