import pytest

from cji_core.errors import Reason
from cji_core.format.job import LIMITS, Empty, Event, Finish, HalfClose, Limits, Open, Phase, RunState, Segment, advance
from tests.support.refusals import refused

MIB = LIMITS.segment_bytes
FULL_FIRST = MIB + LIMITS.floe_header_bytes
SHORTEST = LIMITS.segment_min_bytes


def seg(part: int, index: int, size: int | None = None) -> Segment:
    return Segment(part=part, index=index, size=size if size is not None else (FULL_FIRST if index == 0 else MIB))


def run(*events: Event, limits: Limits = LIMITS) -> RunState:
    state = RunState()
    for event in events:
        state = advance(state, event, limits=limits)
    return state


def refusal(*events: Event, limits: Limits = LIMITS) -> Reason:
    state = run(*events[:-1], limits=limits)
    with refused() as caught:
        advance(state, events[-1], limits=limits)
    return caught.value.reason


TWO = Open(parts=2)


def test_a_stream_of_two_parts_runs_to_its_end() -> None:
    state = run(TWO, seg(0, 0), seg(0, 1), seg(0, 2, 100), seg(1, 0, 106), Finish(), HalfClose())
    assert state.phase is Phase.CLOSED
    assert state.job_bytes == FULL_FIRST + MIB + 100 + 106


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([seg(0, 0)], Reason.MALFORMED_HEADER),
        ([Empty()], Reason.MALFORMED_HEADER),
        ([Finish()], Reason.INCOMPLETE),
        ([HalfClose()], Reason.INCOMPLETE),
        ([Open(parts=0)], Reason.MALFORMED_HEADER),
        ([Open(parts=17)], Reason.MALFORMED_HEADER),
        ([TWO, TWO], Reason.MALFORMED_HEADER),
        ([TWO, seg(0, 0), TWO], Reason.MALFORMED_HEADER),
        ([TWO, Empty()], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(1, 0)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(0, 0)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(0, 2)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 0), seg(0, 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 0), seg(2, 0)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0, 500), seg(0, 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(0, 1, MIB - 1), seg(0, 2)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0, 74 + SHORTEST - 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(0, 1, SHORTEST - 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0, FULL_FIRST + 1)], Reason.LIMIT_EXCEEDED),
        ([TWO, seg(0, 0), seg(0, 1, MIB + 1)], Reason.LIMIT_EXCEEDED),
        ([TWO, Finish()], Reason.INCOMPLETE),
        ([TWO, seg(0, 0), Finish()], Reason.INCOMPLETE),
        ([TWO, HalfClose()], Reason.INCOMPLETE),
        ([TWO, seg(0, 0), seg(1, 0), HalfClose()], Reason.INCOMPLETE),
        ([TWO, seg(0, 0), seg(1, 0), Finish(), Finish()], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 0), Finish(), seg(1, 1)], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 0), Finish(), Empty()], Reason.SEGMENT_INVALID),
        ([TWO, seg(0, 0), seg(1, 0), Finish(), HalfClose(), HalfClose()], Reason.INCOMPLETE),
    ],
)
def test_what_does_not_follow_is_refused(events: list[Event], reason: Reason) -> None:
    assert refusal(*events) is reason


def test_a_job_over_its_bytes_ends_at_the_segment_over_them() -> None:
    limits = Limits(job_bytes=FULL_FIRST + MIB)
    run(TWO, seg(0, 0), seg(0, 1), limits=limits)
    assert refusal(TWO, seg(0, 0), seg(0, 1), seg(0, 2, SHORTEST), limits=limits) is Reason.LIMIT_EXCEEDED


def test_the_shortest_part_has_one_empty_segment() -> None:
    assert run(Open(parts=1), seg(0, 0, 74 + SHORTEST), Finish()).phase is Phase.FINISHED
