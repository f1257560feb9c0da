"""The exchanges of a worker with the pool ledger: `cji_core.pool.one_end` decides, the ledger's thread performs.

    claim     an attempt may begin, or why not
    give_up   the entries of a job without an end, one at least; or its end
    look      the end of a job id, or its entries without one; a Refusal if the ledger does not answer
    end       this end, or the one that the job has

Nothing here waits: each `answer` is called in the main thread, once. Entries name the trail that decides and the
attested key that signs its receipts, and are proved by the ledger key of the job's own key version.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cji_core.errors import Denied, DeniedBy, Reason, Refusal, Stage
from cji_core.format.job import Header
from cji_core.pool import names
from cji_core.pool.entries import ATTEMPT_BYTES, END_BYTES, Attempt, End, Kind, encode, read_entry
from cji_core.pool.entries import Outcome as EndOutcome
from cji_core.pool.one_end import (
    Answer,
    Begin,
    CountDay,
    CreateAttempt,
    CreateEnd,
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
    read_on,
)
from cji_core.strict import hex_decode
from cji_core.trail import receipt_sha384
from cji_worker.keyholder.floors import Floors
from cji_worker.keyholder.ledger_keys import LedgerKeys
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_ledger import (
    CreateBlob,
    Fault,
    FloorEntries,
    Operation,
    Outcome,
    PoolLedger,
    ReadBlob,
    TakeNumber,
)

S = TypeVar("S", Reading, Ending)
Decided = Callable[[Begin | Ended | Open | Refusal], None]
Found = Ended | Open | Refusal
"""The end of a job, or that it has none yet, or that the ledger does not answer: LEDGER_UNAVAILABLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """The maker of entries: `trail` is the hash of its first line, `receipt_key` the thumbprint of its receipt key."""

    trail: str
    receipt_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOfPool:
    """A job as its entries name it."""

    job: str
    header_sha384: str
    submitter: str
    kek_id: str

    @classmethod
    def of(cls, header: Header, submitter: str) -> "JobOfPool":
        """The job of this header, which verified as this submitter's."""
        return cls(
            job=header.job_id.hex(), header_sha384=header.sha384.hex(), submitter=submitter, kek_id=header.kek_id
        )


@dataclass(slots=True, kw_only=True)
class _Run(Generic[S]):
    """One exchange on its way."""

    job_id: str
    job: JobOfPool | None
    stage: Stage
    state: S
    advance: Callable[[S, Event], tuple[S, Effect]]
    decided: Decided
    allowance: Allowance | None = None
    asked: Effect | None = None


def _run(
    state: Reading, job: JobOfPool, stage: Stage, decided: Decided, *, allowance: Allowance | None = None
) -> "_Run[Reading]":
    return _Run(
        job_id=job.job, job=job, stage=stage, state=state, advance=read_on, decided=decided, allowance=allowance
    )


class PoolExchanges:
    """For the main thread. `tries` is the number of attempts that a job may have, `floors` are read at each claim."""

    def __init__(
        self, pool: PoolLedger, keys: LedgerKeys, entrant: Entrant, *, tries: int, floors: Floors | None = None
    ) -> None:
        self.keys, self.tries, self._floors = keys, tries, floors
        self._pool, self._entrant = pool, entrant

    def claim(
        self,
        job: JobOfPool,
        *,
        name: bytes | None,
        kind: Kind,
        allowance: Allowance,
        answer: Callable[[int | Refusal], None],
    ) -> None:
        """Ask whether an attempt may begin: the number of its entry. `name` is that of an attempt by reference."""
        state = Reading(
            purpose=Purpose.CLAIM,
            name=(name or os.urandom(16)).hex(),
            kind=kind,
            header_sha384=job.header_sha384,
            tries=self.tries,
        )

        def decided(found: Begin | Ended | Open | Refusal) -> None:
            answer(found.number if isinstance(found, Begin) else _refusal(found, Stage.ADMIT))

        def begin(refusal: Refusal | None) -> None:
            if refusal is not None:
                answer(refusal)
            else:
                self._perform(_run(state, job, Stage.ADMIT, decided, allowance=allowance), begin_reading(state)[1])

        if self._floors is None:
            begin(None)
        else:
            self._floors.check(begin)

    def give_up(self, job: JobOfPool, answer: Callable[[Found], None]) -> None:
        """Have an entry of the job there, if it has no end."""
        name = os.urandom(16).hex()
        state = Reading(purpose=Purpose.GIVE_UP, name=name, kind=Kind.NONE, header_sha384=job.header_sha384)
        self._perform(_run(state, job, Stage.RECEIPT, _found(answer)), begin_reading(state)[1])

    def look(self, job_id: bytes, answer: Callable[[Found], None]) -> None:
        """Read what the ledger has of this id, whatever its header."""
        state = Reading(purpose=Purpose.LOOK)
        run = _Run(
            job_id=job_id.hex(), job=None, stage=Stage.RECEIPT, state=state, advance=read_on, decided=_found(answer)
        )
        self._perform(run, begin_reading(state)[1])

    def end(
        self,
        job: JobOfPool,
        *,
        outcome: EndOutcome,
        document: str,
        attempt: int,
        name: bytes,
        answer: Callable[[Ended | Refusal], None],
    ) -> None:
        """Offer this end. A Refusal says nothing: the end may have been created, so it is offered again."""
        mine = End(
            **self._claims(job),
            outcome=outcome,
            sha384=receipt_sha384(document),
            attempt=attempt,
            name=name.hex(),
            document=document,
        )

        def decided(found: Begin | Ended | Open | Refusal) -> None:
            answer(found if isinstance(found, Ended) else _refusal(found, Stage.COMMIT))

        state = Ending(mine=mine)
        run = _Run(job_id=job.job, job=job, stage=Stage.COMMIT, state=state, advance=end_on, decided=decided)
        self._perform(run, begin_ending(state)[1])

    def _perform(self, run: "_Run[S]", effect: Effect) -> None:
        run.asked = effect
        match effect:
            case Begin() | Ended() | Open():
                run.decided(effect)
                return
            case Refused(reason):
                run.decided(Refusal(reason, stage=run.stage))
                return
            case DeniedDay():
                run.decided(Denied(DeniedBy.JOBS_PER_DAY))
                return
        try:
            operation = self._operation(run, effect)
        except Refusal as refusal:
            run.decided(refusal)
            return
        loop = asyncio.get_running_loop()

        def reply(outcome: Outcome) -> None:
            loop.call_soon_threadsafe(self._answered, run, outcome)

        self._pool.ask(operation, reply)

    def _answered(self, run: "_Run[S]", outcome: Outcome) -> None:
        if isinstance(outcome, Fault | FloorEntries):  # the latter are of another operation
            reason = Reason.OVERLOADED if outcome is Fault.FULL else Reason.LEDGER_UNAVAILABLE
            run.decided(Refusal(reason, stage=run.stage))
            return
        run.state, effect = run.advance(run.state, self._event(run, outcome))
        self._perform(run, effect)

    def _event(self, run: "_Run[S]", outcome: bytes | Answer) -> Event:
        if isinstance(outcome, Answer):
            return outcome
        if isinstance(run.asked, ReadAttempt):
            return Read(read_entry(outcome, Attempt, self.keys, job=run.job_id, number=run.asked.number))
        return Read(read_entry(outcome, End, self.keys, job=run.job_id))

    def _operation(self, run: "_Run[S]", effect: Effect) -> Operation:
        match effect:
            case ReadAttempt(number):
                return ReadBlob(names.attempt(run.job_id, number), ATTEMPT_BYTES)
            case ReadEnd(number):
                return ReadBlob(names.end(run.job_id, number), END_BYTES)
            case CountDay() if run.allowance is not None:
                return TakeNumber(run.allowance, hex_decode(run.job_id))
            case CreateAttempt(number, kind) if run.job is not None and isinstance(run.state, Reading):
                entry = Attempt(**self._claims(run.job), number=number, kind=kind, name=run.state.name)
                return CreateBlob(names.attempt(run.job_id, number), encode(entry, self._key(run.job, run.stage)))
            case CreateEnd(number) if run.job is not None and isinstance(run.state, Ending):
                data = encode(run.state.mine, self._key(run.job, run.stage))
                return CreateBlob(names.end(run.job_id, number), data)
        raise Refusal(Reason.INTERNAL, stage=run.stage)

    def _claims(self, job: JobOfPool) -> dict[str, Any]:
        return {
            "job": job.job,
            "header_sha384": job.header_sha384,
            "submitter": job.submitter,
            "kek_id": job.kek_id,
            "trail": self._entrant.trail,
            "receipt_key": self._entrant.receipt_key,
        }

    def _key(self, job: JobOfPool, stage: Stage) -> bytes:
        key = self.keys.key(job.kek_id)
        if key is None:
            raise Refusal(Reason.NOT_READY if self.keys.configured(job.kek_id) else Reason.UNKNOWN_KEY, stage=stage)
        return key


def _found(answer: Callable[[Found], None]) -> Decided:
    def decided(found: Begin | Ended | Open | Refusal) -> None:
        answer(Refusal(Reason.INTERNAL, stage=Stage.RECEIPT) if isinstance(found, Begin) else found)

    return decided


def _refusal(found: Begin | Ended | Open | Refusal, stage: Stage) -> Refusal:
    return found if isinstance(found, Refusal) else Refusal(Reason.INTERNAL, stage=stage)
