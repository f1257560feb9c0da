"""The conductor, on a cluster that refuses, loses tasks and loses nodes as a list of faults wants."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_engine.conductor import MAX_TRIES, ClusterLostError, Conductor, Events, JobRefusedError
from cji_engine.messages import FINISH, NO_PLAN, START, Answer, Done, Job, Refused, Request

JOB = Job(job="0a" * 16, header_sha384="0b" * 48)
PLAN = "0c" * 16
BEFORE = {"count": 3, "plan": 1}
AFTER = {"count": 3, "plan": 1, "split": 3, "pairs": 5}
Fault = Callable[[Request, str], Answer | None]


def done(request: Request) -> Done:
    tasks = {START: BEFORE, "plan": AFTER}.get(request.stage)
    plan = PLAN if request.stage == "plan" else None
    return Done(
        attempt="0d" * 16, statement_sha256="0e" * 32, bytes_in=10, bytes_out=5, seconds=0.5, tasks=tasks, plan=plan
    )


@dataclass
class Pretended:
    """A cluster of nodes in memory. `fault` may answer in place of a task, or raise."""

    fault: Fault = lambda _request, _node: None
    names: tuple[str, ...] = ("a", "b", "c")
    ran: list[tuple[str, int, str]] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def nodes(self) -> Mapping[str, int]:
        return dict.fromkeys(self.names, 1)

    async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
        await asyncio.sleep(0)
        node = self.chance.choice([name for name in self.names if name not in avoid] or self.names)
        answer = self.fault(request, node)
        if answer is None:
            self.ran.append((request.stage, request.task, request.plan))
        return node, answer or done(request)


async def no_time(_seconds: float) -> None:
    await asyncio.sleep(0)


def run(cluster: Pretended, events: Events = Events()) -> Conductor:  # noqa: B008 - frozen
    conductor = Conductor(job=JOB, cluster=cluster, sleep=no_time, events=events)
    asyncio.run(conductor.run())
    return conductor


def in_order(stages: dict[str, int], plan: str) -> list[tuple[str, int, str]]:
    return [(name, number, plan) for name, tasks in stages.items() for number in range(tasks)]


EVERYTHING = [
    (START, 0, NO_PLAN),
    *in_order(BEFORE, NO_PLAN),
    *in_order({"split": 3, "pairs": 5}, PLAN),
    (FINISH, 0, PLAN),
]


def stages_in_order(ran: list[tuple[str, int, str]]) -> list[str]:
    return list(dict.fromkeys(stage for stage, _, _ in ran))


def test_every_task_runs_once_in_the_order_of_stages() -> None:
    cluster = Pretended()
    conductor = run(cluster)
    assert Counter(cluster.ran) == Counter(EVERYTHING)
    assert stages_in_order(cluster.ran) == [START, "count", "plan", "split", "pairs", FINISH]
    report = {one.name: one for one in conductor.reports}["pairs"]
    assert (report.tasks, report.done, report.tries) == (5, 5, 5)
    assert (report.task_seconds, report.bytes_in, report.bytes_out) == (2.5, 50, 25)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), lost=st.floats(0, 0.5), busy=st.floats(0, 0.4))
def test_lost_and_refused_tasks_run_again_until_each_ran_once(seed: int, lost: float, busy: float) -> None:
    chance = random.Random(seed)
    refusals = 0

    def fault(request: Request, node: str) -> Answer | None:
        nonlocal refusals
        draw = chance.random()
        if draw < lost / 4:
            raise ClusterLostError
        if draw < (lost + busy) / 4:
            refusals += 1
            return Refused(reason="OVERLOADED", stage="admit", retry_after_ms=5)
        return None

    seen: list[str] = []
    cluster = Pretended(fault)
    run(cluster, events=Events(refused=lambda _request, node, _refused: seen.append(node)))
    assert Counter(cluster.ran) == Counter(EVERYTHING)
    assert stages_in_order(cluster.ran) == [START, "count", "plan", "split", "pairs", FINISH]
    assert len(seen) == refusals


def test_one_node_that_refuses_everything_does_not_stop_the_job() -> None:
    def fault(_request: Request, node: str) -> Answer | None:
        return Refused(reason="UNKNOWN_KEY", stage="admit") if node == "b" else None

    cluster = Pretended(fault)
    run(cluster)
    assert Counter(cluster.ran) == Counter(EVERYTHING)


def test_a_task_that_every_node_refuses_stops_the_job() -> None:
    asked: list[str] = []

    def fault(request: Request, node: str) -> Answer | None:
        if request.stage != "split" or request.task != 1:
            return None
        asked.append(node)
        return Refused(reason="LIMIT_EXCEEDED", stage="compute")

    cluster = Pretended(fault)
    with pytest.raises(JobRefusedError) as refused:
        run(cluster)
    assert refused.value.refused.reason == "LIMIT_EXCEEDED"
    assert (refused.value.request.stage, refused.value.request.task) == ("split", 1)
    assert sorted(asked) == ["a", "b", "c"]
    assert not {stage for stage, _, _ in cluster.ran} & {"pairs", FINISH}


def test_a_node_with_a_full_disk_gets_no_job_stuck() -> None:
    """It cannot write its audit trail, so it refuses every task; what it refused runs on the others."""
    refusals = Counter[str]()

    def fault(_request: Request, node: str) -> Answer | None:
        if node != "b":
            return None
        refusals[node] += 1
        return Refused(reason="AUDIT_UNAVAILABLE", stage="admit", retry_after_ms=1000)

    cluster = Pretended(fault)
    run(cluster)
    assert Counter(cluster.ran) == Counter(EVERYTHING)
    assert refusals["b"] > 0


def test_a_slow_node_holds_up_its_own_tasks_alone() -> None:
    """All other tasks of a stage have ended before its one does, and the next stage begins after that."""

    class Slow(Pretended):
        async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
            if (request.stage, request.task) == ("pairs", 0):
                while sum(stage == "pairs" for stage, _, _ in self.ran) < AFTER["pairs"] - 1:
                    await asyncio.sleep(0)
                assert not any(stage == FINISH for stage, _, _ in self.ran)
            return await super().run(request, avoid=avoid)

    cluster = Slow()
    run(cluster)
    pairs = [task for stage, task, _ in cluster.ran if stage == "pairs"]
    assert pairs[-1] == 0
    assert stages_in_order(cluster.ran)[-1] == FINISH


def test_a_job_that_is_the_reason_stops_at_the_first_node() -> None:
    """No other node is asked, and what is printed names the limit, its value and where to change it."""
    asked: list[str] = []

    def fault(request: Request, node: str) -> Answer | None:
        if request.stage != "split" or request.task != 1:
            return None
        asked.append(node)
        return Refused(
            reason="LIMIT_EXCEEDED", stage="compute", everywhere=True, limit="pairs", value=5, remedy="Raise it."
        )

    with pytest.raises(JobRefusedError, match="split 1: LIMIT_EXCEEDED, limit pairs is 5 after 1 try") as refused:
        run(Pretended(fault))
    assert len(asked) == 1
    assert refused.value.remedy == "Raise it."


def test_a_cluster_that_stays_away_ends_the_job() -> None:
    tries = 0

    def fault(_request: Request, _node: str) -> Answer | None:
        nonlocal tries
        tries += 1
        raise ClusterLostError

    with pytest.raises(JobRefusedError) as refused:
        run(Pretended(fault))
    assert tries == MAX_TRIES == refused.value.tries
    assert refused.value.refused.reason == "NO_NODE"


def test_a_new_conductor_asks_again_and_forces_nothing() -> None:
    seen: list[bool] = []

    def fault(request: Request, _node: str) -> Answer | None:
        seen.append(request.again)
        return None

    run(Pretended(fault))
    assert not any(seen)
    seen.clear()
    asyncio.run(Conductor(job=JOB, cluster=Pretended(fault), sleep=no_time, again=True).run())
    assert seen.count(False) == 2  # to start and to finish


@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_conductor_waits_for_the_first_node(late: int) -> None:
    waited: list[tuple[int, int]] = []
    cluster = Pretended(names=())

    def waiting(seconds: int, most: int) -> None:
        waited.append((seconds, most))
        cluster.names = ("a", "b") if len(waited) == late else ()

    cluster.names = () if late else ("a", "b")
    conductor = Conductor(job=JOB, cluster=cluster, sleep=no_time, events=Events(waiting=waiting))
    assert asyncio.run(conductor.cells(wait=3)) == 2
    assert waited == [(second, 3) for second in range(late)]


def test_a_conductor_does_not_wait_for_ever() -> None:
    conductor = Conductor(job=JOB, cluster=Pretended(names=()), sleep=no_time)
    with pytest.raises(ClusterLostError, match="no workers"):
        asyncio.run(conductor.cells(wait=3))
