"""The queue in front of the cells: order, shares and bounds, beside a slow twin."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason
from cji_worker.keyholder.fair_queue import FairQueue
from tests.support.refusals import refused

NAMES = ("a", "b", "c")


@dataclass
class Twin:
    """Every job that ever ran, summed up again for each question; lists in place of accounts."""

    runs: list[tuple[str, float, float | None]] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)

    def used(self, name: str, now: float) -> float:
        return sum((now if end is None else end) - start for who, start, end in self.runs if who == name)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "take", "end", "remove"]), st.sampled_from(NAMES), st.floats(0.01, 5)),
    max_size=120,
)


@given(steps)
def test_a_queue_is_fifo_bounded_and_work_conserving(given_steps: list[tuple[str, str, float]]) -> None:
    queue: FairQueue[int] = FairQueue(capacity=9)
    twin, now, running = Twin(), 0.0, list[tuple[str, float]]()
    for number, (what, name, seconds) in enumerate(given_steps):
        now += seconds
        mine = [n for who, n in twin.waiting if who == name]
        if what == "add":
            if len(mine) < 9 - len(twin.waiting):
                queue.add(name, number, now=now)
                twin.waiting.append((name, number))
            else:
                with refused(Reason.OVERLOADED):
                    queue.add(name, number, now=now)
        elif what == "take":
            taken = queue.take(now=now)
            assert (taken is None) == (not twin.waiting)
            if taken is not None:
                who = next(who for who, n in twin.waiting if n == taken)
                assert taken == min(n for other, n in twin.waiting if other == who)
                twin.waiting.remove((who, taken))
                queue.started(who, now=now)
                running.append((who, now))
        elif what == "end" and running:
            who, start = running.pop(0)
            queue.ended(who, started=start, now=now)
        elif what == "remove" and mine:
            assert queue.remove(mine[0].__eq__) == mine[0]
            twin.waiting.remove((name, mine[0]))
        assert len(queue) == len(twin.waiting)
        assert len(queue._shares) <= len(NAMES)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0.05, 3), st.floats(0.05, 3)), min_size=40, max_size=200),
    st.integers(1, 30),
    st.integers(2, 6),
)
def test_x01_two_that_always_wait_get_equal_time(
    cells: int, lengths: list[tuple[float, float]], many: int, few: int
) -> None:
    """Whatever their numbers of waiting jobs and the lengths of these are, as the twin counts them."""
    queue: FairQueue[str] = FairQueue()
    twin, now, left = Twin(), 0.0, {"a": [x for x, _ in lengths], "b": [y for _, y in lengths]}
    for name, count in (("a", many), ("b", few)):
        for _ in range(count):
            queue.add(name, name, now=now)
    running: list[tuple[float, str, float]] = []
    while all(left.values()):
        while len(running) < cells and all(left.values()):
            name = queue.take(now=now) or "nobody"
            queue.started(name, now=now)
            running.append((now + left[name].pop(), name, now))
            queue.add(name, name, now=now)
        running.sort()
        now, name, start = running.pop(0)
        queue.ended(name, started=start, now=now)
        twin.runs.append((name, start, now))
    twin.runs += [(name, start, None) for _, name, start in running]
    assert abs(twin.used("a", now) - twin.used("b", now)) <= 3 * cells + 3


@given(st.floats(1, 10_000), st.integers(1, 50))
def test_a_past_without_neighbours_does_not_count(alone: float, jobs: int) -> None:
    """One that had all cells to itself for long, then meets another: turns alternate at once."""
    queue: FairQueue[str] = FairQueue()
    now = 0.0
    for _ in range(jobs):
        queue.started("old", now=now)
        queue.ended("old", started=now, now=now + alone / jobs)
        now += alone / jobs
    served = []
    for name in ("old", "new"):
        for _ in range(20):
            queue.add(name, name, now=now)
    for _ in range(20):
        name = queue.take(now=now) or "nobody"
        served.append(name)
        queue.started(name, now=now)
        queue.ended(name, started=now, now=now + alone / jobs)
        now += alone / jobs
    assert abs(served.count("old") - served.count("new")) <= 4


def test_one_alone_gets_every_turn_and_half_of_the_places() -> None:
    queue: FairQueue[int] = FairQueue(capacity=128)
    with refused(Reason.OVERLOADED):
        for number in range(128):
            queue.add("a", number, now=0)
    assert len(queue) == 64
    queue.add("b", 64, now=0)
    taken = [queue.take(now=0) for _ in range(65)]
    assert sorted(n for n in taken if n is not None) == list(range(65))
    assert queue.take(now=0) is None
    assert 0.2 <= queue.pause(cells=2) <= 30
