"""Any outcomes in any order: what a worker's schedule never does."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cji_worker.keyholder.schedule import Schedule, Step

CHECK = 30.0
DRAWS = st.integers(0, 2**32).map(random.Random)
A, B, C = "https://one/keys/k/1", "https://one/keys/k/2", "https://two/keys/k/1"
OUTCOMES = st.sampled_from(["well", "well", "failed", "throttled", "throttled", "denied", "again", "machine"])


@dataclass
class Machine:
    """A worker that follows its schedule; what it may do is computed the slow way, from all that happened."""

    schedule: Schedule
    lifetime: float
    now: float = 0.0
    began: list[float] = field(default_factory=list)
    """Starts of attestations; empty when the last was discarded."""
    at_hand: bool = False
    until: dict[str, float] = field(default_factory=dict)
    asked: list[tuple[float, str, float]] = field(default_factory=list)
    """Time, vault and demand of each throttle."""
    at_this_time: int = 0
    """Steps since time passed."""
    last: str = ""

    def follow(self, outcome: str, demand: float) -> Step:
        step = self.schedule.next()
        if step.what == "attest" and self.last == "attested":
            assert step.at > self.now, "one attestation after the other releases nothing"
        if step.what != "check":
            self.last = step.what
        self.at_this_time = 0 if step.at > self.now else self.at_this_time + 1
        assert self.at_this_time <= 7, "it runs hot: without time, three keys twice and one check"
        self.now = max(self.now, step.at)
        match step.what:
            case "attest":
                self.attest(outcome)
            case "check":
                assert self.began, "a check compares with an attestation"
                self.schedule.checked(self.now)
                if outcome == "machine":
                    self.begin_again()
            case "release":
                self.release(step.kek_id, outcome, demand)
        return step

    def attest(self, outcome: str) -> None:
        if outcome in ("well", "again", "throttled"):
            self.began.append(self.now)
            self.now, self.at_this_time, self.last = self.now + 2.0, 0, "attested"
            self.schedule.attested(self.now, began=self.began[-1])
            self.at_hand = True
            return
        self.schedule.not_attested(self.now)
        if outcome == "machine":
            self.begin_again()

    def release(self, kek_id: str, outcome: str, demand: float) -> None:
        assert self.at_hand, "no key without an attestation"
        vault = kek_id.partition("/keys/")[0]
        for at, throttled, seconds in self.asked:
            assert throttled != vault or self.now >= at + max(1.0, seconds), (
                "a demand of the vault counts for every key"
            )
        match outcome:
            case "well":
                self.until[kek_id] = self.schedule.released(kek_id)
                assert self.until[kek_id] == self.began[-1] + self.lifetime
            case "throttled":
                self.asked.append((self.now, vault, demand))
                self.schedule.not_released(kek_id, self.now, "throttled", retry_after=demand)
            case "failed":
                self.schedule.not_released(kek_id, self.now, "failed")
            case "denied":
                self.until.pop(kek_id, None)
                self.schedule.not_released(kek_id, self.now, "denied")
            case "again":
                self.at_hand = False
                if not self.schedule.attest_again(kek_id):
                    self.schedule.not_released(kek_id, self.now, "failed")
            case _:
                self.schedule.not_released(kek_id, self.now)
                self.begin_again()

    def begin_again(self) -> None:
        self.schedule.begin_again(self.now)
        self.began, self.at_hand = [], False
        self.until.clear()


@given(
    st.lists(st.tuples(OUTCOMES, st.sampled_from([0.0, 1.0, 10.0, 300.0])), min_size=1, max_size=80),
    DRAWS,
    st.sampled_from([60.0, 900.0, 3600.0]),
    st.sampled_from([1, 100, 1000]),
)
def test_no_sequence_runs_hot_or_ignores_a_demand(
    outcomes: list[tuple[str, float]], draw: random.Random, lifetime: float, workers: int
) -> None:
    found = Machine(
        Schedule((A, B, C), lifetime=lifetime, check_every=CHECK, workers=workers, uniform=draw.uniform), lifetime
    )
    for outcome, demand in outcomes:
        found.follow(outcome, demand)
        if found.began and found.at_hand:
            assert found.schedule.next().at <= max(found.now, found.began[-1] + 2.0) + CHECK, "PCRs are checked in time"


@given(DRAWS, st.sampled_from([600.0, 900.0, 3600.0]), st.sampled_from([1, 100, 1000]))
def test_a_throttled_renewal_is_repeated_before_the_end(draw: random.Random, lifetime: float, workers: int) -> None:
    """However the draws fall, the last request comes in the reserve, and not one after the other without a pause."""
    schedule = Schedule((A,), lifetime=lifetime, check_every=10 * lifetime, workers=workers, uniform=draw.uniform)
    schedule.attested(0.0, began=0.0)
    until = schedule.released(A)
    asked: list[float] = []
    while (step := schedule.next()).at < until:
        match step.what:
            case "attest":
                schedule.attested(step.at, began=step.at)
            case "release":
                asked.append(step.at)
                schedule.not_released(A, step.at, "throttled", retry_after=1.0)
            case "check":
                raise AssertionError
    assert 0.25 * lifetime <= asked[0] <= 0.45 * lifetime
    assert asked[-1] >= until - max(12.0, 0.1 * lifetime)
    assert len(asked) <= until
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(asked))


@given(DRAWS, st.integers(0, 60))
def test_a_key_that_is_released_again_is_renewed_as_before(draw: random.Random, refusals: int) -> None:
    schedule = Schedule((A,), lifetime=3600.0, check_every=1e9, uniform=draw.uniform)
    now = 0.0
    for _ in range(refusals):
        step = schedule.next()
        now = max(now, step.at)
        if step.what == "attest":
            schedule.attested(now, began=now)
        else:
            schedule.not_released(A, now, draw.choice(["failed", "throttled", "denied"]))
    while schedule.next().what == "attest":
        now = max(now, schedule.next().at)
        schedule.attested(now, began=now)
    schedule.released(A)
    assert 0.25 * 3600.0 - 450.0 <= schedule.next().at - now <= 0.45 * 3600.0
    assert schedule.next().what == "attest"
