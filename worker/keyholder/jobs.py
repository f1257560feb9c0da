"""The jobs of this worker: admitted, running, completed or ended. Each end is written down and told exactly once.

admitted    the audit line is on disk; only then is its data key opened, into a warm cell
completed   the audit line with the receipt is on disk; only then may the cell let its last segments go
ended       anything else that became of an admitted job; its cell is killed
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Final

from google.protobuf.message import DecodeError

from worker.audit import AuditFile, Event, JobAdmitted, JobEnded, JobRefused
from worker.compute.operation import Reference
from worker.compute.registry import STEPS
from worker.compute.tables import load as load_tables
from worker.config import Config
from worker.errors import Reason, Refusal, Stage
from worker.ipc import Channel, ChannelClosed
from worker.ipc.messages import (
    Admit,
    Admitted,
    CellFailed,
    Commit,
    Completed,
    Ended,
    FetchedReceipt,
    FetchReceipt,
    FrontFromKeyholder,
    KeyholderFromFront,
    KeyholderFromZygote,
    Kill,
    OpenJob,
    Summary,
    ZygoteFromKeyholder,
)
from worker.job import Header, Policy
from worker.keyholder.admission import Admission, check, open_keys, parse_header
from worker.keyholder.cells import Cell, Cells
from worker.keyholder.custody import Custody
from worker.keyholder.ledger import AuditLedger
from worker.keyholder.receipts import ReceiptSigner
from worker.keyholder.references import Owner, References
from worker.keyholder.running import Running
from worker.log import log

__all__ = ["Jobs"]

_OVERLOADED_RETRY_MS: Final = 500


class Jobs:
    """Jobs by call number; for the main thread. `completed` counts receipts since the start."""

    def __init__(
        self,
        *,
        config: Config,
        policy: Policy,
        audit: AuditFile,
        custody: Custody,
        signer: ReceiptSigner,
        cells: Cells,
        references: References,
        front: Channel[KeyholderFromFront, FrontFromKeyholder],
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
    ) -> None:
        self._config, self._policy, self._audit, self._custody, self._signer = config, policy, audit, custody, signer
        self._cells, self._references, self._front, self._zygote = cells, references, front, zygote
        self._ledger = AuditLedger(audit)
        self._tables = load_tables(config.tables_folder)
        self._running: dict[int, Running] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self.completed = 0

    def refuse(self, call: int, refusal: Refusal) -> None:
        """The last word to the front on this call."""
        retry = _OVERLOADED_RETRY_MS if refusal.reason is Reason.OVERLOADED else 0
        with contextlib.suppress(ChannelClosed):  # a front that is gone needs no word
            self._front.send(Ended(call=call, reason=refusal.reason, stage=refusal.stage, retry_after_ms=retry))

    def admit(self, ask: Admit) -> None:
        """Run this job, or refuse it."""
        header: Header | None = None
        try:
            header = parse_header(ask.header, self._policy)
            admission = check(
                header=header,
                signature=ask.signature,
                san=ask.submitter,
                audience=self._config.worker.audience,
                policy=self._policy,
                holdings=self._custody.holdings,
                tables=self._tables,
                now=datetime.now(UTC),
            )
            if not self._audit.writable():
                raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)
            self._ledger.decide(header)
            reference = admission.plan.reference
            shelf = self._references.find(reference, Owner(admission.grant.submitter, header.kek_id))
            cell = self._cells.take()
        except Refusal as refusal:
            self._audit_refusal(ask, header, refusal)
            self.refuse(ask.call, refusal)
            return
        self._start(ask, admission, cell, reference=reference, shelf=shelf)

    def abort(self, call: int, refusal: Refusal) -> None:
        """The front gave up on a call."""
        job = self._running.get(call)
        if job is not None:
            self._end(job, refusal)

    def end_of_key(self, kek_id: str, reason: Reason) -> None:
        """A key was taken away before its time: the jobs that it opened end with it, and their cells are killed."""
        for job in list(self._running.values()):
            if job.admission.header.kek_id == kek_id:
                self._end(job, Refusal(reason, stage=Stage.COMPUTE))

    def end_all(self) -> None:
        """Nothing can go on."""
        for job in list(self._running.values()):
            self._end(job, Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))

    def fetch_receipt(self, ask: FetchReceipt) -> None:
        """The receipt of the caller's own job. Another's job, an unknown and an unfinished one look the same."""
        try:
            submitter = self._policy.submitter(ask.submitter)
            done = self._audit.completion(ask.job_id)
            if done is None or done.submitter != submitter.name:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            self._front.send(FetchedReceipt(call=ask.call, receipt=done.receipt))
        except Refusal as refusal:
            self.refuse(ask.call, refusal)

    def _start(self, ask: Admit, admission: Admission, cell: Cell, *, reference: Reference | None, shelf: int) -> None:
        """From here on the job has a line in the audit trail, so it also gets an end there."""
        header, grant = admission.header, admission.grant
        try:
            self._append(
                JobAdmitted(
                    job_id=header.job_id.hex(),
                    header_sha384=header.sha384.hex(),
                    submitter=grant.submitter,
                    source=ask.source,
                    originating_ori=header.originating_ori,
                    requesting_ori=header.requesting_ori,
                    operator_id=header.operator_id,
                    requestor=header.requestor,
                    secondary_recipient=header.secondary_recipient,
                    purpose_code=header.purpose_code,
                    operations=header.operation_names,
                    recipients=tuple(r.key_id for r in header.recipients),
                    kek_id=header.kek_id,
                    policy_sha384=self._policy.sha384.hex(),
                    held_reference=reference.sha256.hex() if reference and reference.sha256 else None,
                )
            )
        except Refusal as refusal:
            self._cells.give_back(cell)
            self.refuse(ask.call, refusal)
            return
        job = Running(
            call=ask.call,
            correlation_id=ask.correlation_id,
            admission=admission,
            cell=cell,
            started=time.monotonic(),
            admitted_at=datetime.now(UTC),
            reference=reference,
            shelf=shelf,
        )
        self._references.give(shelf, cell.number)
        self._running[ask.call] = job
        try:
            cell.slot.put(open_keys(admission))
            cell.control.send(OpenJob(header=header.data, worker_id=self._config.worker.id, shelf=shelf))
            self._front.send(Admitted(call=ask.call, steps=STEPS), [cell.data_fd, cell.ring_fd])
        except Refusal as refusal:
            self._end(job, refusal)
            return
        except ChannelClosed:
            self._end(job, Refusal(Reason.CELL_FAILED, stage=Stage.ADMIT))
            return
        finally:
            cell.let_go()
        watcher = asyncio.create_task(self._watch(job))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, job: Running) -> None:
        """A job's control channel, until the job is over."""
        try:
            message, _ = await job.cell.control.receive_async()
            match message:
                case CellFailed(reason=reason, stage=stage):
                    self._end(job, Refusal(reason, stage=stage))
                case Summary():
                    self._complete(job, message)
        except ChannelClosed:
            self._end(job, Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
        except (ValueError, DecodeError) as fault:
            # a summary that makes no sense: the cell is not believed, and the job has its end all the same
            log("fault", correlation_id=job.correlation_id, error=type(fault).__name__)
            self._end(job, Refusal(Reason.INTERNAL, stage=Stage.COMMIT))

    def _complete(self, job: Running, summary: Summary) -> None:
        if job.over:
            return
        try:
            event = self._signer.completion(job, summary, self._custody.holdings)
            self._append(event)
        except Refusal as refusal:
            self._end(job, refusal)
            return
        self._signer.issued(event.receipt)
        self.completed += 1
        self._hold(job, summary)
        self._over(job)
        try:
            job.cell.control.send(Commit())
        except ChannelClosed:
            self.refuse(job.call, Refusal(Reason.CELL_FAILED, stage=Stage.COMMIT))
            return
        finally:
            job.cell.control.close()
        self._front.send(Completed(call=job.call, receipt=event.receipt))

    def _hold(self, job: Running, summary: Summary) -> None:
        header, reference = job.admission.header, job.reference
        if reference is None or not reference.seconds:
            return
        part = [part.name for part in header.inputs].index(reference.side)
        self._references.keep(
            job.shelf,
            owner=Owner(job.admission.grant.submitter, header.kek_id),
            job_id=header.job_id.hex(),
            sha256=summary.inputs[part].sha256,
            seconds=reference.seconds,
        )

    def _end(self, job: Running, refusal: Refusal) -> None:
        """The one way for a job to end without a receipt."""
        if job.over:
            return
        self._over(job)
        with contextlib.suppress(ChannelClosed):  # cells end with the zygote
            self._zygote.send(Kill(cell=job.cell.number))
        log(
            "job ended",
            correlation_id=job.correlation_id,
            reason=refusal.reason.value,
            stage=refusal.stage.value,
            job_id=job.admission.header.job_id.hex(),
        )
        header, grant = job.admission.header, job.admission.grant
        try:
            self._append(
                JobEnded(
                    job_id=header.job_id.hex(),
                    header_sha384=header.sha384.hex(),
                    submitter=grant.submitter,
                    requesting_ori=header.requesting_ori,
                    purpose_code=header.purpose_code,
                    duration_ms=int((time.monotonic() - job.started) * 1000),
                    stage=refusal.stage,
                    reason=refusal.reason,
                    correlation_id=job.correlation_id,
                )
            )
        except Refusal:
            log("audit unavailable", correlation_id=job.correlation_id)
        self.refuse(job.call, refusal)

    def _over(self, job: Running) -> None:
        job.over = True
        self._references.abandon(job.shelf)
        self._running.pop(job.call, None)

    def _audit_refusal(self, ask: Admit, header: Header | None, refusal: Refusal) -> None:
        log("refused", correlation_id=ask.correlation_id, reason=refusal.reason.value, stage=refusal.stage.value)
        known = refusal.reason is not Reason.MALFORMED_HEADER and header is not None
        try:
            submitter = self._policy.submitter(ask.submitter).name
        except Refusal:
            submitter = None
        try:
            self._append(
                JobRefused(
                    source=ask.source,
                    stage=refusal.stage,
                    reason=refusal.reason,
                    correlation_id=ask.correlation_id,
                    submitter=submitter,
                    job_id=header.job_id.hex() if known and header else None,
                    header_sha384=header.sha384.hex() if known and header else None,
                    requesting_ori=header.requesting_ori if known and header else None,
                    purpose_code=header.purpose_code if known and header else None,
                )
            )
        except Refusal:
            log("audit unavailable", correlation_id=ask.correlation_id)

    def _append(self, event: Event) -> None:
        """On disk, or a Refusal: AUDIT_UNAVAILABLE, or INTERNAL for an event that the trail does not take."""
        try:
            self._audit.append(event)
        except ValueError as fault:
            log("fault", error=type(fault).__name__)
            raise Refusal(Reason.INTERNAL, stage=Stage.COMMIT) from fault
