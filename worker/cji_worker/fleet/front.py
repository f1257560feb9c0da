"""The fronts of this machine, at their sockets for the fleet: jobs, receipts, failure receipts, health."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_core.errors import Limit, Reason, Stage
from cji_core.format.job import LIMITS
from cji_core.pool.ticket import Ticket
from cji_core.strict import hex_decode
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_worker.errors import WorkerError
from cji_worker.fronts import socket_of

_SERVICE: Final = pb.DESCRIPTOR.services_by_name["CjiWorker"].full_name
_DETAILS_KEY: Final = "grpc-status-details-bin"
_DOMAIN: Final = "worker.cji"
_CALL_SECONDS: Final = 30.0
_HEALTH_SECONDS: Final = 5.0
JOB_SECONDS: Final = 86_400.0
"""The worker cuts it to its own limit."""
_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes


class FrontAwayError(WorkerError):
    """The front does not answer, or a call ended without its answer."""

    code = "front-away"
    remedy = "Check that the worker serves, and its socket for the fleet."


class FrontRefusedError(WorkerError):
    """The worker refused: its Reason and stage, and the delay in seconds that it asked for."""

    code = "front-refused"
    remedy = "Read the reason that the worker gave."

    def __init__(self, reason: Reason, stage: Stage, after: float = 0.0, limit: Limit | None = None) -> None:
        super().__init__(reason, stage)
        self.reason, self.stage, self.after, self.limit = reason, stage, after, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The end of a job: its receipt, and the name under which its outputs are, or its failure receipt."""

    receipt: str
    attempt: str
    failure: str


class _Connection:
    """A connection to one front."""

    def __init__(self, socket: str) -> None:
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.enable_http_proxy", 0),
        ]
        self.channel = grpc.secure_channel(
            f"unix:{socket}", grpc.local_channel_credentials(grpc.LocalConnectionType.UDS), options=options
        )
        self.stub = CjiWorkerStub(self.channel)
        self._health = health_pb2_grpc.HealthStub(self.channel)

    def serves(self) -> bool:
        """Whether this front serves jobs."""
        try:
            answer = self._health.Check(health_pb2.HealthCheckRequest(service=_SERVICE), timeout=_HEALTH_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Front:
    """Connections to the fronts; a context manager. Those that serve take turns with calls."""

    def __init__(self, socket: str, *, count: int = 1) -> None:
        """`socket` is that of the first front, of `count`."""
        self._all = [_Connection(socket_of(socket, number)) for number in range(count)]
        self._serving, self._calls = self._all[:1], itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._all:
            each.channel.close()

    def serving(self) -> bool:
        """Whether jobs are served; the fronts that do so now get the next calls."""
        if found := [each for each in self._all if each.serves()]:
            self._serving = found
        return bool(found)

    @property
    def _stub(self) -> CjiWorkerStub:
        serving = self._serving
        return serving[next(self._calls) % len(serving)].stub

    def run(self, requests: Iterator[pb.RunRequest]) -> Any:
        """The call of a job: an iterator of responses with `cancel`. Its errors are for `explained`."""
        return self._stub.Run(requests, timeout=JOB_SECONDS)

    def run_task(self, requests: Iterator[pb.RunTaskRequest]) -> Any:
        """The call of a task of a job in parts, as `run`."""
        return self._stub.RunTask(requests, timeout=JOB_SECONDS)

    def finish_tasks(self, requests: Iterator[pb.FinishTasksRequest]) -> Any:
        """The call that ends a job in parts, as `run`."""
        return self._stub.FinishTasks(requests, timeout=JOB_SECONDS)

    def receipt(self, job: str) -> str | None:
        """The receipt, without its signature, of a job by reference that completed on this worker; None without one.

        Raises FrontRefusedError, FrontAwayError.
        """
        try:
            answer = self._stub.GetReceipt(pb.GetReceiptRequest(job_id=hex_decode(job)), timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            found = explained(error)
            if isinstance(found, FrontRefusedError) and found.reason is Reason.INCOMPLETE:
                return None
            raise found from error
        return str(answer.receipt)

    def settle(self, ticket: Ticket, *, whole: str | None) -> JobEnd | None:
        """The end of the job. `whole` names the stored outputs of this worker's receipt, which may become the end.

        None if it has none: the receipt of this worker is superseded. Raises FrontRefusedError, INCOMPLETE if this
        worker has no receipt either; FrontAwayError.
        """
        request = pb.SettleRequest(
            job_id=hex_decode(ticket.job),
            header_sha384=hex_decode(ticket.header_sha384),
            whole=hex_decode(whole or ""),
        )
        try:
            found = self._stub.Settle(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            raise explained(error) from error
        if not found.receipt and not found.failure:
            return None
        return JobEnd(receipt=found.receipt, attempt=found.attempt.hex(), failure=found.failure)

    def attest(self, nonce: bytes) -> tuple[str, bytes]:
        """SHA-384 of the attestation token, and the evidence over this nonce of 32 bytes: an AttestResponse.

        Raises FrontRefusedError, FrontAwayError.
        """
        try:
            answer = self._stub.Attest(pb.AttestRequest(nonce=nonce), timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            raise explained(error) from error
        return hashlib.sha384(answer.maa_token.encode()).hexdigest(), answer.SerializeToString()

    def failure(self, *, job: str, submission: pb.Submission, sent: int, reason: Reason, stage: Stage) -> str:
        """A failure receipt, the end of the job; empty if the header does not verify.

        Raises FrontRefusedError: ALREADY_EXISTS for a job that runs there or has an end, INCOMPLETE if other attempts
        may follow. Raises FrontAwayError.
        """
        return self._failure(
            pb.GetFailureRequest(
                submission=submission,
                job_id=hex_decode(job),
                queued=sent,
                reason=reason.value,
                stage=stage.value,
            )
        )

    def refused_ticket(self, fault: str, *, job: str) -> None:
        """Have it recorded that a ticket has no submission. Raises FrontRefusedError, FrontAwayError."""
        self._failure(pb.GetFailureRequest(fault=fault, job_id=hex_decode(job)))

    def _failure(self, request: pb.GetFailureRequest) -> str:
        try:
            return str(self._stub.GetFailure(request, timeout=_CALL_SECONDS).failure)
        except grpc.RpcError as error:
            raise explained(error) from error


def explained(error: grpc.RpcError) -> FrontRefusedError | FrontAwayError:
    """The worker's refusal in a gRPC status; FrontAwayError if there is none."""
    call = cast("grpc.Call", error)  # the blocking API raises objects that are both
    metadata = cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ())
    trailer = next((value for key, value in metadata if key == _DETAILS_KEY), None)
    if isinstance(trailer, bytes) and (found := _refusal(trailer)):
        return found
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return FrontRefusedError(Reason.DEADLINE, Stage.COMPUTE)
    return FrontAwayError(call.code().name)


def _refusal(data: bytes) -> FrontRefusedError | None:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    reason, stage, after, limit = None, Stage.OPEN, 0.0, None
    try:
        for detail in status_pb2.Status.FromString(data).details:
            if detail.Unpack(info) and info.domain == _DOMAIN:
                reason, stage = Reason(info.reason), Stage(info.metadata.get("stage", Stage.OPEN.value))
                limit = Limit(name) if (name := info.metadata.get("limit")) else None
            elif detail.Unpack(retry):
                after = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    except (DecodeError, ValueError):
        return None
    return None if reason is None else FrontRefusedError(reason, stage, after, limit)
