"""The calls of this process to the front of its machine: one task, and the end of a job in parts.

gRPC reads requests in a thread of its own and would log an exception there with its text. So an error of a source is
kept, ends the call, and is raised where the answers are read.
"""

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final, TypeVar

import grpc

from cji_core.errors import REASONS, Reason, Refusal, RetryLater
from cji_core.errors import Stage as Where
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.attempt import conclude, give_up, has_evidence, publish_evidence
from cji_worker.fleet.front import Front, FrontAwayError, FrontRefusedError, explained

_AWAY_MS: Final = 2000
T = TypeVar("T")


class FrontCall:
    """One call to the front, which any thread may cancel."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._lock = Lock()
        self._call: Any = None
        self._cancelled = False

    def cancel(self) -> None:
        """End the call that runs, and every later one."""
        with self._lock:
            self._cancelled = True
            if self._call is not None:
                self._call.cancel()

    def run_task(
        self,
        requests: Iterator[pb.RunTaskRequest],
        *,
        segment: Callable[[pb.Segment], None],
        progress: Callable[[str, int], None],
    ) -> pb.TaskDone:
        """Run one task. Raises Refusal, and whatever `requests` and the callbacks raise."""
        done: pb.TaskDone | None = None
        for message in self._answers(self._front.run_task, requests):
            match message.WhichOneof("message"):
                case "segment":
                    segment(message.segment)
                case "progress":
                    progress(message.progress.stage, min(message.progress.per_cent, 100))
                case "done":
                    done = message.done
        if done is None:
            raise Refusal(Reason.INTERNAL, stage=Where.RECEIPT)
        return done

    def publish_evidence(self, ticket: Ticket, results: Blobs) -> None:
        """Put this worker's evidence for a job beside its results. Raises Refusal, StoreError."""
        try:
            publish_evidence(ticket, front=self._front, results=results)
        except (FrontAwayError, FrontRefusedError) as error:
            raise _refused(error) from None

    def has_evidence(self, ticket: Ticket, token_sha384: str, results: Blobs) -> bool:
        """Whether evidence with this token is there, after a renewal too. Raises Refusal, StoreError."""
        try:
            return has_evidence(ticket, token_sha384, front=self._front, results=results)
        except (FrontAwayError, FrontRefusedError) as error:
            raise _refused(error) from None

    def conclude(self, ticket: Ticket, results: Blobs, *, whole: str | None = None) -> None:
        """Publish the end of a job, which its stored outputs may become. Raises Refusal, StoreError."""
        try:
            conclude(ticket, front=self._front, results=results, whole=whole)
        except (FrontAwayError, FrontRefusedError) as error:
            raise _refused(error) from None

    def give_up(self, ticket: Ticket, submission: pb.Submission, results: Blobs, refusal: Refusal) -> None:
        """Have the failure of a job signed, and publish it; or the end that it has. Raises Refusal, StoreError."""
        try:
            give_up(
                ticket,
                submission,
                front=self._front,
                results=results,
                sent=int(time.time()),
                reason=refusal.reason,
                stage=refusal.stage,
            )
        except FrontRefusedError as error:
            if error.reason is not Reason.ALREADY_EXISTS:
                raise _refused(error) from None
            self.conclude(ticket, results)
        except FrontAwayError as error:
            raise _refused(error) from None

    def finish(self, requests: Iterator[pb.FinishTasksRequest]) -> str:
        """The receipt of a job in parts, without its signature. Raises Refusal, and whatever `requests` raises."""
        receipts = [str(message.receipt) for message in self._answers(self._front.finish_tasks, requests)]
        if len(receipts) != 1:
            raise Refusal(Reason.INTERNAL, stage=Where.RECEIPT)
        return receipts[0]

    def _answers(self, method: Callable[[Iterator[T]], Any], requests: Iterator[T]) -> Iterator[Any]:
        sending = _Sending(requests)
        call = method(sending)
        with self._lock:
            self._call = call
            if self._cancelled:
                call.cancel()
        sending.call = call
        try:
            yield from call
        except grpc.RpcError as error:
            raise (sending.fault or _refusal(error)) from None
        finally:
            call.cancel()
            sending.stop()
            with self._lock:
                self._call = None


class _Sending(Iterator[T]):
    """The requests of a call, which gRPC takes in a thread of its own; none is taken once `stop` has returned."""

    def __init__(self, requests: Iterator[T]) -> None:
        self.fault: Exception | None = None
        self.call: Any = None
        self._requests = requests
        self._stopped = False
        self._taking = Lock()

    def __next__(self) -> T:
        with self._taking:
            if self._stopped:
                raise StopIteration
            try:
                return next(self._requests)
            except StopIteration:
                raise
            except Exception as error:  # noqa: BLE001 - raised again by `_answers`, in its caller's thread
                self.fault = error
        # the end of the requests alone would not end the call
        while self.call is None:
            time.sleep(0.001)
        self.call.cancel()
        raise StopIteration

    def stop(self) -> None:
        """End them."""
        with self._taking:
            self._stopped = True


def _refusal(error: grpc.RpcError) -> Refusal:
    return _refused(explained(error))


def _refused(found: FrontAwayError | FrontRefusedError) -> Refusal:
    """The refusal of a call; NOT_READY for a front that does not answer."""
    if isinstance(found, FrontAwayError):
        return RetryLater(Reason.NOT_READY, stage=Where.OPEN, after_ms=_AWAY_MS)
    if REASONS[found.reason].retryable:
        return RetryLater(found.reason, stage=found.stage, after_ms=max(int(found.after * 1000), 1))
    return Refusal(found.reason, stage=found.stage, limit=found.limit)
