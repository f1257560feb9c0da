"""A pool of workers in one thread, step by step: the decisions are the product's, storage and trails are in memory.

A step is one exchange with the storage, one line of a trail, or one thing that a fleet process or a caller does. Before
and after each, a worker may crash; of each creation the answer may be lost; storage may be away; a lease ends while its
owner works; a machine may leave for good; and who can only create blobs may put anything under a name that is free.

`World` has no random: `enabled` says what may happen next, `take` does it. A schedule is a list of choices, so a run of
a search can be repeated, and a trace that a model found can be written down as one. `broken` names guards that are
taken out: the tests see each of them missed.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from cji_core.errors import Reason
from cji_core.pool import names
from cji_core.pool.entries import Attempt, End, Kind, NoEntry, Outcome
from cji_core.pool.one_end import (
    Answer,
    Begin,
    CountDay,
    CreateAttempt,
    CreateEnd,
    Decision,
    DeniedDay,
    Effect,
    Ended,
    Ending,
    Event,
    Open,
    Purpose,
    Read,
    ReadAttempt,
    ReadEnd,
    Reading,
    Refused,
    begin_ending,
    begin_reading,
    end_on,
    may_fail,
    read_on,
)
from cji_worker.trail.replay_ledger import JobState

JOB: Final = "ab" * 16
HEADER: Final = "0a" * 48
_AWAY: Final = object()
_DECIDED: Final = (Begin, Refused, DeniedDay, Ended, Open)
Step = Generator[str, str, None]
Fault = Generator[str, str, str]


@dataclass(slots=True)
class Machine:
    """A worker: what its trail says about the job, which alone survives a crash."""

    number: int
    trail: str
    state: JobState | None = None
    document: str = ""
    """Of the receipt that it signed last."""
    direct: bool = False
    committed: set[str] = field(default_factory=set)
    """Receipts whose outputs are stored."""
    gone: bool = False
    epoch: int = 0
    settling: bool = False


class BrokenError(AssertionError):
    """What must hold does not."""


@dataclass(slots=True)
class Process:
    """Something on its way, on a machine; a crash of that machine ends it."""

    what: str
    machine: Machine
    steps: Step
    epoch: int


class World:
    """One job in a pool."""

    def __init__(
        self, *, machines: int = 2, tries: int = 2, tickets: int = 0, broken: frozenset[str] = frozenset()
    ) -> None:
        self.tries, self.broken = tries, broken
        same = "same trail" in broken
        self.machines = [Machine(n, f"{0 if same else n:096x}") for n in range(machines)]
        self.blobs: dict[str, Any] = {}
        self.processes: list[Process] = []
        self.tickets, self.leases = tickets, 0
        self.released: list[str] = []
        self.published: dict[str, str] = {}
        """`receipt` and `failure` beside the results."""
        self.signed: set[str] = set()
        self.superseded: set[str] = set()
        self.began = 0
        self.claimed: dict[str, int] = {}
        """Attempts that a failure receipt states."""
        self.fault = ""
        self.trace: list[str] = []
        self._names = 0

    # ------------------------------------------------------------ what may happen

    def enabled(self) -> list[tuple[str, int]]:
        """Choices: a kind, and the number of a process or machine."""
        found = [("step", n) for n in range(len(self.processes))]
        found += [("lost", n) for n in range(len(self.processes))]
        found += [("away", n) for n in range(len(self.processes))]
        for machine in self.machines:
            if not machine.gone:
                found += [("direct", machine.number), ("crash", machine.number), ("gone", machine.number)]
                if self.tickets > self.leases:
                    found.append(("ticket", machine.number))
                if self.tickets:
                    found.append(("cancel", machine.number))
        if self.leases:
            found.append(("expire", 0))
        found.append(("junk", 0))
        return found

    def take(self, choice: tuple[str, int]) -> None:
        """Do it; what is not possible now does nothing. Raises BrokenError."""
        kind, number = choice
        self.trace.append(f"{kind} {number}")
        match kind:
            case "step" | "lost" | "away":
                if number < len(self.processes):
                    self._advance(self.processes[number], "" if kind == "step" else kind)
            case "direct":
                self._start("direct", number, lambda m: self._attempt(m, direct=True))
            case "ticket" if self.tickets > self.leases:
                self.leases += 1
                self._start("ticket", number, self._ticket)
            case "cancel" if self.tickets:
                self._start("cancel", number, lambda m: self._give_up(m, Reason.CANCELLED))
            case "expire" if self.leases:
                self.leases -= 1
            case "crash":
                self._crash(self.machines[number])
            case "gone":
                if sum(not each.gone for each in self.machines) > 1:
                    self.machines[number].gone = True
                    self._crash(self.machines[number])
            case "junk":
                self._junk()
        self.check()

    def settle(self) -> None:
        """No more faults: every process ends, every machine that is there starts again."""
        for _ in range(3):
            while self.processes:
                self._advance(self.processes[0], "")
            for machine in self.machines:
                if not machine.gone:
                    self._crash(machine)
        while self.processes:
            self._advance(self.processes[0], "")
        self.check()
        self.check_settled()

    # ------------------------------------------------------------ what must hold

    def check(self) -> None:
        """Safety, at every step."""
        documents = set(self.released) | set(self.published.values())
        self._must(len(documents) <= 1, "two ends were released or published")
        self._must(len(self.released) <= 1, "a result was released twice")
        end = self.end()
        for document in documents:
            self._must(end is not None and end.document == document, "what was released is not the end")
        entries = [each for each in self._entries() if each.kind.counts]
        self._must(len(entries) <= self.tries, "more attempts than tries")
        self._must(self.began <= len(entries), "an attempt began without an entry")
        for stated in self.claimed.values():
            self._must(stated <= len(entries), "a failure receipt states attempts that were not entered")
        self._must(not self.fault, self.fault)

    def check_settled(self) -> None:
        """At the end: each receipt of a machine that is there is the end, or superseded; an id without one lives."""
        end = self.end()
        for machine in self.machines:
            if not machine.gone and machine.state is JobState.COMPLETED and machine.direct:
                self._must(end is not None and end.document == machine.document, "a receipt stays unsettled")
        if end is None and len([e for e in self._entries() if e.kind.counts]) < self.tries:
            machine = next(each for each in self.machines if not each.gone)
            if machine.state in {None, JobState.ENDED}:
                found = self._decision(self._claim(machine, HEADER, Kind.WHOLE))
                self._must(isinstance(found, Begin) and not self._is_bound(machine), "the job id is dead")

    def end(self) -> End | None:
        """The first end that is one."""
        for number in range(100):
            found = self.blobs.get(names.end(JOB, number), _AWAY)
            if found is _AWAY:
                return None
            if isinstance(found, End):
                return found
        return None

    def _entries(self) -> list[Attempt]:
        return [each for each in self.blobs.values() if isinstance(each, Attempt)]

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise BrokenError(f"{what}: {', '.join(self.trace[-60:])}")

    # ------------------------------------------------------------ storage

    def _decision(self, exchange: "Exchange") -> Decision:
        """The exchange without a fault."""
        while not exchange.over:
            exchange.perform(self, "")
        assert isinstance(exchange.effect, _DECIDED)
        return exchange.effect

    def _exchange(self, exchange: "Exchange") -> Step:
        """One step for each effect; ends with the decision, or AWAY."""
        while not exchange.over:
            fault = yield from _faulty()
            exchange.perform(self, fault)

    def _claim(self, machine: Machine, header: str, kind: Kind) -> "Exchange":
        self._names += 1
        state = Reading(
            purpose=Purpose.CLAIM, name=f"{self._names:032x}", kind=kind, header_sha384=header, tries=self.tries
        )
        return Exchange(machine, header, reading=state)

    def _junk(self) -> None:
        free = [names.end(JOB, n) for n in range(3)] + [names.attempt(JOB, n) for n in range(4)]
        for name in free:
            if name not in self.blobs:
                self.blobs[name] = NoEntry.FOREIGN
                self.trace.append(f"junk at {name}")
                return

    # ------------------------------------------------------------ processes

    def _start(self, what: str, number: int, steps: Callable[[Machine], Step]) -> None:
        machine = self.machines[number]
        if not machine.gone and len(self.processes) < 6:
            self.processes.append(Process(what, machine, steps(machine), machine.epoch))
            next(self.processes[-1].steps, None)

    def _advance(self, process: Process, fault: str) -> None:
        try:
            process.steps.send(fault)
        except StopIteration:
            if process in self.processes:
                self.processes.remove(process)

    def _crash(self, machine: Machine) -> None:
        machine.epoch += 1
        for process in [each for each in self.processes if each.machine is machine]:
            process.steps.close()
            self.processes.remove(process)
        machine.settling = False
        if machine.state is JobState.ADMITTED:
            machine.state = JobState.ENDED
        if machine.state is JobState.COMPLETED and machine.direct:
            machine.settling = True
            self._start("settle", machine.number, self._settle)

    def _attempt(self, machine: Machine, *, direct: bool) -> Step:
        """`keyholder.jobs`: the replay ledger, the claim, the replay ledger, the admission, the end."""
        if not self._may_begin(machine):
            return
        if self._is_bound(machine):
            return
        exchange = self._claim(machine, HEADER, Kind.WHOLE)
        yield from self._exchange(exchange)
        if not isinstance(exchange.effect, Begin):
            if (
                isinstance(exchange.effect, Refused)
                and exchange.effect.reason is Reason.ATTEMPTS_EXHAUSTED
                and not direct
            ):
                yield from self._give_up(machine, Reason.ATTEMPTS_EXHAUSTED)
            return
        yield from _faulty()
        if not self._may_begin(machine):
            return
        machine.state, machine.direct = JobState.ADMITTED, direct
        self.began += 1
        fault = yield from _faulty()
        if fault == "away":  # the attempt fails
            machine.state = JobState.ENDED
            if not direct:
                yield from self._give_up(machine, Reason.CELL_FAILED)
            return
        self._names += 1
        document = f"r{self._names}"
        machine.state, machine.document = JobState.COMPLETED, document
        self.signed.add(document)
        if "release without end" in self.broken:
            (self.released if direct else self.published_as("receipt")).append(document)
            return
        yield from _faulty()
        if direct:
            machine.settling = True
            yield from self._end(machine, document, exchange.effect.number, release=self.released.append)
            return
        fault = yield from _faulty()
        if fault == "away":  # the outputs are not stored
            yield from self._withdraw(machine)
            return
        machine.committed.add(document)
        yield from self._end(machine, document, exchange.effect.number, release=self._publish_end)

    def published_as(self, name: str) -> Any:
        """What a guard that is out appends to."""
        world = self

        class Into:
            def append(self, document: str) -> None:
                world.published.setdefault(name, document)

        return Into()

    def _may_begin(self, machine: Machine) -> bool:
        return not machine.settling and (machine.state is None or machine.state.may_begin)

    def _is_bound(self, machine: Machine) -> bool:
        """Without a guard: whether another machine has claimed the job."""
        claimant = next((e for e in self._entries() if e.kind.counts), None)
        return "claims bind" in self.broken and claimant is not None and claimant.trail != machine.trail

    def _ticket(self, machine: Machine) -> Step:
        """`fleet.slot`: what is published, an attempt, and the ticket's end."""
        if not self.published:
            if machine.state is JobState.COMPLETED and not machine.direct:
                yield from self._withdraw(machine)
            yield from self._attempt(machine, direct=False)
        self.leases = max(0, self.leases - 1)
        if self.published:
            self.tickets = max(0, self.tickets - 1)

    def _end(self, machine: Machine, document: str, attempt: int, *, release: Callable[[str], None]) -> Step:
        """`keyholder.settlement`: offered until the ledger answers."""
        while True:
            exchange = Exchange(machine, HEADER, ending=self._offer(machine, Outcome.RECEIPT, document, attempt))
            yield from self._exchange(exchange)
            if isinstance(exchange.effect, Ended):
                break
            if isinstance(exchange.effect, Refused) and exchange.effect.reason is not Reason.LEDGER_UNAVAILABLE:
                self.fault = "an end was refused for good"
            if len([b for b in self.blobs.values() if b is NoEntry.FOREIGN]) > 40:
                return
        machine.settling = False
        yield from _faulty()
        if exchange.effect.end.document == document:
            release(document)
        else:
            self._supersede(machine, document)

    def _publish_end(self, document: str) -> None:
        self.published.setdefault("receipt", document)

    def _withdraw(self, machine: Machine) -> Step:
        """`Settlements.withdraw`, or the end that is there."""
        exchange = Exchange(machine, HEADER, reading=Reading(purpose=Purpose.LOOK))
        yield from self._exchange(exchange)
        match exchange.effect:
            case Ended(end) if end.document == machine.document:
                self.published.setdefault("receipt", end.document)
            case Ended(end):
                self._supersede(machine, machine.document)
                self.published.setdefault("receipt" if end.outcome is Outcome.RECEIPT else "failure", end.document)
            case Open():
                self._supersede(machine, machine.document)

    def _supersede(self, machine: Machine, document: str) -> None:
        if machine.state is JobState.COMPLETED and machine.document == document:
            machine.state = JobState.ENDED
        self.superseded.add(document)

    def _settle(self, machine: Machine) -> Step:
        """`Settlements.again`: after a start."""
        document = machine.document
        while True:
            exchange = Exchange(machine, HEADER, reading=Reading(purpose=Purpose.LOOK))
            yield from self._exchange(exchange)
            if isinstance(exchange.effect, Ended):
                machine.settling = False
                if exchange.effect.end.document != document:
                    self._supersede(machine, document)
                return
            if isinstance(exchange.effect, Open):
                mine = [each for each in exchange.effect.attempts if each.trail == machine.trail]
                yield from self._end(machine, document, mine[-1].number, release=lambda _: None)
                return

    def _give_up(self, machine: Machine, reason: Reason) -> Step:
        """`keyholder.by_reference`: the entries, whether it may fail, the line, the end, the failure receipt."""
        if not self._may_begin(machine):
            return
        self._names += 1
        state = Reading(purpose=Purpose.GIVE_UP, name=f"{self._names:032x}", header_sha384=HEADER)
        exchange = Exchange(machine, HEADER, reading=state)
        yield from self._exchange(exchange)
        if not isinstance(exchange.effect, Open) or exchange.effect.last is None or not self._may_begin(machine):
            return
        found = exchange.effect
        if "leases decide" not in self.broken and not may_fail(reason, attempts=found.counted, tries=self.tries):
            return
        self._names += 1
        document = f"f{self._names}"
        self.claimed[document] = self.tries if "leases decide" in self.broken else found.counted
        yield from _faulty()
        assert found.last is not None
        while True:
            ending = Exchange(machine, HEADER, ending=self._offer(machine, Outcome.FAILURE, document, found.last))
            yield from self._exchange(ending)
            if isinstance(ending.effect, Ended):
                break
        yield from _faulty()
        if ending.effect.end.document == document or "release without end" in self.broken:
            self.published.setdefault("failure", document)

    def _offer(self, machine: Machine, outcome: Outcome, document: str, attempt: int) -> Ending:
        return Ending(
            mine=End(
                **_claims(machine, HEADER),
                outcome=outcome,
                sha384="0c" * 48,
                attempt=attempt,
                name="00" * 16,
                document=document,
            )
        )


def _faulty() -> Fault:
    """One step, and the fault that the scheduler gives it."""
    fault = yield ""
    return fault or ""


def _claims(machine: Machine, header: str) -> dict[str, Any]:
    return {
        "job": JOB,
        "header_sha384": header,
        "submitter": "s",
        "kek_id": "https://v.example/keys/k",
        "trail": machine.trail,
        "receipt_key": "k" * 43,
    }


@dataclass(slots=True)
class Exchange:
    """`keyholder.pool_exchanges` without threads."""

    machine: Machine
    header: str
    reading: Reading | None = None
    ending: Ending | None = None
    effect: Effect | None = None

    @property
    def over(self) -> bool:
        """Whether it has a decision."""
        return isinstance(self.effect, _DECIDED)

    def perform(self, world: World, fault: str) -> None:
        """One exchange with the storage: `away` does not reach it, of `lost` the answer is lost."""
        if self.effect is None:
            self.effect = self._first()
        elif (event := self._event(world, fault)) is not None:
            self._next(event)
        else:
            self.effect = Refused(Reason.LEDGER_UNAVAILABLE)

    def _first(self) -> Effect:
        if self.reading is not None:
            self.reading, effect = begin_reading(self.reading)
            return effect
        assert self.ending is not None
        self.ending, effect = begin_ending(self.ending)
        return effect

    def _next(self, event: Event) -> None:
        if self.reading is not None:
            self.reading, self.effect = read_on(self.reading, event)
        elif self.ending is not None:
            self.ending, self.effect = end_on(self.ending, event)

    def _event(self, world: World, fault: str) -> Event | None:
        if fault == "away":
            return None
        found = self._storage(world)
        return None if fault == "lost" else found

    def _storage(self, world: World) -> Event:
        match self.effect:
            case ReadAttempt(number):
                return _read(world, names.attempt(JOB, number))
            case ReadEnd(number):
                return _read(world, names.end(JOB, number))
            case CountDay():
                return Answer.COUNTED
            case CreateAttempt(number, kind) if self.reading is not None:
                entry = Attempt(**_claims(self.machine, self.header), number=number, kind=kind, name=self.reading.name)
                return _create(world, names.attempt(JOB, number), entry)
            case CreateEnd(number) if self.ending is not None:
                return _create(world, names.end(JOB, number), self.ending.mine)
        raise TypeError(self.effect)


def _read(world: World, name: str) -> Event:
    return Read(world.blobs[name]) if name in world.blobs else Answer.ABSENT


def _create(world: World, name: str, entry: Attempt | End) -> Event:
    if name in world.blobs and "ends are replaced" not in world.broken:
        return Answer.EXISTS
    world.blobs[name] = entry
    return Answer.CREATED
