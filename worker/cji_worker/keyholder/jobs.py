"""The jobs of this worker: turns what happens into events of `lifecycle`, and has the effects performed.

For the main thread.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from cji_core.errors import Denied, Reason, Refusal, RetryLater, Stage
from cji_core.format.configuration.worker import Config
from cji_core.format.job import Header, check_parts
from cji_core.log import log
from cji_core.operations.registry import Plan
from cji_core.pool.one_end import Ended
from cji_worker.column_faults import refusal_at
from cji_worker.ipc import ChannelClosed
from cji_worker.ipc.messages import (
    Admit,
    CellFailed,
    CellFaulted,
    CountedPart,
    CountedStreams,
    Presented,
    SealedPart,
    Summary,
    Witnessed,
    WitnessedStreams,
)
from cji_worker.keyholder.admission import AdmissionControl
from cji_worker.keyholder.admitted_job import Admission, AdmittedJob, Attempt, Proven
from cji_worker.keyholder.cells import Cell, Cells
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.effects import Effects
from cji_worker.keyholder.entra import VerifiedToken
from cji_worker.keyholder.fair_queue import FairQueue
from cji_worker.keyholder.finishing import Finishes
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.lifecycle import BEGIN, Action, Done, Event, Failed, Phase, Step, Stopped, Vouched, advance
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.pool_claims import Claimed, PoolClaims
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import JobOfPool, PoolExchanges
from cji_worker.keyholder.references import References, Tenancy
from cji_worker.keyholder.refusals import Refusals
from cji_worker.keyholder.settlement import Settlements, is_of
from cji_worker.trail.file import AuditFile

Part = TypeVar("Part", CountedPart, SealedPart)
Statement = TypeVar("Statement", Summary, Witnessed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """An admissible job without a cell, and the timer that ends its wait."""

    request: Admit
    header: Header
    token: VerifiedToken | None
    plan: Plan
    proven: Proven | None
    timer: asyncio.TimerHandle


class Jobs:
    """Jobs by call number, from their admission until they are over."""

    def __init__(
        self,
        *,
        config: Config,
        policy: PolicyInForce,
        audit: AuditFile,
        admission: AdmissionControl,
        custody: Custody,
        cells: Cells,
        references: References,
        host: HostState,
        delivery: DeliveryWatch,
        effects: Effects,
        refusals: Refusals,
        finishes: Finishes,
        pool: PoolExchanges | None = None,
        settlements: Settlements | None = None,
    ) -> None:
        self._policy, self._audit, self._admission, self._custody = policy, audit, admission, custody
        self._cells, self._references, self._host, self._delivery = cells, references, host, delivery
        self._effects, self._refusals, self._finishes = effects, refusals, finishes
        self._count, self._patience = config.worker.cells, config.limits.queue_seconds
        self._jobs: dict[int, AdmittedJob] = {}
        self._queue: FairQueue[_Waiting] = FairQueue()
        self._watchers: set[asyncio.Task[None]] = set()
        self._claims, self._settlements = None if pool is None else PoolClaims(pool, self._claimed), settlements

    def admit(self, request: Admit) -> None:
        """Start this job if there is a cell for it, let it wait for one, or refuse it."""
        header: Header | None = None
        try:
            if self._knows(request.call):
                raise Refusal(Reason.INTERNAL, stage=Stage.ADMIT)  # no front of ours gives a number twice
            self._host.require()
            header = self._admission.parse(request)
            admission = self._check(request, header)
            if admission.finish is not None:
                self._claim(request, header, admission, cell=None)
            elif self._cells.warm and not self._queue:
                self._claim(request, header, admission, cell=self._cells.reserve())
            else:
                self._wait(request, header, admission)
        except Refusal as refusal:
            self._refuse(request, header, refusal)

    def _knows(self, call: int) -> bool:
        """Whether a job of this call runs, is finished, or waits: a second one would take its place in `_jobs`."""
        finishing = self._finishes.current
        return (
            call in self._jobs
            or (finishing is not None and finishing.call == call)
            or (self._claims is not None and call in self._claims)
            or any(each.request.call == call for each in self._queue.waiting())
        )

    def _claim(self, request: Admit, header: Header, admission: Admission, *, cell: Cell | None) -> None:
        """Begin the job; in a pool, once its attempt is entered in the ledger. Its cell is reserved before that.

        So no attempt is entered, and counted, that only waits for a cell.
        """
        claimed = Claimed(request=request, header=header, cell=cell)
        try:
            if self._claims is None:
                self._begin(claimed, admission, None)
                return
            self._claims.claim(claimed, submitter=admission.grant.submitter, allowance=Allowance.of(admission.grant))
        except Refusal:
            self._give_back(cell)
            raise

    def _claimed(self, claimed: Claimed, answer: int | Refusal) -> None:
        """Go on with a job that the pool ledger answered. It is checked again: keys, times and ids change."""
        try:
            if isinstance(answer, Refusal):
                raise answer
            self._host.require()
            self._begin(claimed, self._check(claimed.request, claimed.header), answer)
        except Refusal as refused:
            self._give_back(claimed.cell)
            self._refuse(claimed.request, claimed.header, refused)
            self.dispatch()

    def _begin(self, claimed: Claimed, admission: Admission, entry: int | None) -> None:
        """Begin the job, or raise Refusal; then its cell is reserved as before."""
        if claimed.cell is None:
            self._count_unwrap(admission, self._finishes.begin(claimed.request, admission, entry))
            return
        reference = self._references.find(admission.plan.reference, admission.owner)
        if not self._cells.take(claimed.cell):
            raise Refusal(Reason.CELL_FAILED, stage=Stage.ADMIT)
        self._start(claimed.request, admission, claimed.cell, entry, reference)

    def _give_back(self, cell: Cell | None) -> None:
        if cell is not None:
            self._cells.give_back(cell)

    def dispatch(self) -> None:
        """Give warm cells to the jobs that wait. A job that waited is checked again: keys, times and ids change."""
        while self._cells.warm and (waiting := self._queue.take(now=time.monotonic())) is not None:
            waiting.timer.cancel()
            try:
                admission = self._check(waiting.request, waiting.header, waiting.proven)
                self._claim(waiting.request, waiting.header, admission, cell=self._cells.reserve())
            except Refusal as refusal:
                self._refuse(waiting.request, waiting.header, refusal)

    def abort(self, call: int, refusal: Refusal) -> None:
        """End a job that the front gave up on."""
        job = self._jobs.get(call)
        if job is not None:
            self._feed(job, Stopped(refusal))
        elif not self._finishes.abort(call, refusal):
            self._give_up(call, refusal)

    def witnessed(self, statement: WitnessedStreams | Witnessed) -> None:
        """The front's statement about a job; that about a task comes in pieces, no more than it has streams."""
        job = self._jobs.get(statement.call)
        if job is None:
            return
        if isinstance(statement, WitnessedStreams):
            if not extend(job, job.front_streams, statement.inputs, statement.outputs):
                self._feed(job, Stopped(Refusal(Reason.INTERNAL, stage=Stage.COMMIT)))
            return
        if job.front_statement is not None:
            self._feed(job, Stopped(Refusal(Reason.INTERNAL, stage=Stage.COMMIT)))
            return
        job.front_statement = completed(statement, job.front_streams)
        self._vouched(job)

    def end_of_key(self, kek_id: str, reason: Reason) -> None:
        """End the jobs of a key version that was dropped before it expired."""
        for job in list(self._jobs.values()):
            if job.admission.header.kek_id == kek_id and job.phase is not Phase.ENDING:  # it has its receipt
                self._feed(job, Stopped(Refusal(reason, stage=Stage.COMPUTE)))
        self._finishes.end_of_key(kek_id, reason)

    def end_unauthorised(self) -> None:
        """End the jobs that the policy in force would not admit, those that wait and those that run."""
        for waiting in self._queue.waiting():
            refusal = self._unauthorised(waiting.request, waiting.header, waiting.plan, waiting.token)
            if refusal is not None:
                self._give_up(waiting.request.call, refusal)
        for job in list(self._jobs.values()):
            admission = job.admission
            refusal = self._unauthorised(job.request, admission.header, admission.plan, admission.token)
            if refusal is not None and job.phase is not Phase.ENDING:
                self._feed(job, Stopped(_while_running(refusal)))
        if (finishing := self._finishes.current) is not None:
            admission = finishing.admission
            refusal = self._unauthorised(finishing.request, admission.header, admission.plan, admission.token)
            if refusal is not None:
                self._finishes.abort(finishing.call, _while_running(refusal))

    def _unauthorised(self, request: Admit, header: Header, plan: Plan, token: VerifiedToken | None) -> Refusal | None:
        try:
            self._admission.authorise_again(request, header, plan, token, now=datetime.now(UTC))
        except Refusal as refusal:
            return refusal
        return None

    def has(self, job_id: bytes, *, submitter: str) -> bool:
        """Whether an attempt at this job of this submitter's runs or waits."""
        waiting = [(each.request, each.header) for each in self._queue.waiting()]
        if self._claims is not None:
            waiting += [(each.request, each.header) for each in self._claims.waiting()]
        running: list[Attempt] = [*self._jobs.values()]
        if self._finishes.current is not None:
            running.append(self._finishes.current)
        waiting += [(each.request, each.admission.header) for each in running]
        return any(header.job_id == job_id and request.submitter == submitter for request, header in waiting)

    @property
    def running(self) -> int:
        """Number of jobs with a cell."""
        return len(self._jobs)

    @property
    def waiting(self) -> int:
        """Number of jobs without one."""
        return len(self._queue)

    def end_all(self) -> None:
        """End every job; one whose receipt waits for the disk ends with it."""
        self._stop_all()
        self._audit.settle()
        self._audit.deliver()
        self._stop_all()  # those whose receipt waits for the pool ledger now
        self._finishes.end_all()

    def _stop_all(self) -> None:
        for job in list(self._jobs.values()):
            self._feed(job, Stopped(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)))

    def _check(self, request: Admit, header: Header, proven: Proven | None = None) -> Admission:
        self._delivery.require()
        if request.task is None and request.finish is None:
            check_parts(header)
        now = datetime.now(UTC)
        return self._admission.check(request, header, holdings=self._custody.holdings, now=now, proven=proven)

    def _wait(self, request: Admit, header: Header, admission: Admission) -> None:
        pause = self._overloaded()
        if not self._patience:
            raise pause
        timer = asyncio.get_running_loop().call_later(self._patience, self._give_up, request.call, pause)
        try:
            waiting = _Waiting(
                request=request,
                header=header,
                plan=admission.plan,
                proven=admission.proven,
                token=admission.token,
                timer=timer,
            )
            self._queue.add(admission.grant.submitter, waiting, now=time.monotonic())
        except Refusal:
            timer.cancel()
            raise pause from None

    def _overloaded(self) -> RetryLater:
        """The refusal of a job that gets no cell, with the delay after which one is likely."""
        after_ms = int(1000 * self._queue.pause(cells=self._count))
        return RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=after_ms)

    def _give_up(self, call: int, refusal: Refusal) -> None:
        if self._claims is not None and (claimed := self._claims.remove(call)) is not None:
            self._give_back(claimed.cell)
            self._refuse(claimed.request, claimed.header, refusal)
            self.dispatch()
            return
        waiting = self._queue.remove(lambda each: each.request.call == call)
        if waiting is not None:
            waiting.timer.cancel()
            self._refuse(waiting.request, waiting.header, refusal)

    def _start(
        self, request: Admit, admission: Admission, cell: Cell, entry: int | None, reference: Tenancy | None
    ) -> None:
        job = self._jobs[request.call] = AdmittedJob(
            request=msgspec.structs.replace(request, presented=Presented()),  # a token is not kept for longer
            admission=admission,
            cell=cell,
            entry=entry,
            reference=reference,
            started=time.monotonic(),
            admitted_at=datetime.now(UTC),
        )
        self._queue.started(admission.grant.submitter, now=job.started)
        self._take(job, BEGIN)

    def _refuse(self, request: Admit, header: Header | None, refusal: Refusal) -> None:
        self._refusals.job(request, header, refusal)
        self._effects.refuse(request.call, refusal)

    def _feed(self, job: AdmittedJob, event: Event) -> None:
        self._take(job, advance(job.phase, event))

    def _take(self, job: AdmittedJob, step: Step) -> None:
        job.phase, effects = step
        if job.phase is Phase.OVER and self._jobs.get(job.call) is job:  # another one may have its call by now
            del self._jobs[job.call]
            self._queue.ended(job.admission.grant.submitter, started=job.started, now=time.monotonic())
        for effect in effects:
            if effect is Action.AWAIT_CELL:
                job.awaited = True
                watcher = asyncio.create_task(self._await_cell(job))
                self._watchers.add(watcher)
                watcher.add_done_callback(self._watchers.discard)
            elif effect is Action.MAKE_END:
                self._make_end(job)
            elif (outcome := self._effects.perform(job, effect, partial(self._feed, job))) is not None:
                if isinstance(outcome, Failed):
                    self._count_unwrap(job.admission, outcome.refusal)
                self._feed(job, outcome)
        if job.phase is Phase.OVER:
            job.opened = None
            self._references.abandon(job.reference)  # unless its receipt let it be retained
        _hang_up(job)

    def _make_end(self, job: AdmittedJob) -> None:
        """Make the receipt of a direct job its end. One by reference waits for its outputs, a task has no end."""
        admission, done, entry = job.admission, job.completed, job.entry
        if self._settlements is None or job.request.attempt is not None or done is None or entry is None:
            self._feed(job, Done())
            return

        def settled(end: Ended | None) -> None:
            exists = Refusal(Reason.ALREADY_EXISTS, stage=Stage.COMMIT)
            self._feed(job, Done() if is_of(end, done) else Failed(exists))

        self._settlements.made(done, JobOfPool.of(admission.header, admission.grant.submitter), entry, settled)

    def _count_unwrap(self, admission: Admission, refusal: Refusal | None) -> None:
        """Count a job that ended because its keys could not be opened, against its submitter."""
        if refusal is not None and refusal.reason is Reason.DEK_UNWRAP_FAILED:
            self._admission.unwrap_failed(admission.grant.submitter)

    async def _await_cell(self, job: AdmittedJob) -> None:
        try:
            await self._follow_cell(job)
        finally:
            job.awaited = False
            _hang_up(job)

    async def _follow_cell(self, job: AdmittedJob) -> None:
        found = await receive_statement(job)
        if isinstance(found, Stopped):
            self._feed(job, found)
            return
        job.cell_statement = found
        self._vouched(job)

    def _vouched(self, job: AdmittedJob) -> None:
        """Go on once both witnesses have made their statements, in whichever order."""
        if job.cell_statement is not None and job.front_statement is not None:
            self._feed(job, Vouched(job.cell_statement, job.front_statement))


def _while_running(refusal: Refusal) -> Refusal:
    """The refusal of an admission, as the end of a job that runs."""
    if isinstance(refusal, Denied):
        return Denied(refusal.by, stage=Stage.COMPUTE)
    return Refusal(refusal.reason, stage=Stage.COMPUTE)


def _hang_up(job: AdmittedJob) -> None:
    """Close the channel to a job's cell once the job is over and nobody reads: an exception may keep the job alive."""
    if job.phase is Phase.OVER and not job.awaited:
        job.cell.control.close()


async def receive_statement(job: AdmittedJob) -> Stopped | Summary:
    """The whole statement of a job's cell, or why there is none."""
    try:
        message, _ = await job.cell.control.receive_async()
        while isinstance(message, CountedStreams):
            if not extend(job, job.cell_streams, message.inputs, message.outputs):
                raise ChannelClosed
            message, _ = await job.cell.control.receive_async()
    except ChannelClosed:
        return Stopped(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
    match message:
        case CellFaulted(fault=fault):
            log("cell fault", correlation_id=job.correlation_id, cell=job.cell.number, error=fault.value)
            return Stopped(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
        case CellFailed(reason=reason, stage=stage, denied_by=rule, cells=place, limit=limit):
            if rule is not None:
                return Stopped(Denied(rule, stage=stage))
            return Stopped(refusal_at(place, job.admission.header, reason, stage, limit))
        case Summary():
            return completed(message, job.cell_streams)
    return Stopped(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))


def extend(
    job: AdmittedJob, streams: tuple[list[Part], list[Part]], inputs: Sequence[Part], outputs: Sequence[Part]
) -> bool:
    """Add the next streams of a statement; whether the task has so many. A whole job has none, and no piece is empty.

    So a peer can send no more pieces than the task has streams.
    """
    task = job.admission.task
    if task is None or not (inputs or outputs):
        return False
    for known, more, most in zip(streams, (inputs, outputs), (task.inputs, task.outputs), strict=True):
        if len(known) + len(more) > len(most):
            return False
        known.extend(more)
    return True


def completed(statement: Statement, streams: tuple[Sequence[object], Sequence[object]]) -> Statement:
    """The statement with the streams that came before it."""
    return msgspec.structs.replace(
        statement, inputs=(*streams[0], *statement.inputs), outputs=(*streams[1], *statement.outputs)
    )
