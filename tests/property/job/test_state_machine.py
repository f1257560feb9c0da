"""The Run machine against a slow, obvious model: the list of all events that were taken."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cji_core.errors import Refusal
from cji_core.format.job import LIMITS, Empty, Event, Finish, HalfClose, Open, Phase, RunState, Segment, advance

FIRST, FULL, SMALL = LIMITS.floe_header_bytes, LIMITS.segment_bytes, LIMITS.shuffle_segment_bytes
_SMALL = (SMALL - 1, SMALL, SMALL + 1, SMALL + 74, SMALL + 75)
_FULL = (FULL - 1, FULL, FULL + 1, FULL + 73, FULL + 74, FULL + 75)
SIZES = st.sampled_from([0, 31, 32, 73, 74, 105, 106, 1000, *_SMALL, *_FULL])


def legal(taken: list[Event]) -> bool:
    """Whether this whole history is one that a correct peer may have sent so far."""
    if not taken:
        return True
    opened, rest = taken[0], taken[1:]
    if not isinstance(opened, Open):
        return False
    is_task = opened.small_from is not None
    if not (0 <= opened.parts <= LIMITS.task_streams if is_task else 1 <= opened.parts <= LIMITS.parts):
        return False
    ends = [i for i, event in enumerate(rest) if not isinstance(event, Segment)]
    segments = [event for event in rest if isinstance(event, Segment)]
    if ends and ends[0] != len(segments):
        return False
    tail = rest[len(segments) :]
    if tail not in ([], [Finish()], [Finish(), HalfClose()]):
        return False
    parts = [[s for s in segments if s.part == p] for p in range(opened.parts)]
    if [s for part in parts for s in part] != segments:
        return False
    used = [part for part in parts if part]
    if parts[: len(used)] != used or (tail and len(used) != opened.parts):
        return False
    for number, part in enumerate(used):
        full = SMALL if opened.small_from is not None and number >= opened.small_from else FULL
        sealed = [s.size - (FIRST if i == 0 else 0) for i, s in enumerate(part)]
        if [s.index for s in part] != list(range(len(part))):
            return False
        if any(n != full for n in sealed[:-1]) or not 32 <= sealed[-1] <= full:
            return False
    return True


class RunMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()
        self.taken: list[Event] = []

    def feed(self, event: Event) -> None:
        before = self.state
        try:
            self.state = advance(before, event)
        except Refusal:
            assert not legal([*self.taken, event])
            assert self.state is before
            return
        self.taken.append(event)
        assert legal(self.taken)

    @rule(parts=st.integers(0, 18), small_from=st.none() | st.integers(0, 3))
    def open(self, parts: int, small_from: int | None) -> None:
        self.feed(Open(parts=parts, small_from=small_from))

    @rule(part=st.integers(0, 3), index=st.integers(0, 4), size=SIZES)
    def any_segment(self, part: int, index: int, size: int) -> None:
        self.feed(Segment(part=part, index=index, size=size))

    @precondition(lambda self: self.state.phase is Phase.STREAMING)
    @rule(size=SIZES)
    def next_segment(self, size: int) -> None:
        self.feed(Segment(part=self.state.part, index=self.state.index, size=size))

    @precondition(lambda self: self.state.phase is Phase.STREAMING)
    @rule(size=SIZES)
    def next_part(self, size: int) -> None:
        self.feed(Segment(part=self.state.part + 1, index=0, size=size))

    @rule(event=st.sampled_from([Finish(), HalfClose(), Empty()]))
    def other(self, event: Event) -> None:
        self.feed(event)

    @invariant()
    def bytes_are_those_of_the_segments(self) -> None:
        assert self.state.job_bytes == sum(event.size for event in self.taken if isinstance(event, Segment))

    @invariant()
    def closed_only_after_finish(self) -> None:
        if self.state.phase is Phase.CLOSED:
            assert self.taken[-2:] == [Finish(), HalfClose()]


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
