"""One attempt at a job: its parts from Blob Storage into the front, its outputs back, its receipt published.

    recorded      the attempt's name is on this machine's disk
    attested      the worker's evidence for this job lies beside its results: it cannot be had after its next start
    run           parts go in as the worker takes them, outputs come out as blocks that nobody sees yet
    completed     the worker has signed: the receipt is in its trail
    committed     the outputs are visible, under the attempt's name
    ended         the worker has made the receipt the end of the job, or found another end and superseded it
    published     the end, of this worker or another one, is beside the results: nothing else ever is

A process that dies in between loses nothing: before `completed` the job runs again, after it the next start of this
process ends what is whole and supersedes what is not (`recover`). The signature of a receipt leaves the worker with the
end, so this process cannot publish anything else.
"""

import contextlib
import enum
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS
from cji_core.log import log
from cji_core.pool import names
from cji_core.pool.documents import Failure, Progress, Published, encode, evidence_nonce
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreError
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket
from cji_core.strict import hex_decode
from cji_core.trail import ReceiptError, claims_unverified
from cji_core.trail.failures import failure_unverified
from cji_core.trail.fields import utc_hundredths
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.errors import WorkerError
from cji_worker.fleet.front import Front, FrontAwayError, FrontRefusedError, explained
from cji_worker.fleet.outputs import Outputs
from cji_worker.fleet.records import Attempted, Records

_PROGRESS_S: Final = 2.0

_MAX_PARTS: Final = LIMITS.parts + LIMITS.shards


class Publication(enum.Enum):
    """The fate of a signed receipt."""

    PUBLISHED = enum.auto()
    SUPERSEDED = enum.auto()
    """The job has another end, which is published."""
    WITHDRAWN = enum.auto()
    """The job has no end, and may run again."""


class AttemptFailedError(WorkerError):
    """The attempt ended without a receipt. `began` is False if the worker did not admit the job."""

    code = "attempt-failed"
    remedy = "Read the reason; the ticket is taken again where that can help."

    def __init__(self, reason: Reason, stage: Stage, *, began: bool = True, after: float = 0.0) -> None:
        super().__init__(reason, stage)
        self.reason, self.stage, self.began, self.after = reason, stage, began, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """The containers of a pool, for one thread, and its input side for another one."""

    jobs: Blobs
    results: Blobs
    inputs: Blobs
    """The jobs again: gRPC reads requests in a thread of its own."""


class Attempt:
    """One attempt; `cancel` ends it from another thread."""

    def __init__(
        self, attempted: Attempted, submission: pb.Submission, *, front: Front, at: Containers, records: Records
    ) -> None:
        self._attempted, self._submission = attempted, submission
        self._front, self._at, self._records = front, at, records
        self._outputs = Outputs(at.results, job=attempted.job, attempt=attempted.attempt)
        self._lock = threading.Lock()
        self._call: Any = None
        self._cancelled = False
        self._fault: Exception | None = None
        self._progress_at = 0.0
        self._admitted = False

    def cancel(self) -> None:
        """End it as soon as possible."""
        with self._lock:
            self._cancelled = True
            if self._call is not None:
                self._call.cancel()

    def perform(self) -> Publication:
        """The whole attempt. Raises AttemptFailedError, FrontAwayError, StoreError, OSError."""
        self._records.begin(self._attempted)
        try:
            publish_evidence(self._attempted.ticket, front=self._front, results=self._at.results)
        except FrontRefusedError as refused:
            raise AttemptFailedError(refused.reason, refused.stage, began=False, after=refused.after) from refused
        receipt = self._run()
        self._outputs.commit()
        token = claims_unverified(receipt).maa_token_sha384
        if not has_evidence(self._attempted.ticket, token, front=self._front, results=self._at.results):
            raise FrontAwayError("the worker started again")  # its next attempt supersedes this receipt
        attempted = self._attempted
        publication = conclude(attempted.ticket, front=self._front, results=self._at.results, whole=attempted.attempt)
        self._records.end(attempted.job)
        return publication

    def _run(self) -> str:
        opening = pb.Open(
            header=self._submission.header,
            signature=self._submission.signature,
            submitter=self._submission.submitter,
            attempt=hex_decode(self._attempted.attempt),
        )
        with self._lock:
            if self._cancelled:
                raise AttemptFailedError(Reason.INCOMPLETE, Stage.OPEN, began=False)
            self._call = self._front.run(self._requests(opening))
        try:
            for response in self._call:
                if (receipt := self._take(response)) is not None:
                    return receipt
        except grpc.RpcError as error:
            raise self._why(error) from error
        except Refusal as refusal:  # of the outputs
            raise AttemptFailedError(refusal.reason, refusal.stage) from refusal
        finally:
            self._call.cancel()
        raise FrontAwayError("no receipt")

    def _requests(self, opening: pb.Open) -> Iterator[pb.RunRequest]:
        try:
            yield from requests(self._at.inputs, self._attempted.job, opening=opening)
        except Exception as fault:
            self._fault = fault  # gRPC does not hand it on
            raise

    def _take(self, response: pb.RunResponse) -> str | None:
        """Handle one message; returns the receipt, the last one."""
        match response.WhichOneof("message"):
            case "accepted":
                self._admitted = True
            case "segment":
                self._outputs.take(response.segment.part, response.segment.data)
            case "progress":
                self._report(response.progress)
            case "done":
                self._outputs.put_header(response.done.result_header)
                return str(response.done.receipt)
        return None

    def _report(self, progress: pb.Progress) -> None:
        """Publish the progress, not too often; a failure to do so does not matter."""
        now = time.monotonic()
        if now - self._progress_at < _PROGRESS_S:
            return
        self._progress_at = now
        at = utc_hundredths(datetime.now(UTC))
        found = Progress(
            attempt=self._attempted.attempt, stage=progress.stage[:64], per_cent=min(100, progress.per_cent), at=at
        )
        with contextlib.suppress(StoreError):
            self._at.results.write(names.progress(self._attempted.job), encode(found))

    def _why(self, error: grpc.RpcError) -> Exception:
        """The first cause: of the input side, or of the worker."""
        match self._fault:
            case BlobAbsentError() | BlobChangedError():
                return AttemptFailedError(Reason.INCOMPLETE, Stage.UNSEAL)
            case BlobTooLargeError():
                return AttemptFailedError(Reason.LIMIT_EXCEEDED, Stage.UNSEAL)
            case Exception():
                return self._fault
        found = explained(error)
        if isinstance(found, FrontRefusedError):
            began = self._admitted or found.stage not in {Stage.START, Stage.OPEN, Stage.ADMIT}
            return AttemptFailedError(found.reason, found.stage, began=began, after=found.after)
        return found


def publish_evidence(ticket: Ticket, *, front: Front, results: Blobs) -> None:
    """Put the worker's evidence for this job beside its results. Raises FrontRefused-, FrontAway-, StoreError."""
    token_sha384, evidence = front.attest(evidence_nonce(hex_decode(ticket.header_sha384)))
    results.create(names.evidence(ticket.job, token_sha384), evidence)


def has_evidence(ticket: Ticket, token_sha384: str, *, front: Front, results: Blobs) -> bool:
    """Whether evidence with this token is there. A worker that renewed its token during the job is attested again.

    Raises FrontRefused-, FrontAway-, StoreError.
    """
    name = names.evidence(ticket.job, token_sha384)
    if not results.exists(name):
        publish_evidence(ticket, front=front, results=results)
    return results.exists(name)


def conclude(ticket: Ticket, *, front: Front, results: Blobs, whole: str | None = None) -> Publication:
    """Have the worker find the end of the job, and publish it. `whole` is the name of stored outputs that may be it.

    Raises FrontRefusedError: INCOMPLETE if there is neither an end nor a receipt of this worker. Raises FrontAwayError,
    StoreError.
    """
    end = front.settle(ticket, whole=whole)
    if end is None:
        return Publication.WITHDRAWN
    if end.failure:
        results.create(names.failure(ticket.job), encode(Failure(failure=end.failure)))
        return Publication.SUPERSEDED
    results.create(names.receipt(ticket.job), encode(Published(attempt=end.attempt, receipt=end.receipt)))
    return Publication.PUBLISHED if end.attempt == whole else Publication.SUPERSEDED


def give_up(
    ticket: Ticket,
    submission: pb.Submission,
    *,
    front: Front,
    results: Blobs,
    sent: int,
    reason: Reason,
    stage: Stage,
) -> bool:
    """Have the failure of the job signed, and publish it; False if its header does not verify.

    Raises as `Front.failure`, and StoreError.
    """
    publish_evidence(ticket, front=front, results=results)
    failure = front.failure(job=ticket.job, submission=submission, sent=sent, reason=reason, stage=stage)
    if not failure:
        return False
    # a token that was renewed meanwhile is still this worker's
    has_evidence(ticket, failure_unverified(failure).maa_token_sha384, front=front, results=results)
    results.create(names.failure(ticket.job), encode(Failure(failure=failure)))
    return True


def own_receipt(ticket: Ticket, *, front: Front) -> str | None:
    """The worker's receipt for this header, unsigned; None without one, or if it is of another header under this id.

    Raises FrontRefusedError, FrontAwayError.
    """
    receipt = front.receipt(ticket.job)
    if receipt is None:
        return None
    with contextlib.suppress(ReceiptError):  # the worker compares the header itself when it supersedes
        if claims_unverified(receipt).header_sha384 != ticket.header_sha384:
            return None
    return receipt


def recover(attempted: Attempted, *, front: Front, results: Blobs) -> Publication | None:
    """Finish an attempt that this process left; None if the worker has no receipt for it, so that it runs again.

    Raises FrontRefusedError, FrontAwayError, StoreError.
    """
    receipt = own_receipt(attempted.ticket, front=front)
    if receipt is None:
        return None
    whole = _is_whole(attempted, receipt, front=front, results=results)
    return conclude(attempted.ticket, front=front, results=results, whole=attempted.attempt if whole else None)


def _is_whole(attempted: Attempted, receipt: str, *, front: Front, results: Blobs) -> bool:
    """Whether every output that the receipt vouches for is there, with its length, and the evidence of its worker."""
    try:
        claims = claims_unverified(receipt)
        results.version(names.result_header(attempted.job, attempted.attempt))
        return all(
            results.version(names.output(attempted.job, attempted.attempt, part)).size == output.bytes
            for part, output in enumerate(claims.outputs)
        ) and has_evidence(attempted.ticket, claims.maa_token_sha384, front=front, results=results)
    except (BlobAbsentError, ReceiptError):
        return False


def new_attempt(ticket: Ticket, name: str) -> Attempted:
    """An attempt of this name."""
    return Attempted(job=ticket.job, header_sha384=ticket.header_sha384, attempt=name)


def number_of_parts(header: bytes) -> int:
    """Input parts of the job with this header; 0 for what is not a header, which the worker refuses by itself."""
    try:
        inputs = pb.JobHeader.FromString(header).inputs
    except DecodeError:
        return 0
    return min(_MAX_PARTS, sum(max(1, part.shards) for part in inputs))


def requests(jobs: Blobs, job: str, *, opening: pb.Open) -> Iterator[pb.RunRequest]:
    """Every message of the job: its input parts are read in ranges of a segment each, of the version found first.

    A stream is cut by arithmetic alone: its segments all have one length but for the last (docs/format.md §3). Whether
    it is whole and in order is for the cell to find out.
    BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreAwayError.
    """
    yield pb.RunRequest(open=opening)
    left = LIMITS.job_bytes
    for part in range(number_of_parts(opening.header)):
        name = names.part(job, part)
        version = jobs.version(name)
        left -= version.size
        if left < 0:
            raise BlobTooLargeError("the parts are larger than any job")
        for index, (offset, length) in enumerate(_ranges(version.size)):
            data = jobs.read_range(name, version, offset=offset, length=length)
            yield pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data))
    yield pb.RunRequest(finish=pb.Finish())


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each message; at least one, for an empty blob too."""
    at, first = 0, LIMITS.floe_header_bytes
    while at < size or first:
        length = min(first + LIMITS.segment_bytes, size - at)
        yield at, length
        at, first = at + length, 0


def settle(records: Records, *, running: Records, front: Front, results: Blobs) -> None:
    """Recover each attempt of `records` whose job is not held in `running`, and end its record.

    One that storage or front cannot settle now keeps its record.
    """
    for each in list(records.unfinished()):
        with running.hold(each.job) as mine:
            # again: the process that held the job until now may have ended this record, or begun another
            attempted = records.of(each.job) if mine else None
            if attempted is None:
                continue
            try:
                found = recover(attempted, front=front, results=results)
            except (StoreError, FrontAwayError, FrontRefusedError) as error:
                log("recovery waits", job_id=attempted.job, error=type(error).__name__)
                continue
            what = "runs again" if found in {None, Publication.WITHDRAWN} else found.name.lower()
            log("recovered", job_id=attempted.job, what=what)
            records.end(attempted.job)
