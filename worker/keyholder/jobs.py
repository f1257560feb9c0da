"""The jobs of this worker: turns what happens into events of `lifecycle`, and has the effects performed.

For the main thread.
"""

import asyncio
import time
from datetime import UTC, datetime

from worker.audit import AuditFile
from worker.errors import Reason, Refusal, Stage
from worker.ipc import ChannelClosed
from worker.ipc.messages import Admit, CellFailed, CellFaulted, FetchedReceipt, FetchReceipt, Summary
from worker.job import Header, Policy
from worker.keyholder.admission import AdmissionControl
from worker.keyholder.admitted_job import AdmittedJob
from worker.keyholder.cells import Cells
from worker.keyholder.custody import Custody
from worker.keyholder.effects import Effects
from worker.keyholder.events import job_refused
from worker.keyholder.lifecycle import BEGIN, Action, Event, Failed, Phase, Step, Summarised, advance
from worker.keyholder.references import References
from worker.log import log


class Jobs:
    """Jobs by call number, from their admission until they are over."""

    def __init__(
        self,
        *,
        policy: Policy,
        audit: AuditFile,
        admission: AdmissionControl,
        custody: Custody,
        cells: Cells,
        references: References,
        effects: Effects,
    ) -> None:
        self._policy, self._audit, self._admission, self._custody = policy, audit, admission, custody
        self._cells, self._references, self._effects = cells, references, effects
        self._jobs: dict[int, AdmittedJob] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    def admit(self, request: Admit) -> None:
        """Start this job, or refuse it."""
        header: Header | None = None
        try:
            header = self._admission.parse(request)
            admission = self._admission.check(request, header, holdings=self._custody.holdings, now=datetime.now(UTC))
            reference_slot = self._references.find(admission.plan.reference, admission.owner)
            cell = self._cells.take()
        except Refusal as refusal:
            self._refuse(request, header, refusal)
            return
        job = self._jobs[request.call] = AdmittedJob(
            call=request.call,
            correlation_id=request.correlation_id,
            source=request.source,
            admission=admission,
            cell=cell,
            reference_slot=reference_slot,
            started=time.monotonic(),
            admitted_at=datetime.now(UTC),
        )
        self._take(job, BEGIN)

    def abort(self, call: int, refusal: Refusal) -> None:
        """End a job that the front gave up on."""
        job = self._jobs.get(call)
        if job is not None:
            self._feed(job, Failed(refusal))

    def end_of_key(self, kek_id: str, reason: Reason) -> None:
        """End the jobs of a key version that was dropped before it expired."""
        for job in list(self._jobs.values()):
            if job.admission.header.kek_id == kek_id:
                self._feed(job, Failed(Refusal(reason, stage=Stage.COMPUTE)))

    def end_all(self) -> None:
        """End every job."""
        for job in list(self._jobs.values()):
            self._feed(job, Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)))

    def fetch_receipt(self, request: FetchReceipt) -> None:
        """Send the receipt of the caller's own job. Another's job, an unknown and an unfinished one look the same."""
        try:
            submitter = self._policy.submitter(request.submitter)
            done = self._audit.completion(request.job_id)
            if done is None or done.submitter != submitter.name:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            self._effects.send(FetchedReceipt(call=request.call, receipt=done.receipt))
        except Refusal as refusal:
            self._effects.refuse(request.call, refusal)

    def _refuse(self, request: Admit, header: Header | None, refusal: Refusal) -> None:
        log("refused", correlation_id=request.correlation_id, reason=refusal.reason.value, stage=refusal.stage.value)
        try:
            submitter = self._policy.submitter(request.submitter).name
        except Refusal:
            submitter = None
        if isinstance(self._effects.write(job_refused(request, header, refusal, submitter=submitter)), Failed):
            log("audit unavailable", correlation_id=request.correlation_id)
        self._effects.refuse(request.call, refusal)

    def _feed(self, job: AdmittedJob, event: Event) -> None:
        self._take(job, advance(job.phase, event))

    def _take(self, job: AdmittedJob, step: Step) -> None:
        job.phase, effects = step
        if job.phase is Phase.OVER:
            self._jobs.pop(job.call, None)
            self._references.abandon(job.reference_slot)
        for effect in effects:
            if effect is Action.AWAIT_CELL:
                watcher = asyncio.create_task(self._await_cell(job))
                self._watchers.add(watcher)
                watcher.add_done_callback(self._watchers.discard)
            elif (outcome := self._effects.perform(job, effect)) is not None:
                self._feed(job, outcome)

    async def _await_cell(self, job: AdmittedJob) -> None:
        try:
            message, _ = await job.cell.control.receive_async()
        except ChannelClosed:
            self._feed(job, Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)))
            return
        match message:
            case CellFaulted(fault=fault):
                log("cell fault", correlation_id=job.correlation_id, cell=job.cell.number, error=fault.value)
                self._feed(job, Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)))
            case CellFailed(reason=reason, stage=stage):
                self._feed(job, Failed(Refusal(reason, stage=stage)))
            case Summary():
                self._feed(job, Summarised(message))
