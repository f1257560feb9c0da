"""The ends of jobs in parts on this worker, one at a time: all statements to the front, the receipt to Blob Storage.

Each is in a file until its receipt is settled.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from cji_core.errors import Reason, Refusal, RetryLater
from cji_core.errors import Stage as Where
from cji_core.format.job.job_plan import JobPlan
from cji_core.operations.stages.streams import PartStream
from cji_core.pool import names
from cji_core.pool.documents import RECEIPT_BYTES, DocumentError, Failure, Published, Sources, decode, encode
from cji_core.pool.errors import BlobAbsentError
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket
from cji_core.trail import ReceiptError, claims_unverified
from cji_core.trail.failures import failure_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.attempt import settle
from cji_worker.fleet.front import Front
from cji_worker.fleet.records import Attempted, Records
from cji_worker.fleet.tasks.attempt import ATTEMPT_BYTES, Stores
from cji_worker.fleet.tasks.front import FrontCall
from cji_worker.fleet.tasks.job import TaskJob
from cji_worker.fleet.tasks.messages import RETRY_MS
from cji_worker.fleet.tasks.needed import Attempts, needed
from cji_worker.fleet.tasks.published import STATEMENT_BYTES, PublishedAttempt, read_long
from cji_worker.fleet.tasks.sources import published_attempts


class Finishes:
    """`records` has each end from before its receipt can be signed until that is published or superseded."""

    def __init__(self, front: Front, records: Records, *, running: Records, results: Callable[[], Blobs]) -> None:
        """`running` are the records of the slots, which hold the jobs of this process."""
        self._front, self._records, self._running, self._results = front, records, running, results
        self._one = threading.Lock()

    def finish(self, job: TaskJob, *, call: FrontCall, stores: Stores, reading: Stores) -> Published:
        """The receipt that is published. Raises Refusal, StoreError, DocumentError."""
        with self._one:
            require_no_failure(job, stores)
            if (published := published_receipt(job, stores)) is not None:
                return published
            if job.plan is None:  # before there is a record: it may be no job in parts
                raise RetryLater(Reason.INCOMPLETE, stage=Where.COMMIT, after_ms=RETRY_MS)
            self._settle(stores.results)
            with self._running.hold(job.name) as held:
                if not held:
                    raise RetryLater(Reason.ALREADY_EXISTS, stage=Where.COMMIT, after_ms=RETRY_MS)
                name = os.urandom(ATTEMPT_BYTES).hex()
                attempted = Attempted(job=job.name, header_sha384=job.header.sha384.hex(), attempt=name)
                self._records.begin(attempted)
                published, mine = publish_receipt(job, job.plan, name=name, front=call, stores=stores, reading=reading)
                if mine:
                    self._records.end(job.name)
            if not mine:
                self._settle(stores.results)
            return published

    def settle(self) -> None:
        """Have every receipt superseded that was signed here and is not published."""
        with self._one:
            results = self._results()
            try:
                self._settle(results)
            finally:
                results.close()

    def _settle(self, results: Blobs) -> None:
        settle(self._records, running=self._running, front=self._front, results=results)


def require_no_failure(job: TaskJob, stores: Stores) -> None:
    """Raise the Refusal of a job that was given up. Raises StoreError, DocumentError."""
    with contextlib.suppress(BlobAbsentError):
        failure = decode(stores.results.read(names.failure(job.name), most=RECEIPT_BYTES), Failure)
        try:
            claims = failure_unverified(failure.failure)
        except ReceiptError as error:
            raise DocumentError from error
        raise Refusal(claims.reason, stage=Where.COMMIT)


def published_receipt(job: TaskJob, stores: Stores) -> Published | None:
    """The receipt of the job, if it has one. Raises StoreError, DocumentError."""
    try:
        return decode(stores.results.read(names.receipt(job.name), most=RECEIPT_BYTES), Published)
    except BlobAbsentError:
        return None


def publish_receipt(
    job: TaskJob, plan: JobPlan, *, name: str, front: FrontCall, stores: Stores, reading: Stores
) -> tuple[Published, bool]:
    """Sign and publish the receipt as attempt `name`; returns the one that is published, and whether it is this one.

    Raises Refusal: INCOMPLETE if a task has not run. Raises StoreError, DocumentError.
    """
    attempted: Attempts = {
        (stage.name, number): published_attempts(job, stage, number, stores.shuffle)
        for stage in job.streams.stages.in_order
        for number in range(job.streams.tasks[stage.name])
    }
    sent = needed(job.streams, attempted, lambda stage, task, one: _statement(job, stage, task, one, stores))
    ticket = Ticket(job=job.name, header_sha384=job.header.sha384.hex())
    front.publish_evidence(ticket, stores.results)
    receipt = _signed(_messages(job, sent, reading), front)  # without its signature, which comes with the end
    if not front.has_evidence(ticket, claims_unverified(receipt).maa_token_sha384, stores.results):
        # nobody could verify it; its record has it superseded
        raise RetryLater(Reason.NOT_READY, stage=Where.COMMIT, after_ms=RETRY_MS)
    sources = Sources(attempts=_sources(job, attempted))
    stores.results.create(names.sources(job.name, name), encode(sources))
    stores.results.create(names.result_header(job.name, name), plan.result_header)
    front.conclude(ticket, stores.results, whole=name)
    require_no_failure(job, stores)
    published = published_receipt(job, stores)
    if published is None:
        raise DocumentError
    return published, published.attempt == name


def _signed(messages: Iterator[pb.FinishTasksRequest], front: FrontCall) -> str:
    """The receipt. A call that lost its caller may still run: then this one comes again."""
    try:
        return front.finish(messages)
    except Refusal as refusal:
        if refusal.reason is not Reason.ALREADY_EXISTS:
            raise
        raise RetryLater(Reason.ALREADY_EXISTS, stage=Where.COMMIT, after_ms=RETRY_MS) from None


def _sources(job: TaskJob, attempted: Attempts) -> tuple[str, ...]:
    """The newest attempt of the task that wrote each output part."""
    found: dict[int, str] = {}
    for stage in job.streams.stages.in_order:
        for number in range(job.streams.tasks[stage.name]):
            for stream in job.streams.written_by(stage, number):
                if isinstance(stream, PartStream):
                    found[stream.part] = attempted[stage.name, number][0].attempt
    return tuple(found[part] for part in sorted(found))


def _messages(job: TaskJob, attempted: Attempts, reading: Stores) -> Iterator[pb.FinishTasksRequest]:
    yield pb.FinishTasksRequest(
        open=pb.OpenFinish(
            header=job.submission.header,
            signature=job.submission.signature,
            submitter=job.submission.submitter,
            plan=job.plan_bytes,
        )
    )
    for stage in job.streams.stages.in_order:
        for number in range(job.streams.tasks[stage.name]):
            for one in attempted[stage.name, number]:
                yield pb.FinishTasksRequest(statement=_statement(job, stage.name, number, one, reading))
    yield pb.FinishTasksRequest(finish=pb.Finish())


def _statement(job: TaskJob, stage_name: str, number: int, one: PublishedAttempt, reading: Stores) -> str:
    stage = job.streams.stage(stage_name)
    if stage is None or stage.plans:
        return job.plan_statement
    name = names.statement(job.name, job.folder(stage), stage_name, number, one.attempt)
    try:
        return read_long(reading.shuffle, name, most=STATEMENT_BYTES).decode("ascii")
    except UnicodeDecodeError as error:
        raise DocumentError from error
