"""The calls of `cji.worker.v1.CjiWorker`."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.configuration.worker import Config, LimitsSection
from cji_core.format.job import LIMITS
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.evidence import evidence_for
from cji_worker.front.finish import finish_tasks
from cji_worker.front.frames import read_request
from cji_worker.front.guard import Call, Guard
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.run import run, run_task
from cji_worker.front.submitters import Kind
from cji_worker.ipc.messages import FetchedReceipt, FetchReceipt

_JOB_ID_BYTES: Final = 16


class Service:
    """The calls. Its only state: whether the worker drains, and the number of running jobs."""

    def __init__(self, config: Config, keyholder: KeyholderClient) -> None:
        self._config, self._keyholder = config, keyholder
        self.draining = False
        self.running = 0

    def handlers(self, guard: Guard) -> dict[str, Any]:
        """The calls by name. The messages of Run are parsed in `frames`."""
        return {
            "Describe": guard.unary(Kind.ASK, pb.DescribeRequest, self._describe),
            "Attest": guard.unary(Kind.ATTEST, pb.AttestRequest, self.attest),
            "Run": guard.stream(Kind.RUN, self.run, parse=read_request),
            "GetReceipt": guard.unary(Kind.ASK, pb.GetReceiptRequest, self._get_receipt),
        }

    async def _describe(self, _: Call, request: pb.DescribeRequest) -> pb.DescribeResponse:  # noqa: ARG002 - empty
        """The worker's audience, operations, schemas, limits and keys."""
        offer, references, limits = self._keyholder.offer(), self._config.references, self._config.limits
        return pb.DescribeResponse(
            audience=self._config.worker.audience,
            worker_id=self._config.worker.id,
            operations=offer.operations,
            schemas=offer.schemas,
            keys=[
                pb.KeyDescription(kek_id=k.kek_id, public_jwk=k.public_jwk, ml_kem_jwk=k.ml_kem_jwk) for k in offer.keys
            ],
            limits=pb.Limits(
                header_bytes=LIMITS.header_bytes,
                segment_bytes=LIMITS.segment_bytes,
                batch_rows=LIMITS.batch_rows,
                batch_bytes=LIMITS.batch_bytes,
                parts=LIMITS.parts,
                job_bytes=LIMITS.job_bytes,
                references=references.max_references if references else 0,
                reference_retain_seconds=references.retain_seconds if references else 0,
                job_seconds=limits.max_job_seconds,
                idle_seconds=limits.idle_seconds,
            ),
        )

    async def attest(self, _: Call, request: pb.AttestRequest) -> pb.AttestResponse:
        """Fresh evidence over the caller's nonce."""
        if len(request.nonce) != LIMITS.nonce_bytes:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        return await evidence_for(self._keyholder, request.nonce)

    async def run(self, call: Call) -> None:
        """One sealed job. Reads and writes through the context, so nothing is read ahead."""
        await self._count(run, call)

    async def run_task(self, call: Call) -> None:
        """One task of a job in parts."""
        await self._count(run_task, call)

    async def finish_tasks(self, call: Call) -> None:
        """The end of a job in parts."""
        await self._count(finish_tasks, call)

    async def _count(self, body: Callable[[Call, KeyholderClient, LimitsSection], Awaitable[None]], call: Call) -> None:
        if self.draining:
            raise Refusal(Reason.DRAINING, stage=Stage.OPEN)
        self.running += 1
        try:
            await body(call, self._keyholder, self._config.limits)
        finally:
            self.running -= 1

    async def _get_receipt(self, call: Call, request: pb.GetReceiptRequest) -> pb.GetReceiptResponse:
        """The stored receipt of the caller's own job, and whether anything of it was released."""
        if len(request.job_id) != _JOB_ID_BYTES:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        with self._keyholder.pending_call() as pending:
            self._keyholder.send(
                FetchReceipt(
                    call=pending.number,
                    submitter=call.peer.identity,
                    source=call.peer.source,
                    presented=call.peer.presented,
                    job_id=request.job_id,
                )
            )
            message, _ = await pending.answer()
            assert isinstance(message, FetchedReceipt)  # noqa: S101 - the only answer to FetchReceipt
        return pb.GetReceiptResponse(receipt=message.receipt, release=message.release)
