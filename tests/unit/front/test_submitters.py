"""Who may call and how many calls each may have open, beside a slow twin."""

from collections import Counter
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import identity_sha256
from cji_worker.front.refused import RefusedCounter
from cji_worker.front.submitters import POOLS, Kind, Submitters
from tests.support.refusals import refused

NAMES = tuple(f"spiffe://cji.example/{n}" for n in range(5))


def known(*names: str) -> Submitters:
    submitters = Submitters()
    submitters.replace([identity_sha256(name) for name in names])
    return submitters


@pytest.mark.parametrize("kind", [Kind.RUN, Kind.ATTEST, Kind.ASK])
def test_x01_a_stranger_gets_no_call(kind: Kind) -> None:
    for name in ("", "nobody", NAMES[0] + "/", NAMES[0].upper()):
        with refused(Reason.POLICY_DENIED, stage=Stage.OPEN), known(NAMES[0]).call(name, kind):
            pass
    with refused(Reason.NOT_READY, stage=Stage.OPEN), Submitters().call(NAMES[0], kind):
        pass


def test_a_stranger_may_ask_for_health() -> None:
    with Submitters().call("nobody", Kind.HEALTH):
        pass


@given(st.sampled_from(Kind), st.integers(1, 5))
def test_x01_p07_greedy_callers_leave_a_share_for_the_next(kind: Kind, greedy: int) -> None:
    submitters = known(*NAMES, "newcomer")
    with ExitStack() as stack:
        for name in NAMES[:greedy]:
            with refused(Reason.OVERLOADED):
                while True:
                    stack.enter_context(submitters.call(name, kind))
        share = POOLS[kind] // 2**greedy
        assert share > 0
        for _ in range(share // 2):
            stack.enter_context(submitters.call("newcomer", kind))


@given(st.sampled_from(Kind), st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=400))
def test_calls_are_counted_as_by_a_slow_twin(kind: Kind, steps: list[tuple[str, bool]]) -> None:
    submitters, twin = known(*NAMES), Counter[str]()
    held: list[tuple[str, ExitStack]] = []
    with ExitStack() as stack:
        for name, opens in steps:
            if not opens and twin[name]:
                position = next(i for i, (held_name, _) in enumerate(held) if held_name == name)
                held.pop(position)[1].close()
                twin[name] -= 1
                continue
            allowed = twin[name] < POOLS[kind] - twin.total()
            call = ExitStack()
            try:
                call.enter_context(submitters.call(name, kind))
            except Refusal:
                assert not allowed
                continue
            assert allowed
            twin[name] += 1
            held.append((name, stack.enter_context(call)))
            assert submitters.open_calls(kind) == twin.total()
    assert submitters.open_calls(kind) == 0
    assert submitters._open[kind] == {}


@given(st.lists(st.tuples(st.sampled_from(Reason), st.sampled_from(NAMES)), max_size=200))
def test_x01_a_report_has_one_message_for_a_reason(calls: list[tuple[Reason, str]]) -> None:
    counter = RefusedCounter()
    first = dict(reversed(calls))
    logged = [counter.count(reason, source="s" * 500, identity=name) for reason, name in calls]
    found = counter.take()
    assert sum(logged) == len(found) == len(first)
    assert {each.reason: each.count for each in found} == Counter(reason for reason, _ in calls)
    assert {each.reason: each.identity for each in found} == first
    assert all(len(each.source) <= 128 for each in found)
    assert counter.take() == []


@pytest.mark.parametrize("fronts", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("kind", list(Kind))
def test_the_parts_of_several_fronts_are_one_pool(fronts: int, kind: Kind) -> None:
    """However a caller spreads its calls over fronts, it has no more of all than it would have of one."""
    parts, mine = [Submitters(fronts=fronts) for _ in range(fronts)], 0
    with ExitStack() as held:
        for part in parts:
            part.replace([identity_sha256("a")])
            with suppress(Refusal):
                while True:
                    held.enter_context(part.call("a", kind))
                    mine += 1
    assert POOLS[kind] // 2 - fronts <= mine <= POOLS[kind] // 2
