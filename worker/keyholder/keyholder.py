"""The keyholder's process: one loop over the front, the zygote, the running jobs and the clock.

A job's life here: admitted (audit line on disk) -> running in a cell -> completed (audit line with the receipt on
disk, then the cell may let its last segments go) or ended without a receipt. Exactly one of the two ends is written
and exactly one is told to the front.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from google.protobuf.message import DecodeError

from worker import compute
from worker.audit import (
    AuditFile,
    JobAdmitted,
    JobEnded,
    JobRefused,
    KeyDropped,
    KeyReleased,
    WorkerNotReady,
    WorkerReady,
    WorkerStopped,
)
from worker.config import Config
from worker.errors import Reason, Refusal, Stage
from worker.ipc import Channel, ChannelClosed, KeySlot
from worker.ipc.messages import (
    Abort,
    Admit,
    Admitted,
    Attest,
    Attested,
    CellFailed,
    CellGone,
    CellReady,
    Commit,
    Completed,
    Drained,
    Ended,
    FetchedReceipt,
    FetchReceipt,
    FrontFromKeyholder,
    KeyholderFromFront,
    KeyholderFromZygote,
    Kill,
    NotReady,
    OpenJob,
    PublishedKey,
    Ready,
    Summary,
    ZygoteFromKeyholder,
)
from worker.job import Header, Policy
from worker.keyholder.admission import Admission, check, open_keys, parse_header
from worker.keyholder.cells import Cell, Cells
from worker.keyholder.custody import Custody, Holdings
from worker.keyholder.ledger import AuditLedger
from worker.keyholder.receipts import ReceiptSigner
from worker.log import log
from worker.records import SCHEMAS

__all__ = ["Keyholder", "Running"]

_TICK_S: Final = 1.0
_OVERLOADED_RETRY_MS: Final = 500


@dataclass(slots=True, kw_only=True)
class Running:
    """A job in a cell."""

    call: int
    correlation_id: str
    admission: Admission
    cell: Cell
    started: float
    """time.monotonic"""
    admitted_at: datetime
    over: bool = False


class Keyholder:
    """All state of the process, touched by its main thread only."""

    def __init__(
        self,
        *,
        config: Config,
        policy: Policy,
        audit: AuditFile,
        custody: Custody,
        signer: ReceiptSigner,
        front: Channel[KeyholderFromFront, FrontFromKeyholder],
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
        slots: Sequence[KeySlot],
    ) -> None:
        self._config, self._policy, self._audit, self._custody, self._signer = config, policy, audit, custody, signer
        self._front, self._zygote = front, zygote
        self._ledger = AuditLedger(audit)
        self._cells = Cells(slots)
        self._running: dict[int, Running] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._told: Ready | NotReady | None = None
        self._seen: Holdings = custody.holdings
        self._completed = 0
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """Until the front says that it is drained, or any peer hangs up."""
        tasks = {asyncio.create_task(t) for t in (self._serve_front(), self._serve_zygote(), self._tick())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for job in list(self._running.values()):
                self._end(job, Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
            self._audit.append(WorkerStopped(jobs_completed=self._completed))

    # ------------------------------------------------------------------ front

    async def _serve_front(self) -> None:
        while True:
            message, _ = await self._front.receive_async()
            match message:
                case Admit():
                    self._admit(message)
                case Abort(call=call, reason=reason, stage=stage):
                    job = self._running.get(call)
                    if job is not None:
                        self._end(job, Refusal(reason, stage=stage))
                case Attest(call=call, nonce=nonce):
                    self._attest(call, nonce)
                case FetchReceipt():
                    self._fetch_receipt(message)
                case Drained():
                    return

    def _refuse(self, call: int, refusal: Refusal) -> None:
        retry = _OVERLOADED_RETRY_MS if refusal.reason is Reason.OVERLOADED else 0
        self._front.send(Ended(call=call, reason=refusal.reason, stage=refusal.stage, retry_after_ms=retry))

    def _admit(self, ask: Admit) -> None:
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
                now=datetime.now(UTC),
            )
            if not self._audit.writable():
                raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)
            self._ledger.decide(header)
            cell = self._cells.take()
        except Refusal as refusal:
            self._audit_refusal(ask, header, refusal)
            self._refuse(ask.call, refusal)
            return
        self._start(ask, admission, cell)

    def _start(self, ask: Admit, admission: Admission, cell: Cell) -> None:
        """From here on the job has a line in the audit trail, so it also gets an end there."""
        header, grant = admission.header, admission.grant
        try:
            self._audit.append(
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
                )
            )
        except Refusal as refusal:
            self._cells.give_back(cell)
            self._refuse(ask.call, refusal)
            return
        job = Running(
            call=ask.call,
            correlation_id=ask.correlation_id,
            admission=admission,
            cell=cell,
            started=time.monotonic(),
            admitted_at=datetime.now(UTC),
        )
        self._running[ask.call] = job
        try:
            cell.slot.put(open_keys(admission))
            cell.control.send(OpenJob(header=header.data, worker_id=self._config.worker.id))
            self._front.send(Admitted(call=ask.call), [cell.data_fd, cell.ring_fd])
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

    def _audit_refusal(self, ask: Admit, header: Header | None, refusal: Refusal) -> None:
        log("refused", correlation_id=ask.correlation_id, reason=refusal.reason.value, stage=refusal.stage.value)
        known = refusal.reason is not Reason.MALFORMED_HEADER and header is not None
        try:
            submitter = self._policy.submitter(ask.submitter).name
        except Refusal:
            submitter = None
        try:
            self._audit.append(
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

    def _fetch_receipt(self, ask: FetchReceipt) -> None:
        """Another submitter's job, an unknown job and an unfinished job look the same."""
        try:
            submitter = self._policy.submitter(ask.submitter)
            done = self._audit.completion(ask.job_id)
            if done is None or done.submitter != submitter.name:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            self._front.send(FetchedReceipt(call=ask.call, receipt=done.receipt))
        except Refusal as refusal:
            self._refuse(ask.call, refusal)

    def _attest(self, call: int, nonce: bytes) -> None:
        attestation = self._custody.holdings.attestation
        if attestation is None or not self._custody.holdings.fresh():
            self._refuse(call, Refusal(self._custody.holdings.reason, stage=Stage.OPEN))
            return
        token = attestation.token.raw

        def answer(result: object) -> None:
            self._loop.call_soon_threadsafe(deliver, result)

        def deliver(result: object) -> None:
            if isinstance(result, Refusal):
                self._refuse(call, result)
                return
            fd = os.memfd_create("cji-evidence", os.MFD_CLOEXEC)
            os.write(fd, result.to_json())  # type: ignore[attr-defined]
            os.lseek(fd, 0, os.SEEK_SET)
            self._front.send(Attested(call=call, maa_token=token, receipt_jwk=self._signer.public_jwk), [fd])
            os.close(fd)

        self._custody.quote(nonce, answer)

    # ------------------------------------------------------------------ cells

    async def _serve_zygote(self) -> None:
        while True:
            message, fds = await self._zygote.receive_async()
            match message:
                case CellReady(cell=number, place=place):
                    self._cells.add(number, place=place, fds=fds)
                case CellGone(cell=number, status=status):
                    self._cells.remove(number)
                    log("cell gone", cell=number, status=status)
            self._tell_readiness()

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
            self._audit.append(event)
        except Refusal as refusal:
            self._end(job, refusal)
            return
        self._signer.issued(event.receipt)
        self._completed += 1
        self._over(job)
        try:
            job.cell.control.send(Commit())
        except ChannelClosed:
            self._refuse(job.call, Refusal(Reason.CELL_FAILED, stage=Stage.COMMIT))
            return
        finally:
            job.cell.control.close()
        self._front.send(Completed(call=job.call, receipt=event.receipt))

    def _end(self, job: Running, refusal: Refusal) -> None:
        """The one way for a job to end without a receipt."""
        if job.over:
            return
        self._over(job)
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
            self._audit.append(
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
        self._refuse(job.call, refusal)

    def _over(self, job: Running) -> None:
        job.over = True
        self._running.pop(job.call, None)

    # ------------------------------------------------------------------ readiness

    def holdings_changed(self) -> None:
        """Called from the custody thread."""
        self._loop.call_soon_threadsafe(self._holdings_changed)

    def _holdings_changed(self) -> None:
        old, new = self._seen, self._custody.holdings
        self._seen = new
        try:
            if new.attestation is not None and new.attestation is not old.attestation:
                self._audit_attestation(new)
            for kek_id in old.keys.keys() - new.keys.keys():
                self._audit.append(KeyDropped(kek_id=kek_id, cause="revoked"))
        except Refusal:
            log("audit unavailable")
        self._tell_readiness()

    def _audit_attestation(self, holdings: Holdings) -> None:
        attestation = holdings.attestation
        assert attestation is not None  # noqa: S101 - asked by the caller
        self._audit.append(self._signer.attested(attestation))
        for kek_id, key in holdings.keys.items():
            self._audit.append(
                KeyReleased(
                    kek_id=kek_id,
                    evidence_sha384=attestation.evidence.sha384.hex(),
                    statement_sha384=key.released.statement_sha384.hex(),
                )
            )

    async def _tick(self) -> None:
        """Time passes: evidence grows old, disks fill up."""
        while True:
            await asyncio.sleep(_TICK_S)
            if self._seen.keys and not self._seen.fresh():
                self._custody.drop_if_stale(self._seen)
                self._holdings_changed()
            self._tell_readiness()

    def _tell_readiness(self) -> None:
        state = self._readiness()
        if state == self._told:
            return
        self._told = state
        try:
            match state:
                case Ready(keys=keys):
                    self._audit.append(WorkerReady(kek_ids=tuple(k.kek_id for k in keys)))
                case NotReady(reason=reason):
                    log("not ready", reason=reason.value)
                    self._audit.append(WorkerNotReady(reason=reason))
        except Refusal:
            log("audit unavailable")
        self._front.send(state)

    def _readiness(self) -> Ready | NotReady:
        holdings = self._custody.holdings
        if not self._audit.writable():
            return NotReady(reason=Reason.AUDIT_UNAVAILABLE)
        if not holdings.fresh():
            return NotReady(reason=holdings.reason)
        if not self._cells.populated:
            return NotReady(reason=Reason.NOT_READY)
        keys = (
            PublishedKey(kek_id=kek_id, public_jwk=key.released.public_jwk) for kek_id, key in holdings.keys.items()
        )
        return Ready(keys=tuple(keys), operations=tuple(sorted(compute.OPERATIONS)), schemas=tuple(sorted(SCHEMAS)))
