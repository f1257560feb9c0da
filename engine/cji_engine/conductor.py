"""The stages of a job, one after the other, on any cluster that runs tasks by name.

The conductor keeps nothing on disk: what is done is in Blob Storage, and a task that has a statement there answers at
once. So a conductor that died is started again with the same job. Tasks that are refused run again, later and
elsewhere; a node that refuses does not stop a job. A refusal that three nodes repeat does, and at once one for which
the job itself is the reason.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from cji_engine.errors import EngineError
from cji_engine.messages import FINISH, NO_PLAN, PLAN, START, Answer, Done, Job, Refused, Request

__all__ = ["Cluster", "Conductor", "Events", "JobRefusedError", "StageReport"]

FIRST_DELAY_S: Final = 0.25
LAST_DELAY_S: Final = 30.0
MAX_TRIES: Final = 20
WAIT_S: Final = 60
"""For the first node, which may still be starting."""
NODES_TO_ASK: Final = 3
"""A task that this number of nodes, or every node, refuses for good cannot run."""


class ClusterLostError(EngineError):
    """The cluster ended, or lost this task; another attempt may find it again."""

    code = "cluster-lost"
    remedy = "Start the cluster again; published tasks are kept."


class Cluster(Protocol):
    """Runs tasks on nodes."""

    async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
        """(node, answer) of one task, on a node that is not in `avoid`, unless there is no other.

        Raises ClusterLostError.
        """

    async def nodes(self) -> Mapping[str, int]:
        """Tasks at the same time of each node. Raises ClusterLostError."""


class JobRefusedError(EngineError):
    """A task cannot run, and so the job cannot."""

    code = "job-refused"
    remedy = "Read the reason that the worker gave."

    def __init__(self, request: Request, refused: Refused, tries: int) -> None:
        times = "try" if tries == 1 else "tries"
        super().__init__(f"{request.stage} {request.task}: {refused} after {tries} {times}")
        if refused.remedy:
            self.remedy = refused.remedy
        self.request = request
        self.refused = refused
        self.tries = tries


@dataclass(slots=True, kw_only=True)
class StageReport:
    """A stage as it ran. Seconds of tasks are those of their nodes; `seconds` is the time that passed here."""

    name: str
    tasks: int
    done: int = 0
    tries: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    slowest_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, done: Done) -> None:
        """Count a task."""
        self.done += 1
        self.task_seconds += done.seconds
        self.slowest_seconds = max(self.slowest_seconds, done.seconds)
        self.bytes_in += done.bytes_in
        self.bytes_out += done.bytes_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Called as the job goes on: for each second without nodes, after each task, and for each refusal."""

    waiting: Callable[[int, int], None] = lambda _waited, _most: None
    progress: Callable[[StageReport], None] = lambda _report: None
    refused: Callable[[Request, str, Refused], None] = lambda _request, _node, _refused: None


@dataclass(slots=True, kw_only=True)
class Conductor:
    """One job on one cluster. `start`, then `run`."""

    job: Job
    cluster: Cluster
    events: Events = field(default_factory=Events)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tries: int = MAX_TRIES
    """Of a task, until the job ends."""
    again: bool = False
    """Run every task, also those that have a statement."""
    reports: list[StageReport] = field(default_factory=list)

    async def cells(self, *, wait: int = WAIT_S) -> int:
        """Tasks at the same time on all nodes; waits `wait` seconds at most for a node. Raises ClusterLostError."""
        for waited in range(wait + 1):
            if cells := sum((await self.cluster.nodes()).values()):
                return cells
            if waited < wait:
                self.events.waiting(waited, wait)
                await self.sleep(1.0)
        raise ClusterLostError("the scheduler has no workers")

    async def start(self) -> Done:
        """The stages up to the one that plans, rows and shards. Runs nothing. Raises JobRefusedError."""
        done, _tries = await self._task(START, 0, NO_PLAN)
        return done

    async def run(self) -> Done:
        """All stages, and the receipt. Raises JobRefusedError."""
        plan = NO_PLAN
        known = dict((await self.start()).tasks or {PLAN: 1})
        ran = set[str]()
        while left := [name for name in known if name not in ran]:
            answers = await self._stage(left[0], known[left[0]], plan)
            ran.add(left[0])
            if answers[0].plan is not None and answers[0].tasks is not None:
                plan = answers[0].plan
                known = dict(answers[0].tasks)
        (done,) = await self._stage(FINISH, 1, plan)
        return done

    async def _stage(self, name: str, tasks: int, plan: str) -> list[Done]:
        report = StageReport(name=name, tasks=tasks)
        self.reports.append(report)
        started = time.monotonic()

        async def one(number: int) -> Done:
            done, tries = await self._task(name, number, plan)
            report.add(done)
            report.tries += tries
            report.seconds = time.monotonic() - started
            self.events.progress(report)
            return done

        self.events.progress(report)
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(one(number)) for number in range(tasks)]
        except* JobRefusedError as refusals:
            raise refusals.exceptions[0] from None
        return [task.result() for task in running]

    async def _task(self, stage: str, number: int, plan: str) -> tuple[Done, int]:
        """(answer, tries) of a task."""
        request = Request(
            job=self.job.job,
            header_sha384=self.job.header_sha384,
            plan=plan,
            stage=stage,
            task=number,
            again=self.again and stage not in (START, FINISH),
        )
        avoid = set[str]()
        final = set[str]()
        refused = Refused(reason="NO_NODE", stage=stage)
        for tries in range(1, self.tries + 1):
            delay = min(LAST_DELAY_S, FIRST_DELAY_S * 2 ** (tries - 1)) * random.uniform(0.5, 1)  # noqa: S311 - spreads retries
            try:
                node, answer = await self.cluster.run(request, avoid=frozenset(avoid))
                if isinstance(answer, Done):
                    return answer, tries
                refused = answer
                self.events.refused(request, node, refused)
                avoid.add(node)
                if refused.everywhere:
                    break
                if refused.retry_after_ms:
                    delay = max(delay, refused.retry_after_ms / 1000)
                else:
                    final.add(node)
                    if len(final) >= min(NODES_TO_ASK, len(await self.cluster.nodes())):
                        break
                    delay = 0.0
            except ClusterLostError:
                refused = Refused(reason="NO_NODE", stage=stage)
            await self.sleep(delay)
            if len(avoid) > len(final) and tries % NODES_TO_ASK == 0:
                # those that were busy or away may be back
                avoid = set(final)
        raise JobRefusedError(request, refused, tries)
