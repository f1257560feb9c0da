"""Front, queue and containers of a fleet process in memory, for one thread. They are passed where types are checked as
`Any`: each has the methods that slots, attempts and finishes call.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from cji_core.errors import Reason, Refusal, Stage
from cji_core.pool import names
from cji_core.pool.errors import BlobAbsentError, BlobChangedError
from cji_core.pool.queue import Message
from cji_core.pool.store import Version
from cji_core.pool.ticket import Ticket
from cji_core.trail import claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.attempt import Containers
from cji_worker.fleet.front import FrontRefusedError, JobEnd
from cji_worker.fleet.metrics import Outcome
from cji_worker.fleet.records import Records
from cji_worker.fleet.slot import Slot
from cji_worker.front.status import DETAILS_KEY, code_and_details
from tests.support.receipts import signed_receipt

HEADER = b"a header"
JOB = "ab" * 16
TICKET = Ticket(job=JOB, header_sha384=hashlib.sha384(HEADER).hexdigest())
TOKEN = "0c" * 48


class MemoryBlobs:
    """A container."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def exists(self, name: str) -> bool:
        return name in self.found

    def version(self, name: str) -> Version:
        if name not in self.found:
            raise BlobAbsentError
        return Version(len(self.found[name]), "tag")

    def read(self, name: str, *, most: int) -> bytes:
        if self.version(name).size > most:
            raise BlobChangedError
        return self.found[name]

    def create(self, name: str, data: bytes) -> bool:
        return self.found.setdefault(name, data) is data

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class MemoryQueue:
    """A queue whose messages are visible at once; `sent` has texts and delays."""

    waiting: list[str] = field(default_factory=list)
    sent: list[tuple[str, float]] = field(default_factory=list)

    def receive(self, *, lease: float) -> Message | None:
        del lease
        return Message(id="1", pop_receipt="0", text=self.waiting.pop(0), tries=1) if self.waiting else None

    def send(self, text: str, *, delay: float = 0.0) -> None:
        self.sent.append((text, delay))

    def renew(self, message: Message, *, lease: float) -> Message:
        del lease
        return message

    def delete(self, message: Message) -> None:
        """It was taken out when it was received."""


class DeadlineError(grpc.RpcError):
    """A call whose time is over."""

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


class RefusedCallError(grpc.RpcError):
    """A call that the worker refused, before admission."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        refusal = Refusal(reason, stage=Stage.ADMIT)
        self._details = code_and_details(refusal, correlation_id="c")[2]

    def trailing_metadata(self) -> Any:
        return ((DETAILS_KEY, self._details),)

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.ALREADY_EXISTS


def refusal_of(reason: Reason) -> RefusedCallError:
    """What a call raises."""
    return RefusedCallError(reason)


class MemoryCall:
    """The answers of a call."""

    def __init__(self, answers: Iterator[Any]) -> None:
        self._answers = answers

    def __iter__(self) -> Iterator[Any]:
        return self._answers

    def cancel(self) -> None:
        """It has ended."""


@dataclass
class MemoryFront:
    """A worker that signs a receipt for every job; `signed` is called once it has, before it answers."""

    tokens: list[str] = field(default_factory=lambda: [TOKEN])
    """Those of its evidence, one for each call; the last one for ever."""
    receipts: dict[str, str] = field(default_factory=dict)
    superseded: list[Ticket] = field(default_factory=list)
    ends: dict[str, JobEnd] = field(default_factory=dict)
    asked: list[Reason] = field(default_factory=list)
    """Reasons of failures that were asked for; other attempts may follow."""
    signed: Callable[[], None] = lambda: None

    def serving(self) -> bool:
        return True

    def attest(self, nonce: bytes) -> tuple[str, bytes]:
        return (self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]), nonce

    def receipt(self, job: str) -> str | None:
        return self.receipts.get(job)

    def settle(self, ticket: Ticket, *, whole: str | None) -> JobEnd | None:
        if (end := self.ends.get(ticket.job)) is not None:
            return end
        receipt = self.receipts.get(ticket.job)
        if receipt is None or claims_unverified(receipt).header_sha384 != ticket.header_sha384:
            raise FrontRefusedError(Reason.INCOMPLETE, Stage.RECEIPT)
        if whole is None:
            self.superseded.append(ticket)
            del self.receipts[ticket.job]
            return None
        return self.ends.setdefault(ticket.job, JobEnd(receipt=receipt, attempt=whole, failure=""))

    def failure(self, *, job: str, submission: Any, sent: int, reason: Reason, stage: Stage) -> str:
        del submission, sent, stage
        self.asked.append(reason)
        raise FrontRefusedError(Reason.INCOMPLETE, Stage.RECEIPT)

    def run(self, requests: Iterator[pb.RunRequest]) -> MemoryCall:
        del requests
        return MemoryCall(pb.RunResponse(done=pb.Done(receipt=each)) for each in self._sign())

    def finish_tasks(self, requests: Iterator[pb.FinishTasksRequest]) -> MemoryCall:
        del requests
        return MemoryCall(pb.FinishTasksResponse(receipt=each) for each in self._sign())

    def _sign(self) -> Iterator[str]:
        receipt = receipt_of()
        self.receipts[JOB] = receipt
        self.signed()
        yield receipt


def receipt_of(**changes: Any) -> str:
    """A receipt of the job; its outputs are not in the container."""
    claims = {"job_id": JOB, "header_sha384": TICKET.header_sha384, "maa_token_sha384": TOKEN}
    return signed_receipt(**claims | changes)


def memory_slot(front: Any, jobs: Any, results: Any, queue: Any, records: Records, outcomes: Counter[Outcome]) -> Slot:
    """A slot; the job is submitted."""
    jobs.create(names.header(JOB), pb.Submission(header=HEADER, signature=b"s", submitter="me").SerializeToString())
    at = Containers(jobs=jobs, results=results, inputs=jobs)
    return Slot(
        front=front,
        at=at,
        queue=queue,
        poison=queue,
        lease_queue=queue,
        lease_jobs=jobs,
        records=records,
        lease_seconds=60,
        outcomes=outcomes,
    )
