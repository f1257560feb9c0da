"""The life of a job under any sequence of events: what must hold at every step, and at the end."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.ipc.messages import Summary, Witnessed
from cji_worker.keyholder.lifecycle import (
    BEGIN,
    Action,
    Done,
    Effect,
    Event,
    Failed,
    Phase,
    Refuse,
    Step,
    Vouched,
    WriteEnd,
    WriteReceipt,
    advance,
)

CELL = Summary(inputs=(), outputs=(), result_header=b"", rows_in=0, rows_out=())
FRONT = Witnessed(call=1, inputs=(), outputs=(), result_header_sha384=bytes(48))
VOUCHED = Vouched(CELL, FRONT)
REFUSALS = [Refusal(reason, stage=Stage.COMPUTE) for reason in (Reason.CELL_FAILED, Reason.INCOMPLETE)]
CAN_FAIL = (Action.WRITE_ADMISSION, Action.OPEN_CELL, Action.MAKE_END)

failures = st.sampled_from(REFUSALS).map(Failed)
from_outside = failures | st.just(VOUCHED)
outcomes = st.just(Done()) | failures
events = outcomes | from_outside


def has_outcome(effect: Effect) -> bool:
    return effect in CAN_FAIL or isinstance(effect, WriteReceipt)


class World:
    """Everything that a job has an effect on, and the rules about its order."""

    def __init__(self) -> None:
        self.trail: list[str] = []
        self.ended = False
        self.last_words: list[Effect] = []
        self.seen = Counter[Effect | type[Effect]]()

    def perform(self, effect: Effect, *, succeeds: bool) -> None:
        self.seen[effect if isinstance(effect, Action) else type(effect)] += 1
        match effect:
            case Action.WRITE_ADMISSION if succeeds:
                self.trail.append("admitted")
            case Action.OPEN_CELL:
                assert self.trail == ["admitted"]
            case WriteReceipt() if succeeds:
                self.trail.append("completed")
            case Action.MAKE_END:
                assert self.trail == ["admitted", "completed"]
                self.ended = succeeds
            case Action.RETAIN_REFERENCE | Action.SEND_RECEIPT:
                assert self.trail == ["admitted", "completed"]
                assert self.ended
            case WriteEnd():
                assert self.trail == ["admitted"]
                self.trail.append("ended")
            case Refuse():
                pass
        if effect is Action.SEND_RECEIPT or isinstance(effect, Refuse):
            self.last_words.append(effect)

    def check_end(self) -> None:
        """What holds of a job that is over."""
        assert self.trail in ([], ["admitted", "ended"], ["admitted", "completed"])
        assert len(self.last_words) == 1
        if self.last_words == [Action.SEND_RECEIPT]:
            assert self.trail[-1:] == ["completed"]
        assert self.seen[Action.KILL_CELL] == 1
        assert max(self.seen.values()) == 1, "an effect came twice"


def take(world: World, step: Step, data: st.DataObject) -> Phase:
    """Perform a step as `jobs` does: an outcome is the next event."""
    phase, effects = step
    for effect in effects:
        if not has_outcome(effect):
            world.perform(effect, succeeds=True)
            continue
        assert effect is effects[-1], "what can fail comes last"
        outcome: Event = data.draw(outcomes)
        world.perform(effect, succeeds=isinstance(outcome, Done))
        return take(world, advance(phase, outcome), data)
    return phase


@given(data=st.data())
def test_any_sequence_of_events_keeps_the_invariants(data: st.DataObject) -> None:
    world = World()
    phase = take(world, BEGIN, data)
    for event in data.draw(st.lists(from_outside, max_size=6)):
        assert phase in {Phase.RUNNING, Phase.OVER}, "only a running job waits"
        phase = take(world, advance(phase, event), data)
    if phase is not Phase.OVER:
        assert world.trail == ["admitted"]
        assert not world.last_words
        phase = take(world, advance(phase, Failed(REFUSALS[0])), data)
    assert phase is Phase.OVER
    world.check_end()


@given(event=events)
def test_nothing_happens_to_a_job_that_is_over(event: Event) -> None:
    assert advance(Phase.OVER, event) == (Phase.OVER, ())


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_statements_count_only_while_the_job_runs(phase: Phase) -> None:
    assert advance(phase, VOUCHED) == (phase, ())


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.RUNNING, Phase.COMPLETING])
def test_a_failure_kills_the_cell_before_anybody_is_told(phase: Phase) -> None:
    refusal = REFUSALS[1]
    assert advance(phase, Failed(refusal)) == (Phase.OVER, (Action.KILL_CELL, WriteEnd(refusal), Refuse(refusal)))


def test_a_receipt_that_is_not_the_end_is_released_to_nobody() -> None:
    refusal = REFUSALS[1]
    assert advance(Phase.ENDING, Failed(refusal)) == (Phase.OVER, (Action.KILL_CELL, Refuse(refusal)))


def test_the_way_of_a_job_that_goes_well() -> None:
    phase, done = BEGIN[0], list(BEGIN[1])
    for event in (Done(), Done(), VOUCHED, Done(), Done()):
        phase, effects = advance(phase, event)
        done += effects
    assert phase is Phase.OVER
    assert done == [
        Action.SEND_HEADER,
        Action.LEND_CELL,
        Action.WRITE_ADMISSION,
        Action.OPEN_CELL,
        Action.AWAIT_CELL,
        WriteReceipt(CELL, FRONT),
        Action.MAKE_END,
        Action.RETAIN_REFERENCE,
        Action.SEND_RECEIPT,
        Action.KILL_CELL,
    ]
