"""The course of a reload, as a pure state machine: events in, messages out. No clock, no file, no process.

    IDLE ── Begin ──▶ PREPARING ── all prepared ──▶ WRITING ── on disk ──▶ SWITCHING ── fronts switched ──▶ IDLE
                          │ a fault, or too late        │ a fault
                          └──────── abandoned ──────────┴──────────▶ IDLE

Contract and invariants
* All or nothing: policy, authorities and revocation lists come into force only after all were checked and the change is
  on disk. Until then every fault leaves everything as it was, and the requester gets it.
* All are the keyholder and every front: what one front has not taken no caller may count on. A front that has drained
  has no caller.
* The last step cannot be refused. If it does not come about in time, or a process answers what it was not asked, the
  state is unknown: the worker ends, and starts again with the new files.
* One reload at a time. An answer to another one than the current changes nothing.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Literal

from cji_worker.ipc.messages import (
    AbandonReload,
    ClientsChange,
    CommitClients,
    CommitPolicy,
    EverywhereInForce,
    Reloaded,
    ReloadFault,
    Requester,
    reload_fault,
)

STEP_S: Final = 10.0
"""Longest time of each step."""
BUSY: Final = reload_fault("reload", "Another reload is running", "Wait for its end, then run the command again.")
DRAINING: Final = reload_fault("reload", "The worker is shutting down", "Start it again: it reads its files then.")
LATE: Final = reload_fault("reload", "A process did not check its files in time", "Run the command again.")

KEYHOLDER: Final = "keyholder"
"""The name of the checker of policies. The others are fronts, which check authorities and revocation lists."""


class Phase(Enum):
    """The position of a reload."""

    IDLE = auto()
    PREPARING = auto()
    WRITING = auto()
    SWITCHING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The current reload of a worker with these `fronts`. `number` is that of the last one; it is never used twice."""

    fronts: frozenset[str]
    phase: Phase = Phase.IDLE
    number: int = 0
    by: Requester = "signal"
    uid: int = 0
    until: float = 0.0
    done: frozenset[str] = frozenset()
    """Checkers that have answered in this phase."""
    clients: ClientsChange | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Files were read; they go to all checkers under the number of the new state."""

    by: Requester
    uid: int
    now: float


@dataclass(frozen=True, slots=True)
class Unread:
    """A file could not be read."""

    by: Requester
    uid: int
    fault: ReloadFault


@dataclass(frozen=True, slots=True)
class Checked:
    """A checker's answer."""

    checker: str
    number: int
    fault: ReloadFault | None
    clients: ClientsChange | None
    now: float


@dataclass(frozen=True, slots=True)
class Switched:
    """A checker's answer to a commit."""

    checker: str
    number: int
    fault: ReloadFault | None
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes."""

    now: float


@dataclass(frozen=True, slots=True)
class Gone:
    """A front of a worker that drains has ended, and serves nobody any more."""

    front: str


Event = Begin | Unread | Checked | Switched | Tick | Gone


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a child, or to every front."""

    to: Literal["keyholder", "fronts", "control"]
    message: AbandonReload | CommitPolicy | CommitClients | EverywhereInForce | Reloaded


@dataclass(frozen=True, slots=True)
class GiveOut:
    """Send the files that were read to their checkers."""


@dataclass(frozen=True, slots=True)
class EndWorker:
    """The state of the worker is unknown."""


Effect = Send | GiveOut | EndWorker
Step = tuple[State, tuple[Effect, ...]]


def advance(state: State, event: Event) -> Step:
    """The next state and what has to be done."""
    step: Step = state, ()
    match event:
        case Begin() | Unread() if state.phase is not Phase.IDLE:
            step = state, (Send("control", Reloaded(fault=BUSY)),)
        case Begin(by, uid, now):
            begun = replace(_idle(state), phase=Phase.PREPARING, number=state.number + 1, by=by, uid=uid)
            step = replace(begun, until=now + STEP_S), (GiveOut(),)
        case Unread(by, uid, fault):
            step = _abandoned(replace(state, by=by, uid=uid), fault)
        case Checked() if event.number == state.number and state.phase is Phase.PREPARING:
            step = _checked(state, event)
        case Switched() if event.number == state.number and state.phase in (Phase.WRITING, Phase.SWITCHING):
            step = _switched(state, event)
        case Gone(front):
            step = _without(state, front)
        case Tick(now) if state.phase is Phase.PREPARING and now >= state.until:
            step = _abandoned(state, LATE)
        case Tick(now) if state.phase is not Phase.IDLE and now >= state.until:
            step = state, (EndWorker(),)
    return step


def _checked(state: State, event: Checked) -> Step:
    if event.fault is not None:
        return _abandoned(state, event.fault)
    clients = state.clients
    if event.checker in state.fronts:
        clients = event.clients
        if clients is None or state.clients not in (None, clients):  # it prepared nothing, or not what another did
            return state, (EndWorker(),)
    done = state.done | {event.checker}
    if clients is None or done != state.fronts | {KEYHOLDER}:
        return replace(state, done=done, clients=clients), ()
    writing = replace(state, phase=Phase.WRITING, done=frozenset(), clients=clients, until=event.now + STEP_S)
    commit = CommitPolicy(number=state.number, by=state.by, uid=state.uid, clients=clients)
    return writing, (Send("keyholder", commit),)


def _switched(state: State, event: Switched) -> Step:
    match state.phase, event.checker, event.fault:
        case Phase.WRITING, "keyholder", None:
            switching = replace(state, phase=Phase.SWITCHING, until=event.now + STEP_S)
            return switching, (Send("fronts", CommitClients(number=state.number)),)
        case Phase.WRITING, "keyholder", ReloadFault() as fault:
            return _abandoned(state, fault)
        case Phase.SWITCHING, front, None if front in state.fronts - state.done:
            done = state.done | {front}
            if done == state.fronts:
                return _done(state)
            return replace(state, done=done), ()
    return state, (EndWorker(),)


def _without(state: State, front: str) -> Step:
    """A reload that is being prepared, or written, is not begun again for the others: it ends by its time."""
    left = replace(state, fronts=state.fronts - {front}, done=state.done - {front})
    if state.phase is Phase.SWITCHING and left.done == left.fronts:
        return _done(left)
    return left, ()


def _done(state: State) -> Step:
    in_force = EverywhereInForce(number=state.number)
    return _idle(state), (Send("keyholder", in_force), Send("control", Reloaded(fault=None)))


def _abandoned(state: State, fault: ReloadFault) -> Step:
    abandon = AbandonReload(by=state.by, uid=state.uid, fault=fault)
    sends = (Send("keyholder", abandon), Send("fronts", abandon), Send("control", Reloaded(fault=fault)))
    return _idle(state), sends


def _idle(state: State) -> State:
    return State(fronts=state.fronts, number=state.number)
