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
    Stopped,
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

refusals = st.sampled_from(REFUSALS)
from_outside = refusals.map(Stopped) | st.just(VOUCHED)
outcomes = st.just(Done()) | refusals.map(Failed)
events = outcomes | from_outside


def has_outcome(effect: Effect) -> bool:
    return effect in CAN_FAIL or isinstance(effect, WriteReceipt)


def is_line(effect: Effect) -> bool:
    """Whether the outcome comes from the disk: other events can come before it."""
    return effect is Action.WRITE_ADMISSION or isinstance(effect, WriteReceipt)


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
            case WriteEnd():  # it waits for the disk, and writes nothing without the admission
                assert "completed" not in self.trail
                if self.trail:
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


class Job:
    """Performs steps as `jobs` does: an outcome is the next event, that of a line once the disk has decided it."""

    def __init__(self, data: st.DataObject) -> None:
        self.world, self.data, self.phase = World(), data, BEGIN[0]
        self.waits: Effect | None = None
        self.take(BEGIN)

    def take(self, step: Step) -> None:
        self.phase, effects = step
        for effect in effects:
            if isinstance(effect, WriteEnd) and self.waits:
                self.decide()  # it ends the wait of its job's line
            if not has_outcome(effect):
                self.world.perform(effect, succeeds=True)
                continue
            assert effect is effects[-1], "what can fail comes last"
            self.waits = effect
            if not is_line(effect):
                self.tell(self.decide())

    def decide(self) -> Event:
        """The outcome of the last effect."""
        assert self.waits is not None
        outcome: Event = self.data.draw(outcomes)
        self.world.perform(self.waits, succeeds=isinstance(outcome, Done))
        self.waits = None
        return outcome

    def tell(self, event: Event) -> None:
        self.take(advance(self.phase, event))


@given(data=st.data())
def test_any_sequence_of_events_keeps_the_invariants(data: st.DataObject) -> None:
    job = Job(data)
    for event in data.draw(st.lists(from_outside | st.just(None), max_size=6)):
        assert job.phase in {Phase.ADMITTING, Phase.RUNNING, Phase.COMPLETING, Phase.OVER}, "nothing else waits"
        if event is not None:
            job.tell(event)
        elif job.waits:
            job.tell(job.decide())
    if job.waits:
        job.tell(job.decide())
    if job.phase is not Phase.OVER:
        assert job.world.trail == ["admitted"]
        assert not job.world.last_words
        job.tell(Stopped(REFUSALS[0]))
    assert job.phase is Phase.OVER
    job.world.check_end()


@given(event=events)
def test_nothing_happens_to_a_job_that_is_over(event: Event) -> None:
    assert advance(Phase.OVER, event) == (Phase.OVER, ())


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_statements_count_only_while_the_job_runs(phase: Phase) -> None:
    assert advance(phase, VOUCHED) == (phase, ())


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.COMPLETING])
def test_a_failure_kills_the_cell_before_anybody_is_told(phase: Phase) -> None:
    refusal = REFUSALS[1]
    assert advance(phase, Failed(refusal)) == (Phase.OVER, (Action.KILL_CELL, WriteEnd(refusal), Refuse(refusal)))


@pytest.mark.parametrize("phase", [Phase.ADMITTING, Phase.RUNNING])
def test_a_job_that_is_stopped_gets_its_end(phase: Phase) -> None:
    refusal = REFUSALS[1]
    assert advance(phase, Stopped(refusal)) == (Phase.OVER, (Action.KILL_CELL, WriteEnd(refusal), Refuse(refusal)))


def test_an_admission_that_is_lost_has_no_end() -> None:
    refusal = REFUSALS[1]
    assert advance(Phase.ADMITTING, Failed(refusal)) == (Phase.OVER, (Action.KILL_CELL, Refuse(refusal)))


def test_a_job_whose_receipt_waits_for_the_disk_is_not_stopped() -> None:
    """The line is on its way: only the disk decides whether there is a receipt."""
    assert advance(Phase.COMPLETING, Stopped(REFUSALS[1])) == (Phase.COMPLETING, ())


def test_a_receipt_that_is_not_the_end_is_released_to_nobody() -> None:
    refusal = REFUSALS[1]
    for event in (Failed(refusal), Stopped(refusal)):
        assert advance(Phase.ENDING, event) == (Phase.OVER, (Action.KILL_CELL, Refuse(refusal)))


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
