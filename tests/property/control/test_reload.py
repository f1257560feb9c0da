"""A reload under any sequence of events: all of it comes into force or nothing, and every requester gets an end."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from cji_worker.control.reload import (
    BUSY,
    LATE,
    STEP_S,
    Begin,
    Checked,
    Effect,
    EndWorker,
    Event,
    GiveOut,
    Gone,
    Phase,
    Send,
    State,
    Step,
    Switched,
    Tick,
    Unread,
    advance,
)
from cji_worker.ipc.messages import (
    AbandonReload,
    ClientDigests,
    ClientsChange,
    CommitClients,
    CommitPolicy,
    EverywhereInForce,
    Reloaded,
    reload_fault,
)

FAULT = reload_fault("policy_file", "it is wrong", "Correct it.")
DIGESTS = ClientDigests(client_roots=bytes(48), client_crl=None)
CLIENTS = ClientsChange(before=DIGESTS, after=DIGESTS)
FRONTS = frozenset({"front"})
TWO = frozenset({"front", "front-1"})
faults = st.none() | st.just(FAULT)


@dataclass
class World:
    """The processes as far as a reload touches them: the version that each has in force, and holds prepared."""

    fronts: frozenset[str]
    version: int = 0
    policy: int = 0
    clients: int = 0
    took: set[str] = field(default_factory=set)
    prepared: dict[str, int] = field(default_factory=dict)
    owed: int = 0
    ended: bool = False
    trail: list[str] = field(default_factory=list)

    def perform(self, effects: tuple[Any, ...]) -> None:
        for effect in effects:
            match effect:
                case GiveOut():
                    self.version += 1
                    self.prepared.clear()
                case Send("keyholder", CommitPolicy()):
                    assert self.prepared == dict.fromkeys(self.fronts | {"keyholder"}, self.version), "not all are"
                case Send("fronts", CommitClients()):
                    assert self.policy == self.version, "the policy comes first"
                    self.clients = self.version
                    self.took.clear()
                case Send("keyholder", EverywhereInForce()):
                    assert self.policy == self.clients == self.version, "a quote would show what is not in use"
                    assert self.took == self.fronts, "a front has not switched"
                case Send("keyholder", AbandonReload()):
                    self.trail.append("refused")
                case Send("fronts", AbandonReload()):
                    self.prepared.clear()
                case Send("control", Reloaded(fault=fault)):
                    self.owed -= 1
                    if fault is None:
                        assert self.took == self.fronts, "a front has not switched"
                        self.trail.append("done")
                case EndWorker():
                    self.ended = True


class Drawn(NamedTuple):
    """A step of the world before it is known which reload it is in: `late` is added to that one's number."""

    wait: float
    late: int
    kind: str
    checker: str
    fault: Any


def drawn(fronts: frozenset[str]) -> st.SearchStrategy[tuple[frozenset[str], list[Drawn]]]:
    """Sequences of steps of a worker with these fronts."""
    step = st.builds(
        Drawn,
        st.sampled_from([0.0, 1.0, STEP_S + 1]),
        st.sampled_from([0, -1, 1]),
        st.sampled_from([*["on"] * 6, "begin", "unread", "checked", "switched", "tick", "gone"]),
        st.sampled_from(["keyholder", *sorted(fronts)]),
        faults,
    )
    return st.tuples(st.just(fronts), st.integers(1, 25).flatmap(lambda n: st.lists(step, min_size=n, max_size=n)))


def event_of(step: Drawn, state: State, now: float, fronts: frozenset[str]) -> Event:
    """What happens now; "on" is what a reload that goes well waits for."""
    number = state.number
    match step.kind:
        case "on" if state.phase is Phase.IDLE:
            return Begin("command", 1, now)
        case "on" if state.phase is Phase.PREPARING:
            return Checked(min({*state.fronts, "keyholder"} - state.done, default="front"), number, None, CLIENTS, now)
        case "on" if state.phase is Phase.WRITING:
            return Switched("keyholder", number, None, now)
        case "on":
            return Switched(min(state.fronts - state.done, default="front"), number, None, now)
        case "begin":
            return Begin("command", 1, now)
        case "unread":
            return Unread("signal", 1, FAULT)
        case "checked":
            return Checked(step.checker, number + step.late, step.fault, CLIENTS, now)
        case "switched":
            return Switched(step.checker, number + step.late, step.fault, now)
        case "tick":
            return Tick(now)
    return Gone(step.checker if step.checker in fronts else "front")


@settings(max_examples=150)
@given(drawn(FRONTS) | drawn(TWO))
def test_any_sequence_of_events_is_all_or_nothing(given: tuple[frozenset[str], list[Drawn]]) -> None:
    fronts, taken = given
    state, world, now = State(fronts=fronts), World(fronts), 0.0
    for step in taken:
        now += step.wait
        event = event_of(step, state, now, fronts)
        before = state
        _happens(world, state, event)
        state, effects = advance(state, event)
        world.perform(effects)
        _check(world, before, state, event)
        if world.ended:
            return
    for _ in range(3):  # time alone ends what is left
        now += STEP_S + 1
        state, effects = advance(state, Tick(now))
        world.perform(effects)
    assert world.ended or (state.phase is Phase.IDLE and world.owed == 0)


def _happens(world: World, state: State, event: Event) -> None:
    """The facts behind an event."""
    match event:
        case Begin() | Unread():
            world.owed += 1
        case Gone(front=front):
            world.fronts -= {front}
            world.took.discard(front)
            world.prepared.pop(front, None)
        case Checked(checker=checker, number=number, fault=None) if number == state.number:
            world.prepared[checker] = world.version
        case Switched(checker="keyholder", number=number, fault=None) if number == state.number:
            if state.phase is Phase.WRITING:
                world.policy = world.version
        case Switched(checker=checker, number=number, fault=None) if number == state.number:
            if state.phase is Phase.SWITCHING:
                world.took.add(checker)


def _check(world: World, before: State, state: State, event: Event) -> None:
    assert state.number in (before.number, before.number + 1)
    assert world.owed in (0, 1)
    if world.ended:
        assert before.phase is not Phase.IDLE, "an idle worker ends for no answer"
        return
    if state.phase is Phase.IDLE:
        assert world.policy == world.clients, "half of a reload is in force"
    if state.phase in (Phase.PREPARING, Phase.WRITING):
        assert world.policy == world.clients < world.version


def steps(*events: Event, fronts: frozenset[str] = FRONTS) -> Step:
    state: State = State(fronts=fronts)
    effects: tuple[Effect, ...] = ()
    for event in events:
        state, effects = advance(state, event)
    return state, effects


BEGUN = Begin("command", 7, 0.0)
KEYHOLDER, FRONT = Checked("keyholder", 1, None, None, 1.0), Checked("front", 1, None, CLIENTS, 1.0)
WRITTEN, SWITCHED = Switched("keyholder", 1, None, 2.0), Switched("front", 1, None, 2.0)


def test_the_way_of_a_reload_that_goes_well() -> None:
    commit = CommitPolicy(number=1, by="command", uid=7, clients=CLIENTS)
    assert steps(BEGUN)[1] == (GiveOut(),)
    for order in ((KEYHOLDER, FRONT), (FRONT, KEYHOLDER)):
        assert steps(BEGUN, order[0])[1] == ()
        assert steps(BEGUN, *order)[1] == (Send("keyholder", commit),)
    assert steps(BEGUN, FRONT, KEYHOLDER, WRITTEN)[1] == (Send("fronts", CommitClients(number=1)),)
    done = steps(BEGUN, FRONT, KEYHOLDER, WRITTEN, SWITCHED)
    in_force = Send("keyholder", EverywhereInForce(number=1))
    assert done == (State(fronts=FRONTS, number=1), (in_force, Send("control", Reloaded(fault=None))))


def test_a_trail_that_cannot_be_written_changes_nothing() -> None:
    state, effects = steps(BEGUN, FRONT, KEYHOLDER, Switched("keyholder", 1, FAULT, 2.0))
    abandon = AbandonReload(by="command", uid=7, fault=FAULT)
    assert state == State(fronts=FRONTS, number=1)
    assert effects == (Send("keyholder", abandon), Send("fronts", abandon), Send("control", Reloaded(fault=FAULT)))


def test_a_second_reload_waits_and_a_late_one_is_over() -> None:
    assert steps(BEGUN, BEGUN)[1] == (Send("control", Reloaded(fault=BUSY)),)
    state, effects = steps(BEGUN, FRONT, Tick(STEP_S))
    assert state.phase is Phase.IDLE
    assert Send("control", Reloaded(fault=LATE)) in effects
    assert steps(BEGUN, FRONT, Tick(STEP_S), KEYHOLDER)[1] == ()


def test_a_worker_whose_state_is_unknown_ends() -> None:
    ready = (BEGUN, FRONT, KEYHOLDER)
    for events in (
        (*ready, Tick(1 + STEP_S)),
        (*ready, WRITTEN, Tick(2 + STEP_S)),
        (*ready, SWITCHED),
        (*ready, WRITTEN, WRITTEN),
        (*ready, WRITTEN, Switched("front", 1, FAULT, 2.0)),
        (BEGUN, KEYHOLDER, Checked("front", 1, None, None, 1.0)),
    ):
        assert steps(*events)[1] == (EndWorker(),)


OTHER = Checked("front-1", 1, None, CLIENTS, 1.0)


def test_every_front_checks_and_switches_before_it_counts() -> None:
    ready = (BEGUN, FRONT, KEYHOLDER)
    assert steps(*ready, fronts=TWO)[1] == ()
    assert isinstance(steps(*ready, OTHER, fronts=TWO)[1][0], Send)
    written = (*ready, OTHER, WRITTEN)
    assert steps(*written, SWITCHED, fronts=TWO)[1] == ()
    other = Switched("front-1", 1, None, 2.0)
    in_force = Send("keyholder", EverywhereInForce(number=1))
    assert steps(*written, SWITCHED, other, fronts=TWO)[1] == (in_force, Send("control", Reloaded(fault=None)))
    assert steps(*written, SWITCHED, SWITCHED, fronts=TWO)[1] == (EndWorker(),)
    assert steps(*written, SWITCHED, Tick(2 + STEP_S), fronts=TWO)[1] == (EndWorker(),)


def test_fronts_that_accept_different_callers_end_the_worker() -> None:
    changed = ClientsChange(before=DIGESTS, after=ClientDigests(client_roots=bytes([1]) * 48, client_crl=None))
    assert steps(BEGUN, FRONT, Checked("front-1", 1, None, changed, 1.0), fronts=TWO)[1] == (EndWorker(),)
