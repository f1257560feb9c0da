"""Performs the effects of a job's life: in the audit trail, in cells, and towards the front and the zygote.

For the main thread. An effect that can fail is performed completely or reports the Refusal for the caller.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Final, TypeAlias

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.envelope import statement_key
from cji_core.log import log
from cji_core.operations.registry import STEPS
from cji_core.strict import b64url, hex_decode
from cji_core.trail import CallsRefused, Event, JobCompleted, JobEnded, JobRefused, TaskEnded, claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.column_faults import ColumnRefused
from cji_worker.ipc import Channel, ChannelClosed, hand_over
from cji_worker.ipc.messages import (
    Admitted,
    Completed,
    Ended,
    KeyholderFromZygote,
    Kill,
    OpenJob,
    Stated,
    ZygoteFromKeyholder,
)
from cji_worker.keyholder.admission import check_opened, open_keys
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.admitted_job import AdmittedJob, Attempt, Opened
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.events import in_trail, job_admitted, job_completed, job_ended, witnesses_disagreed
from cji_worker.keyholder.fronts import Answer, Fronts
from cji_worker.keyholder.lifecycle import Action, Done, Effect, Failed, Refuse, WriteEnd, WriteReceipt
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.references import References
from cji_worker.keyholder.tally import Tally
from cji_worker.keyholder.task_events import task_admitted, task_completed, task_ended
from cji_worker.keyholder.tasks import agree_task
from cji_worker.keyholder.witnesses import Disagreement, agree
from cji_worker.trail.file import AuditFile
from cji_worker.trail.waiting import Line

Later: TypeAlias = Callable[[Done | Failed], None]
_NO_SIGNATURE: Final = b64url(b"\0")


class Effects:
    """Everything that jobs have an effect on. `tally` counts what becomes of them.

    `keys_opened` counts the jobs whose keys were opened, or tried to.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        audit: AuditFile,
        custody: Custody,
        signer: ReceiptSigner,
        references: References,
        fronts: Fronts,
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
        admissions: Admissions,
    ) -> None:
        self._worker_id, self._audit, self._custody, self._signer = worker_id, audit, custody, signer
        self._references, self._fronts, self._zygote = references, fronts, zygote
        self._admissions = admissions
        self.tally, self.keys_opened = Tally(), 0

    def perform(self, job: AdmittedJob, effect: Effect, later: Later) -> Done | Failed | None:
        """Perform one effect; return its outcome. None: it has none, or `later` is called with it from the trail."""
        match effect:
            case Action.SEND_HEADER:
                self._send_header(job)
            case Action.LEND_CELL:
                self._lend_cell(job)
            case Action.WRITE_ADMISSION:
                return self._write_admission(job, later)
            case Action.OPEN_CELL:
                return self._open_cell(job)
            case WriteReceipt():
                if job.admission.task is None:
                    return self._write_receipt(job, effect, later)
                return self._state(job, effect, later)
            case Action.RETAIN_REFERENCE:
                self._retain_reference(job)
            case Action.SEND_RECEIPT:
                self._send_receipt(job)
            case Action.KILL_CELL:
                with contextlib.suppress(ChannelClosed):  # cells end with the zygote
                    self._zygote.send(Kill(cell=job.cell.number))
            case WriteEnd(refusal):
                self._write_end(job, refusal)
            case Refuse(refusal):
                self.refuse(job.call, refusal)
        return None

    def write(self, event: Event) -> Done | Failed:
        """Append to the audit trail: AUDIT_UNAVAILABLE, or INTERNAL for an event that the trail does not accept."""
        try:
            self._audit.append(event)
        except Refusal as refusal:
            return Failed(refusal)
        except ValueError as fault:
            return _unfit(fault)
        if isinstance(event, JobRefused | CallsRefused):
            self.tally.refused(event)
        return Done()

    def _enter(self, event: Event, later: Later, *, whole: JobCompleted | None = None) -> Line | Failed:
        """As `write`, with the lines of other jobs: `later` gets the outcome once it is decided."""
        try:
            return self._audit.enter(event, lambda lost: later(Done() if lost is None else Failed(lost)), whole=whole)
        except Refusal as refusal:
            return Failed(refusal)
        except ValueError as fault:
            return _unfit(fault)

    def refuse(self, call: int, refusal: Refusal) -> None:
        """Send the front of this call a refusal: its last word on it."""
        retry = refusal.after_ms if isinstance(refusal, RetryLater) else 0
        column = refusal.column if isinstance(refusal, ColumnRefused) else None
        self.send(
            Ended(
                call=call,
                reason=refusal.reason,
                stage=refusal.stage,
                retry_after_ms=retry,
                column=column,
                limit=refusal.limit,
            )
        )

    def send(self, answer: Answer) -> None:
        """Send the front of a call an answer to it, if it is still there."""
        with contextlib.suppress(ChannelClosed):
            self._fronts.send(answer)

    def _send_header(self, job: AdmittedJob) -> None:
        cell, header = job.cell, job.admission.header
        slot = self._references.assign(job.reference, cell.number)
        with contextlib.suppress(ChannelClosed):  # noticed when the cell is opened
            cell.control.send(
                OpenJob(
                    header=header.data,
                    worker_id=self._worker_id,
                    max_rows=job.admission.grant.rule.rows,
                    max_bytes=job.admission.grant.rule.bytes,
                    reference_slot=slot,
                    task=job.request.task,
                )
            )

    def _lend_cell(self, job: AdmittedJob) -> None:
        with contextlib.suppress(ChannelClosed):  # without a front the keyholder ends
            self._fronts.send(_admitted(job), [job.cell.data_fd, job.cell.ring_fd])
        job.cell.close_front_ends()

    def _write_admission(self, job: AdmittedJob, later: Later) -> Failed | None:
        self.keys_opened += 1
        try:
            job.opened = open_keys(job.admission)
        except Refusal as refusal:
            job.opened = refusal
        entered = self._enter(job_admitted(job) if job.admission.task is None else task_admitted(job), later)
        if isinstance(entered, Failed):
            return entered
        job.admission_line = entered
        return None

    def _open_cell(self, job: AdmittedJob) -> Done | Failed:
        cell, header, opened = job.cell, job.admission.header, job.opened
        job.opened = None
        try:
            if not isinstance(opened, Opened):
                return Failed(opened or Refusal(Reason.INTERNAL, stage=Stage.ADMIT))
            check_opened(job.admission, opened)
            if job.admission.task is not None:
                job.statement_key = statement_key(opened.keys[0], header.sha384)
            with contextlib.suppress(ChannelClosed):  # it has ended, and `AWAIT_CELL` reads why
                cell.put_keys(opened.keys)
        except Refusal as refusal:
            return Failed(refusal)
        finally:
            log("admitted", correlation_id=job.correlation_id, job_id=header.job_id.hex(), cell=cell.number)
        return Done()

    def _write_receipt(self, job: AdmittedJob, statements: WriteReceipt, later: Later) -> Failed | None:
        header, plan = job.admission.header, job.admission.plan
        try:
            agreed = agree(header, plan, worker_id=self._worker_id, cell=statements.cell, front=statements.front)
            # the cell has enforced this; a receipt needs what both witnesses counted
            job.admission.grant.require_input(rows=agreed.volumes.rows_in, ciphertext_bytes=agreed.volumes.bytes_in)
            receipt, base = self._signer.sign(job, agreed, self._custody.holdings), self._audit.base(header.job_id)
        except Refusal as refusal:
            return Failed(refusal)
        except Disagreement as found:
            return self._disagree(job, found)
        except ValueError as fault:
            return _unfit(fault)
        event = job_completed(job, agreed.volumes, receipt)

        def written(outcome: Done | Failed) -> None:
            if isinstance(outcome, Done):
                self.tally.completed(header.operation_names, event)
                job.agreed, job.receipt, job.completed = agreed, receipt, event
                job.result_header = statements.cell.result_header
            later(outcome)

        entered = self._enter(in_trail(event, job, base), written, whole=event)
        return entered if isinstance(entered, Failed) else None

    def _state(self, job: AdmittedJob, statements: WriteReceipt, later: Later) -> Failed | None:
        """As `_write_receipt`, for a task: its statement is signed, and its digest is in the trail."""
        task = job.admission.task
        assert task is not None  # noqa: S101 - for the type checker
        try:
            agreed = agree_task(
                job.admission.header, job.admission.plan, task, cell=statements.cell, front=statements.front
            )
            statement = self._signer.state(job, agreed, self._custody.holdings)
        except Refusal as refusal:
            return Failed(refusal)
        except Disagreement as found:
            return self._disagree(job, found)
        except ValueError as fault:
            return _unfit(fault)
        made = b"" if agreed.plan is None else agreed.plan.data
        job.response = pb.RunTaskResponse(done=pb.TaskDone(statement=statement, plan=made)).SerializeToString()
        entered = self._enter(task_completed(job, agreed, statement), later)
        return entered if isinstance(entered, Failed) else None

    def _send_receipt(self, job: AdmittedJob) -> None:
        if job.admission.task is None:
            self.send(completed(job, job.receipt, result_header=job.result_header, renewed=self._renewed(job)))
            return
        fd = hand_over(job.response)
        with contextlib.suppress(ChannelClosed):
            self._fronts.send(Stated(call=job.call), [fd])
        os.close(fd)

    def _renewed(self, job: AdmittedJob) -> bool:
        """Whether its caller has not seen the token that the receipt names; the fleet process looks for itself."""
        proof = job.request.admission
        token = hex_decode(claims_unverified(job.receipt).maa_token_sha384)
        return proof is not None and not self._admissions.shows(proof.nonce, token)

    def _disagree(self, job: AdmittedJob, found: Disagreement) -> Failed:
        log(
            "witnesses disagree",
            correlation_id=job.correlation_id,
            job_id=job.admission.header.job_id.hex(),
            what=" ".join(found.about),
        )
        if isinstance(self.write(witnesses_disagreed(job, found.about)), Failed):
            log("audit unavailable", correlation_id=job.correlation_id)
        return Failed(Refusal(Reason.INTERNAL, stage=Stage.COMMIT))

    def _retain_reference(self, job: AdmittedJob) -> None:
        header, reference = job.admission.header, job.admission.plan.reference
        if job.agreed is None or reference is None or not reference.seconds:
            return
        part = [part.name for part in header.parts].index(reference.side)
        self._references.retain(
            job.reference,
            owner=job.admission.owner,
            job_id=header.job_id.hex(),
            sha256=hex_decode(job.agreed.inputs[part].sha256),
            seconds=reference.seconds,
        )

    def _write_end(self, job: AdmittedJob, refusal: Refusal) -> None:
        self._audit.settle()
        if job.admission_line is None or not job.admission_line.on_disk:
            return  # it was lost with its group, so there is nothing to end
        event = job_ended(job, refusal) if job.admission.task is None else task_ended(job, refusal)
        self.write_end(job, event, refusal)

    def write_end(self, job: Attempt, event: JobEnded | TaskEnded, refusal: Refusal) -> None:
        """Record the end of an admitted job or task, at once or when the trail is available again."""
        log(
            "job ended",
            correlation_id=job.correlation_id,
            reason=refusal.reason.value,
            stage=refusal.stage.value,
            job_id=job.admission.header.job_id.hex(),
        )
        if isinstance(event, JobEnded):
            self.tally.ended(job.admission.header.operation_names, event)
        if not self._audit.record(event):
            log("audit unavailable", correlation_id=job.correlation_id)


def completed(job: Attempt, receipt: str, *, result_header: bytes = b"", renewed: bool = False) -> Completed:
    """The last word on a job. By reference its receipt is not the end yet, and leaves without its signature."""
    shown = receipt if job.request.attempt is None else unsigned(receipt)
    return Completed(call=job.call, receipt=shown, result_header=result_header, renewed=renewed)


def unsigned(receipt: str) -> str:
    """A receipt that nobody can use: its claims, with a zero byte in place of the signature."""
    return f"{receipt.rpartition('.')[0]}.{_NO_SIGNATURE}"


def _unfit(fault: ValueError) -> Failed:
    """A receipt, a statement or an event whose values do not fit their types, such as sums of what a cell counted."""
    log("fault", error=type(fault).__name__)
    return Failed(Refusal(Reason.INTERNAL, stage=Stage.COMMIT))


def _admitted(job: AdmittedJob) -> Admitted:
    """The numbers of parts, or of a task's streams, that its front will see."""
    task, header = job.admission.task, job.admission.header
    if task is None:
        return Admitted(call=job.call, inputs=len(header.parts), outputs=len(job.admission.plan.outputs), steps=STEPS)
    return Admitted(
        call=job.call,
        inputs=len(task.inputs),
        outputs=len(task.outputs),
        steps=STEPS,
        small_inputs=task.small_inputs,
        small_outputs=task.small_outputs,
    )
