"""The four calls of `cji.worker.v1.CjiWorker`."""

import os
from typing import Any, Final

import grpc

from worker.config import Config
from worker.errors import Reason, Refusal, Stage
from worker.front.frames import read_request
from worker.front.guard import Call, guarded
from worker.front.keyholder_client import KeyholderClient
from worker.front.run import run
from worker.ipc.messages import Attest, Attested, FetchedReceipt, FetchReceipt
from worker.job import LIMITS
from worker.wire.v1 import worker_pb2 as pb
from worker.wire.v1 import worker_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

_JOB_ID_BYTES: Final = 16
_MAX_EVIDENCE_BYTES: Final = 1 << 20


class Service(worker_pb2_grpc.CjiWorkerServicer):
    """The calls. Its only state: whether the worker drains, and the number of running jobs."""

    def __init__(self, config: Config, keyholder: KeyholderClient) -> None:
        self._config, self._keyholder = config, keyholder
        self.draining = False
        self.running = 0

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:  # noqa: ARG002, N802
        """The worker's audience, operations, schemas, limits and keys."""

        async def body(_: Call) -> pb.DescribeResponse:
            offer, references = self._keyholder.offer(), self._config.references
            return pb.DescribeResponse(
                audience=self._config.worker.audience,
                worker_id=self._config.worker.id,
                operations=offer.operations,
                schemas=offer.schemas,
                keys=[pb.KeyDescription(kek_id=k.kek_id, public_jwk=k.public_jwk) for k in offer.keys],
                limits=pb.Limits(
                    header_bytes=LIMITS.header_bytes,
                    segment_bytes=LIMITS.segment_bytes,
                    batch_rows=LIMITS.batch_rows,
                    batch_bytes=LIMITS.batch_bytes,
                    parts=LIMITS.parts,
                    job_bytes=LIMITS.job_bytes,
                    references=references.max_references if references else 0,
                    reference_retain_seconds=references.retain_seconds if references else 0,
                ),
            )

        return await guarded(context, body)

    async def Attest(self, request: pb.AttestRequest, context: Context) -> pb.AttestResponse:  # noqa: N802
        """Fresh evidence over the caller's nonce."""

        async def body(_: Call) -> pb.AttestResponse:
            if len(request.nonce) != LIMITS.nonce_bytes:
                raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
            with self._keyholder.pending_call() as pending:
                self._keyholder.send(Attest(call=pending.number, nonce=request.nonce))
                message, (fd,) = await pending.answer()
                assert isinstance(message, Attested)  # noqa: S101 - the only answer to Attest
                with os.fdopen(fd, "rb") as file:
                    evidence = file.read(_MAX_EVIDENCE_BYTES)
            return pb.AttestResponse(evidence=evidence, maa_token=message.maa_token, receipt_jwk=message.receipt_jwk)

        return await guarded(context, body)

    async def Run(self, request_iterator: object, context: Context) -> None:  # noqa: N802, ARG002
        """One sealed job. Reads and writes through the context, so nothing is read ahead."""

        async def body(call: Call) -> None:
            if self.draining:
                raise Refusal(Reason.DRAINING, stage=Stage.OPEN)
            self.running += 1
            try:
                await run(call, self._keyholder)
            finally:
                self.running -= 1

        await guarded(context, body)

    async def GetReceipt(self, request: pb.GetReceiptRequest, context: Context) -> pb.GetReceiptResponse:  # noqa: N802
        """The stored receipt of the caller's own job."""

        async def body(call: Call) -> pb.GetReceiptResponse:
            if len(request.job_id) != _JOB_ID_BYTES:
                raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
            with self._keyholder.pending_call() as pending:
                self._keyholder.send(FetchReceipt(call=pending.number, submitter=call.submitter, job_id=request.job_id))
                message, _ = await pending.answer()
                assert isinstance(message, FetchedReceipt)  # noqa: S101 - the only answer to FetchReceipt
            return pb.GetReceiptResponse(receipt=message.receipt)

        return await guarded(context, body)


def handlers(service: Service) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":  # generic in the stubs only
    """The calls by name, as in the generated code; only the messages of Run are parsed and encoded in `frames`."""
    return {
        "Describe": grpc.unary_unary_rpc_method_handler(
            service.Describe, pb.DescribeRequest.FromString, pb.DescribeResponse.SerializeToString
        ),
        "Attest": grpc.unary_unary_rpc_method_handler(
            service.Attest, pb.AttestRequest.FromString, pb.AttestResponse.SerializeToString
        ),
        "Run": grpc.stream_stream_rpc_method_handler(service.Run, read_request, None),
        "GetReceipt": grpc.unary_unary_rpc_method_handler(
            service.GetReceipt, pb.GetReceiptRequest.FromString, pb.GetReceiptResponse.SerializeToString
        ),
    }
