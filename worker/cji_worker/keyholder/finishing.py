"""The end of a job in parts: admitted as a job, finished from the statements of its tasks, without a cell.

    begin     the checks of every job; its keys are opened once the admission is on disk, for the statements' proofs
    data      the next piece of a statement, which is checked as soon as it is whole
    done      all statements make the job: its receipt is signed and on disk
    end       in a pool, a receipt that came by a connection is made the end of the job before it is sent

One job at a time, since its streams are kept until then. Every admission is followed by exactly one end: the receipt,
or an end without one. For the main thread.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.envelope import statement_key
from cji_core.log import log
from cji_core.pool.one_end import Ended
from cji_core.trail import Event
from cji_worker.ipc.messages import Admit, Presented, StatementData, StatementsDone, StatementsWanted
from cji_worker.keyholder.admission import check_opened, open_keys
from cji_worker.keyholder.admitted_job import Admission, Attempt, Opened
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.effects import Effects, completed
from cji_worker.keyholder.events import job_admitted, job_completed, job_ended
from cji_worker.keyholder.gathering import Gathering, StatementsRefusedError
from cji_worker.keyholder.lifecycle import Failed
from cji_worker.keyholder.pool_exchanges import JobOfPool
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.settlement import Settlements, is_of
from cji_worker.keyholder.task_events import statements_refused

_BUSY_MS: Final = 500
_MOST_BYTES: Final = 2 << 20
"""Of one statement; the front allows less."""


@dataclass(slots=True, kw_only=True)
class _Finishing(Attempt):
    """The job that is being finished."""

    gathering: Gathering
    piece: bytearray = field(default_factory=bytearray)


class Finishes:
    """At most one job that is being finished."""

    def __init__(
        self, *, effects: Effects, signer: ReceiptSigner, custody: Custody, settlements: Settlements | None = None
    ) -> None:
        self._effects, self._signer, self._custody = effects, signer, custody
        self._settlements = settlements
        self._job: _Finishing | None = None

    def begin(self, request: Admit, admission: Admission, entry: int | None = None) -> Refusal | None:
        """Admit the job, whose attempt entry in the pool ledger has this number.

        Returns the Refusal of its keys, with which it has ended, if they do not open or are not its plan's. Raises
        OVERLOADED while another one is being finished, and the Refusal of a trail that does not take it.
        """
        finish = admission.finish
        if finish is None:
            raise Refusal(Reason.INTERNAL, stage=Stage.ADMIT)
        if self._job is not None:
            raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=_BUSY_MS)
        attempt = Attempt(
            request=msgspec.structs.replace(request, presented=Presented()),
            admission=admission,
            started=time.monotonic(),
            admitted_at=datetime.now(UTC),
        )
        self._effects.keys_opened += 1
        try:
            attempt.opened = open_keys(admission)
        except Refusal as refusal:
            attempt.opened = refusal
        self._must(job_admitted(attempt))
        opened, attempt.opened = attempt.opened, None
        try:
            if not isinstance(opened, Opened):
                raise opened or Refusal(Reason.INTERNAL, stage=Stage.ADMIT)
            check_opened(admission, opened)
        except Refusal as refusal:
            self._end(attempt, refusal)
            return refusal
        job, plan = finish
        header = admission.header
        self._job = _Finishing(
            request=attempt.request,
            admission=admission,
            started=attempt.started,
            admitted_at=attempt.admitted_at,
            entry=entry,
            gathering=Gathering(
                header,
                admission.plan,
                job,
                plan,
                key=statement_key(opened.keys[0], header.sha384),
                machine=self._signer.machine,
            ),
        )
        self._effects.send(StatementsWanted(call=self._job.call))
        return None

    def take(self, message: StatementData | StatementsDone) -> None:
        """More of a statement, or the end of all statements."""
        if isinstance(message, StatementData):
            self._data(message)
        else:
            self._done(message.call)

    def _data(self, message: StatementData) -> None:
        if (job := self._of(message.call)) is None:
            return
        job.piece += message.data
        try:
            if len(job.piece) > _MOST_BYTES:
                raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMMIT)
            if message.last:
                compact = job.piece.decode("ascii", errors="replace")
                job.piece.clear()
                job.gathering.add(compact)
        except (Refusal, StatementsRefusedError) as fault:
            self._fail(job, fault)

    def _done(self, call: int) -> None:
        if (job := self._of(call)) is None:
            return
        try:
            self._complete(job)
        except (Refusal, StatementsRefusedError) as fault:
            self._fail(job, fault)

    def _complete(self, job: _Finishing) -> None:
        agreed, claim = job.gathering.finish()
        job.admission.grant.require_input(rows=agreed.volumes.rows_in, ciphertext_bytes=agreed.volumes.bytes_in)
        try:
            receipt = self._signer.sign(job, agreed, self._custody.holdings, tasks=claim)
        except ValueError as fault:  # statements add up to more, or name longer nodes, than a receipt has room for
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMMIT) from fault
        event = job_completed(job, agreed.volumes, receipt)
        self._must(event)
        self._effects.tally.completed(job.admission.header.operation_names, event)
        self._job = None
        if self._settlements is None or job.entry is None or job.request.attempt is not None:
            self._effects.send(completed(job, receipt))
            return

        def settled(end: Ended | None) -> None:
            if is_of(end, event):
                self._effects.send(completed(job, receipt))
            else:
                self._effects.refuse(job.call, Refusal(Reason.ALREADY_EXISTS, stage=Stage.COMMIT))

        job_of_pool = JobOfPool.of(job.admission.header, job.admission.grant.submitter)
        self._settlements.made(event, job_of_pool, job.entry, settled)

    def abort(self, call: int, refusal: Refusal) -> bool:
        """End the job of this call, if it is the one; whether it was."""
        job = self._of(call)
        if job is not None:
            self._fail(job, refusal)
        return job is not None

    def end_of_key(self, kek_id: str, reason: Reason) -> None:
        """End the job if its key version was dropped."""
        if self._job is not None and self._job.admission.header.kek_id == kek_id:
            self._fail(self._job, Refusal(reason, stage=Stage.COMMIT))

    def end_all(self) -> None:
        """End the job, whichever it is."""
        if self._job is not None:
            self._fail(self._job, Refusal(Reason.CELL_FAILED, stage=Stage.COMMIT))

    @property
    def current(self) -> Attempt | None:
        """The job that is being finished."""
        return self._job

    def _of(self, call: int) -> _Finishing | None:
        return self._job if self._job is not None and self._job.call == call else None

    def _fail(self, job: _Finishing, fault: Refusal | StatementsRefusedError) -> None:
        self._job = None
        if isinstance(fault, StatementsRefusedError):
            log(
                "statements refused",
                correlation_id=job.correlation_id,
                job_id=job.admission.header.job_id.hex(),
                what=fault.about,
            )
            if isinstance(self._effects.write(statements_refused(job, fault)), Failed):
                log("audit unavailable", correlation_id=job.correlation_id)
            reason = Reason.INCOMPLETE if fault.about == "missing" else Reason.SEGMENT_INVALID
            fault = Refusal(reason, stage=Stage.COMMIT)
        self._end(job, fault)

    def _end(self, job: Attempt, refusal: Refusal) -> None:
        self._effects.write_end(job, job_ended(job, refusal), refusal)
        self._effects.refuse(job.call, refusal)

    def _must(self, event: Event) -> None:
        """Append an event. Raises the Refusal if that is not possible."""
        outcome = self._effects.write(event)
        if isinstance(outcome, Failed):
            raise outcome.refusal
