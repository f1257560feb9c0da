"""The calls of this process to the front of its machine: one task, and the end of a job in parts.

gRPC reads requests in a thread of its own and would log an exception there with its text. So an error of a source is
kept, ends the call, and is raised where the answers are read.
"""

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from worker.errors import REASONS, Reason, Refusal, RetryLater
from worker.errors import Stage as Where
from worker.job import LIMITS
from worker.wire.v1 import worker_pb2 as pb
from worker.wire.v1.worker_pb2_grpc import CjiWorkerStub

_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
_STATEMENTS_BYTES: Final = 4 << 20
_AWAY_MS: Final = 2000
_DETAILS_KEY: Final = "grpc-status-details-bin"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _STATEMENTS_BYTES),
    ("grpc.max_send_message_length", _STATEMENTS_BYTES),
    ("grpc.enable_retries", 0),
)
T = TypeVar("T")
R = TypeVar("R")


class Front:
    """The front behind one Unix socket, for one call at a time. `cancel` may be called by any thread."""

    def __init__(self, socket: str) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._stub = CjiWorkerStub(self._channel)
        self._lock = Lock()
        self._call: grpc.Call | None = None
        self._cancelled = False

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def cancel(self) -> None:
        """End the call that runs, and every later one."""
        with self._lock:
            self._cancelled = True
            if self._call is not None:
                self._call.cancel()  # type: ignore[no-untyped-call]

    def run_task(
        self,
        requests: Iterator[pb.RunTaskRequest],
        *,
        segment: Callable[[pb.Segment], None],
        progress: Callable[[str, int], None],
    ) -> pb.TaskDone:
        """Run one task. Raises Refusal, and whatever `requests` and the callbacks raise."""
        for message in self._answers(self._stub.RunTask, requests):
            match message.WhichOneof("message"):
                case "segment":
                    segment(message.segment)
                case "progress":
                    progress(message.progress.stage, min(message.progress.per_cent, 100))
                case "done":
                    return pb.TaskDone.FromString(message.done.SerializeToString())
                case _:
                    pass
        raise Refusal(Reason.INTERNAL, stage=Where.RECEIPT)

    def finish(self, requests: Iterator[pb.FinishTasksRequest]) -> str:
        """The receipt of a job in parts. Raises Refusal, and whatever `requests` raises."""
        for message in self._answers(self._stub.FinishTasks, requests):
            return str(message.receipt)
        raise Refusal(Reason.INTERNAL, stage=Where.RECEIPT)

    def _answers(self, method: Callable[[Iterator[T]], "grpc.CallIterator[R]"], requests: Iterator[T]) -> Iterator[R]:
        fault: list[Exception] = []
        ready: list[grpc.Call] = []

        def kept() -> Iterator[T]:
            try:
                yield from requests
            except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
                fault.append(error)
                if ready:
                    ready[0].cancel()  # type: ignore[no-untyped-call]

        call = method(kept())
        ready.append(call)
        with self._lock:
            self._call = call
            if self._cancelled or fault:
                call.cancel()  # type: ignore[no-untyped-call]
        try:
            yield from call
        except grpc.RpcError as error:
            if fault:
                raise fault[0] from None
            raise _refusal(error) from None
        finally:
            call.cancel()  # type: ignore[no-untyped-call]
            with self._lock:
                self._call = None


def _refusal(error: grpc.RpcError) -> Refusal:
    """The refusal in the status of a call; NOT_READY for a front that does not answer."""
    details = dict(error.trailing_metadata() or ()).get(_DETAILS_KEY, b"") if isinstance(error, grpc.Call) else b""
    info, retry, after = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), 0
    try:
        for detail in status_pb2.Status.FromString(details if isinstance(details, bytes) else b"").details:
            if detail.Unpack(retry):
                after = retry.retry_delay.ToMilliseconds()
            detail.Unpack(info)
        reason, stage = Reason(info.reason), Where(info.metadata.get("stage", ""))
    except (DecodeError, ValueError):
        return RetryLater(Reason.NOT_READY, stage=Where.OPEN, after_ms=_AWAY_MS)
    if REASONS[reason].retryable:
        return RetryLater(reason, stage=stage, after_ms=max(after, 1))
    return Refusal(reason, stage=stage)
