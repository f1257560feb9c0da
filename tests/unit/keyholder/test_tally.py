"""Counts of jobs equal those of a slow count over the same events, and keep nothing else."""

from bisect import bisect_left
from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Stage
from cji_core.trail import CallsRefused, JobRefused, Volumes
from cji_worker.ipc.messages import DURATIONS_S, SEVERAL, JobCounts
from cji_worker.keyholder.tally import Tally
from tests.support import audit_events

OPERATIONS = st.lists(st.sampled_from(["link", "validate", "deidentify"]), min_size=1, max_size=3).map(tuple)
EVENTS = st.one_of(
    st.tuples(st.just("completed"), OPERATIONS, st.integers(0, 5_000_000)),
    st.tuples(st.just("ended"), OPERATIONS, st.sampled_from(Reason)),
    st.tuples(st.just("job refused"), st.just(()), st.sampled_from(Reason)),
    st.tuples(st.just("calls refused"), st.integers(1, 1000), st.sampled_from(Reason)),
)


def tallied(events: list[tuple[str, object, object]]) -> Tally:
    tally, volumes = Tally(), Volumes(rows_in=3, rows_out=2, bytes_in=50, bytes_out=40, chri_rows_out=0, subjects_out=1)
    for what, of, detail in events:
        match what, of, detail:
            case "completed", tuple(), int():
                event = audit_events.completed(bytes(16), bytes(48))
                tally.completed(of, msgspec.structs.replace(event, duration_ms=detail, volumes=volumes))
            case "ended", tuple(), Reason():
                tally.ended(of, msgspec.structs.replace(audit_events.ended(bytes(16), bytes(48)), reason=detail))
            case "job refused", _, Reason():
                tally.refused(JobRefused(source="a", stage=Stage.ADMIT, reason=detail, correlation_id="c"))
            case "calls refused", int(), Reason():
                tally.refused(CallsRefused(reason=detail, count=of, seconds=10, source="a"))
    return tally


@given(st.lists(EVENTS, max_size=60))
def test_counts_equal_a_slow_count(events: list[tuple[str, object, object]]) -> None:
    tally = tallied(events)
    found = tally.counts()
    names = [(what, of[0] if len(of) == 1 else SEVERAL, d) for what, of, d in events if isinstance(of, tuple) and of]
    for each in found.operations:
        durations = [d for what, name, d in names if what == "completed" and name == each.operation]
        assert each.ended == sum(what == "ended" and name == each.operation for what, name, _ in names)
        assert each.duration_ms == sum(d for d in durations if isinstance(d, int))
        for position, count in enumerate(each.completed):
            low = DURATIONS_S[position - 1] if position else -1.0
            high = DURATIONS_S[position] if position < len(DURATIONS_S) else float("inf")
            assert count == sum(low < d / 1000 <= high for d in durations if isinstance(d, int))
    assert {each.operation for each in found.operations} == {name for _, name, _ in names}
    assert tally.jobs_completed == sum(what == "completed" for what, _, _ in names)
    refused = Counter[object]()
    for what, of, reason in events:
        refused[reason] += {"job refused": 1, "calls refused": of if isinstance(of, int) else 0}.get(what, 0)
    assert {each.reason: each.count for each in found.refused} == {r: n for r, n in refused.items() if n}
    assert sum(each.count for each in found.ended) == sum(what == "ended" for what, _, _ in names)
    completed = tally.jobs_completed
    assert (found.rows_in, found.rows_out) == (3 * completed, 2 * completed)
    assert (found.bytes_in, found.bytes_out) == (50 * completed, 40 * completed)
    assert msgspec.convert(msgspec.to_builtins(found), JobCounts) == found


def test_a_duration_at_a_bound_belongs_below_it() -> None:
    found = tallied([("completed", ("link",), 500), ("completed", ("link",), 501)]).counts().operations[0].completed
    assert found[bisect_left(DURATIONS_S, 0.5)] == 1
    assert found[bisect_left(DURATIONS_S, 1.0)] == 1


def test_no_count_is_too_large_for_its_message() -> None:
    many = CallsRefused(reason=Reason.OVERLOADED, count=(1 << 63) - 1, seconds=1, source="a")
    tally = Tally()
    tally.refused(many)
    tally.refused(many)
    assert msgspec.convert(msgspec.to_builtins(tally.counts()), JobCounts).refused[0].count == (1 << 63) - 1
