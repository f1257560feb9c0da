"""One end per job, whatever crashes, is lost, is away or is put there by others: the decisions of `pool.one_end`.

The machine drives every process of a pool step by step. The named traces are those that a model of the protocol found
before a job had one end; each guard that ends them is taken out once, and the search finds it missing.
"""

import os
import random
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from cji_core.pool import names
from cji_core.pool.entries import Kind
from cji_core.pool.one_end import Begin
from tests.support.pool_world import HEADER, JOB, BrokenError, World

SCHEDULES: Final = int(os.environ.get("CJI_SCHEDULES", "3000"))
_STEPS: Final = 60
_WEIGHTS: Final = {
    "step": 12, "lost": 2, "away": 2, "direct": 2, "ticket": 3, "cancel": 1, "expire": 1, "crash": 1, "gone": 0.2,
    "junk": 0.3,
}  # fmt: skip


def run(seed: int, *, broken: frozenset[str] = frozenset(), steps: int = _STEPS) -> World:
    """One random schedule, then quiet. Raises BrokenError."""
    chance = random.Random(seed)
    world = World(
        machines=chance.choice((1, 2, 3)),
        tries=chance.choice((1, 2, 3)),
        tickets=chance.choice((0, 1, 2)),
        broken=broken,
    )
    for _ in range(chance.randrange(5, steps)):
        enabled = world.enabled()
        world.take(chance.choices(enabled, [_WEIGHTS[kind] for kind, _ in enabled])[0])
    world.settle()
    return world


def test_random_schedules_have_one_end() -> None:
    ends = sum(run(seed).end() is not None for seed in range(SCHEDULES))
    assert ends > SCHEDULES // 4  # and not because nothing happens


@pytest.mark.parametrize(
    "guard",
    ["release without end", "ends are replaced", "leases decide", "claims bind"],
    ids=lambda g: g.replace(" ", "-"),
)
def test_without_a_guard_the_search_finds_it_missing(guard: str) -> None:
    assert any(_breaks(seed, guard) for seed in range(20_000))


def _breaks(seed: int, guard: str) -> bool:
    try:
        run(seed, broken=frozenset({guard}))
    except BrokenError:
        return True
    return False


class OneEnd(RuleBasedStateMachine):
    """Any order of anything that may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(machines=2, tries=2, tickets=1)

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        self.world.take(data.draw(st.sampled_from(self.world.enabled())))

    def teardown(self) -> None:
        self.world.settle()


TestOneEnd = OneEnd.TestCase
TestOneEnd.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# ---------------------------------------------------------------- traces that models found


def follow(world: World, *steps: tuple[str, int]) -> World:
    """The world after these choices."""
    for each in steps:
        world.take(each)
    return world


def finish(world: World, number: int = 0) -> None:
    """The process runs to its end, without a fault."""
    process = world.processes[number]
    while process in world.processes:
        world.take(("step", world.processes.index(process)))


STEP: Final = (("step", 0),)


def test_t1_a_lease_that_ends_gives_no_second_end() -> None:
    """The owner works on, the last try elsewhere fails the job; then the owner signs."""
    world = follow(World(machines=2, tries=1, tickets=2), ("ticket", 0), *STEP * 8, ("expire", 0), ("ticket", 1))
    finish(world, 1)
    assert list(world.published) == ["failure"]
    finish(world)
    world.settle()
    assert list(world.published) == ["failure"]
    assert world.superseded == world.signed != set()


def test_t6_leases_without_an_attempt_fail_no_job() -> None:
    world = World(machines=2, tries=2, tickets=1)
    for _ in range(10):  # the storage is away: the ticket is leased and dropped
        follow(world, ("ticket", 0), ("step", 0), ("away", 0))
        assert not world.processes
    assert not world.published
    follow(world, ("ticket", 1))
    finish(world)
    assert list(world.published) == ["receipt"]


def test_d1_same_id_two_machines_have_one_receipt() -> None:
    """Two machines of one bundle: both may run the job, one receipt is released, the other superseded."""
    world = follow(World(machines=2, tries=3), ("direct", 0))
    finish(world)
    follow(world, ("direct", 1))
    assert len(world.released) == 1
    world = follow(World(machines=2, tries=3), ("direct", 0), *STEP * 5, ("direct", 1))
    finish(world, 1)
    finish(world)
    assert len(world.signed) == 2
    assert len(world.released) == 1
    assert world.superseded == world.signed - set(world.released)


def test_d3_gone_a_machine_that_left_leaves_a_job_that_runs() -> None:
    world = follow(World(machines=2, tries=2), ("direct", 0), *STEP * 6, ("gone", 0), ("direct", 1))
    assert world.began == 1
    finish(world)
    assert len(world.released) == 1


def test_l1_a_lost_answer_kills_no_id() -> None:
    """The entry was created, the answer lost, the caller refused with LEDGER_UNAVAILABLE: it asks elsewhere."""
    world = follow(World(machines=2, tries=2), ("direct", 0), *STEP * 3, ("lost", 0))
    assert not world.processes
    assert names.attempt(JOB, 0) in world.blobs
    assert isinstance(world._decision(world._claim(world.machines[1], HEADER, Kind.WHOLE)), Begin)


def test_c5_a_cancellation_is_told_by_the_end_alone() -> None:
    """Asked for while an attempt completes: whichever end is first is the only one that anybody sees."""
    world = follow(World(machines=2, tries=2, tickets=1), ("ticket", 0), *STEP * 8, ("cancel", 1))
    finish(world, 1)
    finish(world)
    world.settle()
    assert len(world.published) == 1
