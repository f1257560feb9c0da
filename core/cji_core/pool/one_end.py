"""One end per job: every decision about a job in a pool, as pure functions of what its ledger has.

A claim binds nobody. Any worker may begin the same header while the job has no end and fewer attempts than `tries`;
whichever creates `{job}/end` first has ended it, and nobody releases or publishes anything else. An end names the
receipt or the failure receipt by its digest.

    exchange   event                          then
    Reading    entry of another header        Decided REPLAYED
               entry, foreign                 the next number; undecided, or too many foreign: LEDGER_UNAVAILABLE
               no entry at number 0           there is no end either: every end has an entry before it
               no entry at a later number     the end is read
               an end of this header          Decided; a claim is refused with ALREADY_EXISTS
               no end, a claim                its day is counted, if no attempt was; then its entry is created
               `tries` attempts, no end       Decided ATTEMPTS_EXHAUSTED
               no end, given up               an entry that counts nothing is created, if there is none
               entry exists at creation       it is mine, if the answer was lost; else it is read as any other
    Ending     created                        Decided: mine is the end
               exists                         it is read: the end, or foreign, and the next name is created
               exists, and is absent          LEDGER_UNAVAILABLE: the storage contradicts itself

No input or output, no clock, no key: who performs an effect reports its outcome as the next event, with entries as
`entries.read_entry` finds them. All that is repeated, lost or cut short leads here again, to the same decision.
`is_final` and `after_attempt` are the decisions of a ticket's slot.
"""

import enum
from dataclasses import dataclass, replace
from typing import Final

from cji_core.errors import REASONS, Reason
from cji_core.pool.entries import MAX_FOREIGN, Attempt, End, Kind, NoEntry

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Read:
    """The blob at the name: an entry, or none that can be used."""

    found: Attempt | End | NoEntry


class Answer(enum.Enum):
    """The other outcomes of effects."""

    ABSENT = enum.auto()
    CREATED = enum.auto()
    EXISTS = enum.auto()
    COUNTED = enum.auto()
    DENIED = enum.auto()


Event = Read | Answer

# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class ReadAttempt:
    """Read the attempt entry of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """Read the end of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class CountDay:
    """Take a number of the day for this job."""


@dataclass(frozen=True, slots=True)
class CreateAttempt:
    """Create the attempt entry of this number and kind."""

    number: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class CreateEnd:
    """Create the end of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Decided: the attempt of this number may begin."""

    number: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Decided: nothing may be done."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class DeniedDay:
    """Decided: no job is left on this day."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Decided: the job has this end."""

    end: End


@dataclass(frozen=True, slots=True)
class Open:
    """Decided: the job has no end; these are its entries, and the number of the last one, if there is one."""

    attempts: tuple[Attempt, ...]
    last: int | None

    @property
    def counted(self) -> int:
        """Attempts that may have begun."""
        return counted(self.attempts)


Decision = Begin | Refused | DeniedDay | Ended | Open
Effect = ReadAttempt | ReadEnd | CountDay | CreateAttempt | CreateEnd | Decision


class Purpose(enum.Enum):
    """Why the ledger of a job is read."""

    CLAIM = enum.auto()
    """To begin an attempt."""
    GIVE_UP = enum.auto()
    """To end it without one; an entry is there afterwards."""
    LOOK = enum.auto()
    """To see whether it has an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The exchange about one job, as far as it has come."""

    purpose: Purpose
    name: str = ""
    """Of the entry that it may create: random, so no other one has it."""
    kind: Kind = Kind.WHOLE
    header_sha384: str | None = None
    """Of the job; None to look at whatever the id was used for."""
    tries: int = 0
    attempts: tuple[Attempt, ...] = ()
    number: int = 0
    """The next attempt entry."""
    ends: int | None = None
    """The next end, while ends are read."""
    named: End | None = None
    """An end of an attempt that has not been read."""
    foreign: int = 0
    day_counted: bool = False
    creating: bool = False


def begin_reading(state: Reading) -> tuple[Reading, Effect]:
    """The first step."""
    return state, ReadAttempt(state.number)


def read_on(state: Reading, event: Event) -> tuple[Reading, Effect]:
    """The next step. Raises ValueError for an event that does not answer the last effect."""
    if isinstance(event, Read):
        return _found(state, event.found)
    match event:
        case Answer.COUNTED:
            return _create(replace(state, day_counted=True))
        case Answer.DENIED:
            return state, DeniedDay()
        case Answer.ABSENT:
            return _absent(state)
    if not state.creating:
        raise ValueError(event)
    return _created(state) if event is Answer.CREATED else (state, ReadAttempt(state.number))


def _absent(state: Reading) -> tuple[Reading, Effect]:
    if state.creating:
        return state, Refused(Reason.LEDGER_UNAVAILABLE)
    return _no_more_attempts(state) if state.ends is None else _no_end(state)


def _found(state: Reading, found: Attempt | End | NoEntry) -> tuple[Reading, Effect]:
    if found is NoEntry.UNDECIDED:
        return state, Refused(Reason.LEDGER_UNAVAILABLE)
    if found is NoEntry.FOREIGN:
        return _foreign(state)
    if isinstance(found, End):
        return _end(state, found)
    if not isinstance(found, Attempt):
        raise TypeError(found)
    if state.header_sha384 not in {None, found.header_sha384}:
        return state, Refused(Reason.REPLAYED)
    if state.creating and found.name == state.name:
        return _created(state)
    state = replace(state, attempts=(*state.attempts, found), number=state.number + 1, creating=False)
    return state, ReadAttempt(state.number)


def _foreign(state: Reading) -> tuple[Reading, Effect]:
    if state.foreign >= MAX_FOREIGN:
        return state, Refused(Reason.LEDGER_UNAVAILABLE)
    state = replace(state, foreign=state.foreign + 1)
    if state.ends is not None:
        state = replace(state, ends=state.ends + 1)
        return state, ReadEnd(state.ends or 0)
    state = replace(state, number=state.number + 1, creating=False)
    return state, ReadAttempt(state.number)


def _no_more_attempts(state: Reading) -> tuple[Reading, Effect]:
    if (named := state.named) is not None:
        if named.attempt in {each.number for each in state.attempts}:
            return _end(state, named)
        return state, Refused(Reason.LEDGER_UNAVAILABLE)  # entries are never removed: the ledger contradicts itself
    if state.number == 0:
        return _no_end(state)
    state = replace(state, ends=0)
    return state, ReadEnd(0)


def _end(state: Reading, found: End) -> tuple[Reading, Effect]:
    if state.header_sha384 not in {None, found.header_sha384}:
        return state, Refused(Reason.REPLAYED)
    if found.attempt not in {each.number for each in state.attempts}:
        if found.attempt < state.number:
            return state, Refused(Reason.LEDGER_UNAVAILABLE)
        # the entry was created after the last one was read
        return replace(state, named=found, ends=None), ReadAttempt(state.number)
    if state.purpose is Purpose.CLAIM:
        return state, Refused(Reason.ALREADY_EXISTS)
    return state, Ended(found)


def _no_end(state: Reading) -> tuple[Reading, Effect]:
    if state.purpose is Purpose.CLAIM:
        return _claim(state)
    if state.purpose is Purpose.LOOK or state.attempts:
        return state, _open(state)
    return _create(replace(state, kind=Kind.NONE))


def _claim(state: Reading) -> tuple[Reading, Effect]:
    parts = [each for each in state.attempts if each.kind is Kind.PARTS]
    if state.kind is Kind.PARTS and parts:
        return state, Begin(parts[0].number)
    done = counted(state.attempts)
    if done >= state.tries:
        return state, Refused(Reason.ATTEMPTS_EXHAUSTED)
    if not done and not state.day_counted:
        return state, CountDay()
    return _create(state)


def _create(state: Reading) -> tuple[Reading, Effect]:
    return replace(state, creating=True, ends=None), CreateAttempt(state.number, state.kind)


def _created(state: Reading) -> tuple[Reading, Effect]:
    if state.purpose is Purpose.GIVE_UP:
        return state, Open((), state.number)
    return state, Begin(state.number)


def _open(state: Reading) -> Open:
    return Open(state.attempts, state.attempts[-1].number if state.attempts else None)


def counted(attempts: tuple[Attempt, ...]) -> int:
    """How many of these entries are attempts."""
    return sum(each.kind.counts for each in attempts)


# ---------------------------------------------------------------- the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The creation of an end. `mine` is the end that is offered."""

    mine: End
    number: int = 0


def begin_ending(state: Ending) -> tuple[Ending, Effect]:
    """The first step."""
    return state, CreateEnd(state.number)


def end_on(state: Ending, event: Event) -> tuple[Ending, Effect]:
    """The next step. Raises ValueError for an event that does not answer the last effect."""
    match event:
        case Answer.CREATED:
            return state, Ended(state.mine)
        case Answer.EXISTS:
            return state, ReadEnd(state.number)
        case Answer.ABSENT | Read(NoEntry.UNDECIDED):
            return state, Refused(Reason.LEDGER_UNAVAILABLE)
        case Read(NoEntry.FOREIGN):
            if state.number >= MAX_FOREIGN:
                return state, Refused(Reason.LEDGER_UNAVAILABLE)
            state = replace(state, number=state.number + 1)
            return state, CreateEnd(state.number)
        case Read(End() as found):
            return state, Ended(found)
    raise ValueError(event)


# ---------------------------------------------------------------- a ticket's slot


NOT_BEGUN: Final = frozenset(
    {
        Reason.OVERLOADED,
        Reason.NOT_READY,
        Reason.DRAINING,
        Reason.KEY_THROTTLED,
        Reason.KEY_RELEASE_DENIED,
        Reason.ATTESTATION_REJECTED,
        Reason.AUDIT_UNAVAILABLE,
        Reason.LEDGER_UNAVAILABLE,
    }
)
"""Refusals before admission that say nothing about the job."""
_ELSEWHERE: Final = frozenset({Reason.ALREADY_EXISTS, Reason.UNKNOWN_KEY, Reason.UNKNOWN_REFERENCE})
"""Refusals of one worker, or of one moment, that another one may not share."""
BY_POLICY: Final = frozenset({Reason.POLICY_DENIED, Reason.HEADER_SIGNATURE_INVALID, Reason.SUITE_NOT_ACCEPTED})
"""Refusals before admission by this worker's policy, which may be older or newer than another's: until the header has
expired, another one may admit the job."""


def is_final(reason: Reason) -> bool:
    """Whether no worker will accept the job, however few attempts it had."""
    if reason in {Reason.CANCELLED, Reason.ATTEMPTS_EXHAUSTED}:
        return True
    info = REASONS[reason]
    return info.blame == "caller" and not info.retryable and reason not in _ELSEWHERE


class Next(enum.Enum):
    """The next step with a ticket."""

    DELETE = enum.auto()
    """The job has its end."""
    GIVE_UP = enum.auto()
    """A failure receipt is signed, if the ledger agrees that no attempt is left."""
    SOON = enum.auto()
    """A new ticket: nothing was found out about the job."""
    BY_POLICY = enum.auto()
    """A new ticket after a minute or two."""
    LATER = enum.auto()
    """Visible again after a delay that grows."""


def after_attempt(reason: Reason, *, began: bool) -> Next:
    """The next step with the ticket of an attempt that ended for this reason, or did not begin."""
    if not began and reason in BY_POLICY:
        return Next.BY_POLICY
    if is_final(reason):
        return Next.GIVE_UP
    if not began and reason in NOT_BEGUN:
        return Next.SOON
    return Next.LATER


def may_fail(reason: Reason, *, attempts: int, tries: int) -> bool:
    """Whether a failure receipt may be signed for this reason after so many attempts, which the ledger counted."""
    return attempts >= tries or (is_final(reason) and reason is not Reason.ATTEMPTS_EXHAUSTED)
