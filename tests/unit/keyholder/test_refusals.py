"""Refusals in the trail: a line each while they are few, one for many otherwise; rates that nobody exceeds."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal, Stage
from cji_core.trail import CallsRefused, JobRefused
from cji_worker.ipc.messages import Admit, RefusedCalls
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.refusals import Refusals
from cji_worker.keyholder.token_buckets import TokenBuckets
from tests.support.connections import TRANSPORT
from tests.unit.keyholder.test_admission import POLICY, SAN


class Trail:
    """Events that were written; a clock; whether the disk takes any."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.now, self.writable = 0.0, True
        self.refusals = Refusals(PolicyInForce(POLICY), self.write, clock=lambda: self.now)

    def write(self, event: Any) -> bool:
        if self.writable:
            self.events.append(event)
        return self.writable

    def job(self, san: str = SAN, reason: Reason = Reason.POLICY_DENIED) -> None:
        request = Admit(
            call=1, submitter=san, source="ipv4:1", transport=TRANSPORT, correlation_id="c", header=b"", signature=b""
        )
        self.refusals.job(request, None, Refusal(reason, stage=Stage.ADMIT))

    def calls(self, count: int, reason: Reason = Reason.OVERLOADED, identity: str = "spiffe://x/y") -> None:
        self.refusals.calls(RefusedCalls(reason=reason, count=count, source="ipv4:1", identity=identity))


def test_few_refusals_of_jobs_have_a_line_each() -> None:
    trail = Trail()
    for _ in range(20):
        trail.job()
    assert [type(e) for e in trail.events] == [JobRefused] * 20


def test_many_refusals_of_jobs_share_a_line() -> None:
    trail = Trail()
    for second in range(100):
        trail.now = float(second)
        for _ in range(100):
            trail.job()
        trail.refusals.flush()
    trail.refusals.flush(at_once=True)
    single = [e for e in trail.events if isinstance(e, JobRefused)]
    shared = [e for e in trail.events if isinstance(e, CallsRefused)]
    assert len(single) <= 300 + 100
    assert len(shared) <= 11
    assert len(single) + sum(e.count for e in shared) == 10_000
    assert {e.submitter for e in shared} == {"agency"}


def test_x01_a_hostile_front_adds_one_line_in_a_period() -> None:
    trail = Trail()
    for tenth in range(1000):
        trail.now = tenth / 10
        trail.calls(7, identity=f"spiffe://x/{tenth}")
        trail.calls(1, Reason.POLICY_DENIED, "not a token\n")
        trail.refusals.flush()
    assert len(trail.events) <= 2 * 10
    assert {e.identity for e in trail.events if e.reason is Reason.POLICY_DENIED} == {None}


def test_counts_wait_for_a_trail_that_cannot_be_written() -> None:
    trail = Trail()
    trail.writable = False
    trail.job()
    trail.calls(5)
    trail.now = 60
    trail.refusals.flush()
    assert trail.events == []
    trail.writable, trail.now = True, 120
    trail.refusals.flush()
    assert Counter({e.reason: e.count for e in trail.events}) == {Reason.POLICY_DENIED: 1, Reason.OVERLOADED: 5}
    assert {e.reason: e.seconds for e in trail.events} == {Reason.POLICY_DENIED: 120, Reason.OVERLOADED: 130}


@given(
    st.integers(1, 20),
    st.floats(0.1, 10),
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab")), min_size=1, max_size=200),
)
def test_a_bucket_never_gives_more_than_its_rate(burst: int, seconds: float, asks: list[tuple[float, str]]) -> None:
    now = 1000.0
    buckets = TokenBuckets(burst=burst, seconds=seconds, clock=lambda: now)
    given_at: dict[str, list[float]] = {"a": [], "b": []}
    for pause, key in asks:
        now += pause
        free = not buckets.wait(key)
        assert buckets.take(key) is free
        if free:
            given_at[key].append(now)
    for times in given_at.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + (times[last] - times[first]) / seconds + 1e-6


def test_a_bucket_is_full_at_first_and_after_a_rest() -> None:
    now = 0.0
    buckets = TokenBuckets(burst=3, seconds=2.0, clock=lambda: now)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    assert 0 < buckets.wait("a") <= 2.0
    now += 2.0
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    now += 100
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
