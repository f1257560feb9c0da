"""The client of a pool of workers: jobs by reference, over Azure Storage. docs/fleet.md.

    save_job -> submit -> wait -> fetch -> (open_result)

* A job is sealed into a folder first (`job_folder`), so a submission that was cut off continues where it stopped, with
  the same header and the same parts. The ticket is the last thing that is sent.
* Parts are uploaded in blocks and results are read in ranges: memory use is a few segments.
* `fetch` returns what `SyncClient.run` returns, after the same checks. The worker's evidence lies beside the results
  and answers a nonce of this job, so it was made after the job was sealed; it is appraised at the end of the job.
* Everything that lies in the account is untrusted. Who can write there can withhold a result or delay it.

The client keeps no connection between calls, so several threads may use it.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.message import DecodeError

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker, verify_attestation
from cji_client.bounds import check_bytes, most_result_bytes
from cji_client.errors import ClientError, JobFailed, NotFinished, NotStored, SpecError, Unverified
from cji_client.in_threads import in_thread
from cji_client.job_folder import JobFolder
from cji_client.job_state import JobStatus, State, look
from cji_client.profile import ClientProfile, ClientStorage
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.received import Output, parse_result_header
from cji_client.reference_standing import ReferenceStanding
from cji_client.result import Archive, Result
from cji_client.retry import RetryPolicy
from cji_client.spans import span
from cji_client.storage_identity import default_credential
from cji_client.transfer import document, explained, read_blob, upload
from cji_client.verify import names_token, verify_failed, verify_result, verify_stored
from cji_core.errors import Refusal, StartupError
from cji_core.format.job import LIMITS, Header
from cji_core.pool import names
from cji_core.pool.documents import EVIDENCE_BYTES, SUBMISSION_BYTES, Failure, Published, evidence_nonce
from cji_core.pool.errors import StoreError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket
from cji_core.trail import ReceiptError, claims_unverified
from cji_core.trail.failures import failure_unverified
from cji_core.wire.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
from collections import Counter

from cji_client.received import ResultHeader, new_output
from cji_client.spool import Spool
from cji_client.transfer import segments
from cji_core.pool.documents import SOURCES_BYTES, Sources
from cji_core.trail import Claims

T = TypeVar("T")

_EXCHANGE_SECONDS: Final = 120.0
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 15.0
"""Seconds between two looks at a job."""


class SyncFleetClient:
    """A submitter's access to the storage of a pool of workers, for programs without an event loop.

    `trust`, `reference` and `maa_url` are as in `SyncClient`: the evidence of the worker that ran a job must pass them.
    `credential` makes tokens for Azure Storage; by default the one that Microsoft's SDK finds. `archive` completes
    evidence when a result is saved (`ClientProfile.archive`). `retry` bounds the calls after the service was away:
    `submit` and `fetch` begin again where they stopped.
    """

    def __init__(
        self,
        storage: ClientStorage,
        *,
        trust: Trust,
        reference: ReferenceValues,
        maa_url: str,
        credential: "TokenCredential | None" = None,
        archive: Archive | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._archive, self._retry = archive, retry or RetryPolicy()
        self._storage = storage
        self._trust = trust
        self._reference = reference
        self._maa_url = maa_url
        self._credential = credential or default_credential()

    def submit(
        self,
        job: JobFolder,
        *,
        in_parts: bool = False,
        progress: ProgressCallback | None = None,
        standing: ReferenceStanding | None = None,
    ) -> None:
        """Upload the job's parts and header, then send its ticket. Again after a failure, it continues.

        `in_parts`: without a ticket, which one worker would take; the operator of an engine runs the job. SpecError if
        it is none that can run so.
        `progress` is called with bytes sent. Nothing happens if the ticket was sent before. SpecError for a job
        that has expired or whose id another job has; StorageRefused and Unreachable otherwise. `standing` is moved
        forward as the job is sent.
        """
        known = standing or ReferenceStanding()
        known.met(job.header.job_id, job.folder, ticket_sent=job.ticket_sent)
        with span("cji.send", job.header.job_id) as sending, known.explaining(), _local_faults():
            self._again(lambda: self._submit(job, known, in_parts=in_parts, progress=progress), progress)
            sending.end(bytes=sum(part.bytes for part in job.sent))

    def _submit(
        self, job: JobFolder, known: ReferenceStanding, *, in_parts: bool, progress: ProgressCallback | None
    ) -> None:
        if job.ticket_sent:
            return
        if job.header.not_after <= datetime.now(UTC):
            raise SpecError("the sealed job has expired", remedy="Seal the records again, into a new folder.")
        if in_parts:
            _require_stages(job.header)
        job.check_parts()
        name = job.header.job_id.hex()
        submission = pb.Submission(header=job.header.data, signature=job.signature, submitter=job.submitter)
        header = submission.SerializeToString(deterministic=True)
        with self._blobs(self._storage.jobs) as blobs:
            total = 0
            for number, digest in enumerate(job.sent):
                upload(blobs, job, number, begin=known.begin, progress=progress, before=total)
                total += digest.bytes
            if not blobs.create(names.header(name), header) and (
                blobs.read(names.header(name), most=SUBMISSION_BYTES) != header
            ):
                raise SpecError("another job has this id", remedy="Seal the records again, into a new folder.")
        if in_parts:
            return
        with self._queue() as queue:
            known.ticket = None
            queue.send(Ticket(job=name, header_sha384=job.header.sha384.hex()).encode())
            known.ticket = True
        job.note_ticket()

    def status(self, job_id: bytes) -> JobStatus:
        """The status of the job, by what lies in the account; nothing is verified."""
        with self._blobs(self._storage.jobs) as jobs, self._blobs(self._storage.results) as results:
            return look(job_id, jobs=jobs, results=results)

    def wait(self, job_id: bytes, *, deadline: float, progress: ProgressCallback | None = None) -> JobStatus:
        """The status once it is final; NotFinished after `deadline` seconds.

        A `deadline` of infinity is none: then SpecError for a job that is not there, not submitted or deleted.
        `progress` is called with the stage and percentage of the latest attempt.
        """
        wait = _Wait(deadline, progress)
        with (
            span("cji.wait", job_id),
            self._blobs(self._storage.jobs) as jobs,
            self._blobs(self._storage.results) as results,
        ):
            while not (status := look(job_id, jobs=jobs, results=results)).state.final:
                time.sleep(wait.pause(status))
        return status

    def cancel(self, job_id: bytes) -> None:
        """Ask for the end of a job: a worker signs its failure, CANCELLED, unless it has an end. Wait for that."""
        with self._blobs(self._storage.jobs) as jobs:
            jobs.create(names.cancel(job_id.hex()), b"")

    def fetch(
        self,
        job: JobFolder,
        *,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        standing: ReferenceStanding | None = None,
    ) -> Result:
        """The result of the attempt that counts: receipt and evidence verified, outputs still sealed.

        `progress` is called with bytes received. A receipt of more bytes than `max_result_bytes`, or than the job can
        make (`bounds`), is refused before anything is downloaded. JobFailed has the verified failure receipt of a job
        that was given up, cancelled or too late; NotFinished if there is neither; Unverified for any doubt.
        """
        known = standing or ReferenceStanding()
        known.met(job.header.job_id, job.folder, ticket_sent=job.ticket_sent)
        known.fetching = known.ticket = True
        with span("cji.wait", job.header.job_id) as waiting, known.explaining(), _local_faults():
            result = self._again(lambda: self._fetch(job, known, max_result_bytes, progress), progress)
            waiting.end(bytes=sum(output.length for output in result.outputs))
            return result

    def _again(self, call: Callable[[], T], progress: ProgressCallback | None) -> T:
        """The answer of a call, which is made again as the policy states."""
        calls = self._retry.calls()
        while True:
            try:
                return call()
            except ClientError as error:
                pause = calls.pause_after(error)
                if pause is None:
                    raise
            if progress is not None:
                progress(Progress(phase=Phase.WAITING))
            time.sleep(pause)

    def _fetch(
        self, job: JobFolder, known: ReferenceStanding, most: int | None, progress: ProgressCallback | None
    ) -> Result:
        name = job.header.job_id.hex()
        with self._blobs(self._storage.results) as results:
            published = document(results, names.receipt(name), Published)
            if published is not None:
                known.begin()
                result = self._result(results, job, published, most, progress)
                known.received()
                return result
            status = self.status(job.header.job_id)
            if status.state is not State.ABSENT:
                known.begin()
            failure = document(results, names.failure(name), Failure) if status.state is State.FAILED else None
            if failure is not None:
                failed = self._failed(results, job, failure.failure)
                known.failed = True
                raise failed
        raise _without_result(status)

    def _result(
        self,
        results: Blobs,
        job: JobFolder,
        published: Published,
        max_result_bytes: int | None,
        progress: ProgressCallback | None,
    ) -> Result:
        header, name = job.header, job.header.job_id.hex()
        try:
            claims = claims_unverified(published.receipt)
        except ReceiptError as error:
            raise Unverified(error.field, "the receipt is not valid") from None
        attested = self._attested(results, job, claims.maa_token_sha384, ended=claims.ended)
        if not names_token(verify_stored(published.receipt, attested=attested, header=header), attested):
            raise Unverified("maa_token_sha384", "the receipt and its evidence name different attestation tokens")
        most = most_result_bytes(header, sum(part.bytes for part in job.sent))
        check_bytes(sum(part.bytes for part in claims.outputs), most if max_result_bytes is None else max_result_bytes)
        data = read_blob(results, names.result_header(name, published.attempt), LIMITS.header_bytes)
        result_header = parse_result_header(data, header)
        outputs = list[Output]()
        try:
            for output in received(results, job, published, header=result_header, claims=claims, progress=progress):
                outputs.append(output)
            verified = verify_result(
                published.receipt,
                job=header,
                attested=attested,
                sent=job.sent,
                header=result_header,
                outputs=outputs,
            )
        except BaseException:
            for output in outputs:
                output.file.close()
            raise
        return Result(
            job=header,
            header=result_header,
            outputs=tuple(outputs),
            receipt=verified,
            attested=attested,
            sent=job.sent,
            columns=job.columns,
            numbers=job.numbers,
            archive=self._archive,
        )

    def _failed(self, results: Blobs, job: JobFolder, failure: str) -> JobFailed:
        try:
            claims = failure_unverified(failure)
        except ReceiptError as error:
            raise Unverified(error.field, "the failure receipt is not valid") from None
        attested = self._attested(results, job, claims.maa_token_sha384, ended=claims.failed)
        verified = verify_failed(failure, attested=attested, header=job.header)
        return JobFailed(verified, evidence=attested.to_file())

    def _attested(self, results: Blobs, job: JobFolder, token: str, *, ended: str) -> AttestedWorker:
        """The worker whose token the receipt names, by its evidence for this job, appraised at the end of the job."""
        try:
            at = datetime.fromisoformat(ended)
        except ValueError:  # the pattern of claims admits days that do not exist
            raise Unverified("ended", "the receipt's time is not valid") from None
        if not job.header.created - LIMITS.skew <= at <= datetime.now(UTC) + LIMITS.skew:
            raise Unverified("ended", "the receipt's time is not between the sealing of the job and now")
        data = read_blob(results, names.evidence(job.header.job_id.hex(), token), EVIDENCE_BYTES)
        try:
            shown = pb.AttestResponse.FromString(data)
        except DecodeError:
            raise Unverified("evidence", "the worker's evidence cannot be read") from None
        return verify_attestation(
            shown,
            nonce=evidence_nonce(job.header.sha384),
            trust=self._trust,
            reference=self._reference,
            maa_url=self._maa_url,
            at=at,
        )

    @contextmanager
    def _blobs(self, container: str) -> Iterator[Blobs]:
        """A connection to one container, whose errors come with remedies."""
        storage = self._storage
        try:
            blobs = Blobs(
                storage.blob_url,
                container,
                credential=self._credential,
                ca_file=storage.ca_file,
                seconds=_EXCHANGE_SECONDS,
            )
            try:
                yield blobs
            finally:
                blobs.close()
        except StoreError as error:
            raise explained(error) from error
        except StartupError as error:
            raise SpecError(error.what, remedy=error.remedy) from None

    @contextmanager
    def _queue(self) -> Iterator[Queue]:
        storage = self._storage
        try:
            queue = Queue(storage.queue_url, storage.queue, credential=self._credential, ca_file=storage.ca_file)
            try:
                yield queue
            finally:
                queue.close()
        except StoreError as error:
            raise explained(error) from error


def pool_client(
    profile: ClientProfile,
    trust: Trust,
    *,
    credential: "TokenCredential | None" = None,
    retry: RetryPolicy | None = None,
) -> SyncFleetClient:
    """The pool that a profile names; SpecError if it names none."""
    return SyncFleetClient(
        profile.pool_storage(),
        trust=trust,
        reference=profile.reference,
        maa_url=profile.maa_url,
        credential=credential,
        archive=profile.archive(trust),
        retry=retry or profile.retry,
    )


class FleetClient:
    """`SyncFleetClient` with coroutines; calls may run concurrently. A wait takes a thread only while it looks."""

    def __init__(self, sync: SyncFleetClient) -> None:
        self.sync = sync

    submit = in_thread(SyncFleetClient.submit)
    status = in_thread(SyncFleetClient.status)
    cancel = in_thread(SyncFleetClient.cancel)
    fetch = in_thread(SyncFleetClient.fetch)

    async def wait(self, job_id: bytes, *, deadline: float, progress: ProgressCallback | None = None) -> JobStatus:
        """As `SyncFleetClient.wait`; cancelling the coroutine ends the wait, not the job."""
        wait = _Wait(deadline, progress)
        with span("cji.wait", job_id):
            while not (status := await self.status(job_id)).state.final:
                await asyncio.sleep(wait.pause(status))
        return status


class _Wait:
    """The pauses between looks at a job that is not final, for `deadline` seconds."""

    def __init__(self, deadline: float, progress: ProgressCallback | None) -> None:
        self._until, self._pause, self._progress = time.monotonic() + deadline, _FIRST_WAIT, progress

    def pause(self, status: JobStatus) -> float:
        """Report progress; the seconds until the next look. NotFinished after the deadline."""
        if self._progress is not None and status.stage is not None and status.per_cent is not None:
            self._progress(Progress(phase=Phase.RUNNING, stage=status.stage, per_cent=status.per_cent))
        elif self._progress is not None:
            self._progress(Progress(phase=Phase.WAITING))
        if self._until == math.inf and status.state is State.ABSENT:
            raise _without_result(status)
        left, pause = self._until - time.monotonic(), self._pause
        if left <= 0:
            raise NotFinished(status.state)
        self._pause = min(1.5 * pause, _LONGEST_WAIT)
        return min(left, random.uniform(pause / 2, pause))  # noqa: S311 - jitter


@contextmanager
def _local_faults() -> Iterator[None]:
    """Files of this machine that cannot be read or written, as NotStored."""
    try:
        yield
    except OSError as error:
        raise NotStored("the sealed job or its result cannot be written or read", error) from error


def _require_stages(header: Header) -> None:
    """Raise SpecError for a job that cannot run in parts."""
    from cji_core.operations.registry import plan  # noqa: PLC0415 - of jobs in parts alone
    from cji_core.operations.stages.streams import TaskStreams  # noqa: PLC0415

    try:
        TaskStreams.of_job(plan(header.operations, header.input_schemas), header)
    except Refusal:
        raise SpecError(
            "this job cannot run in parts",
            remedy="Give it one operation that runs in parts, no resident reference, and no output in a deterministic "
            "column; or submit it without --in-parts.",
        ) from None


def _without_result(status: JobStatus) -> ClientError:
    match status.state:
        case State.ABSENT:
            return SpecError(
                "the pool has no such job", remedy="Submit the folder, or compare [storage] with the pool."
            )
        case _:
            return NotFinished(status.state)


def received(
    results: Blobs,
    job: JobFolder,
    published: Published,
    *,
    header: ResultHeader,
    claims: Claims,
    progress: ProgressCallback | None,
) -> Iterator[Output]:
    """The parts in order, each complete. `claims` are those of a receipt with a good signature: they bound the lengths.

    Digests are not compared here. The caller closes the files. Raises StoreError, Unverified.
    """
    name, left, total, spool = job.header.job_id.hex(), Counter[str](), 0, Spool()
    for digest in claims.outputs:
        left[digest.name] += digest.bytes
    attempts = _attempts(results, name, published, parts=len(header.parts))
    for number, (part, attempt) in enumerate(zip(header.parts, attempts, strict=True)):
        output = new_output(part, spool.part())
        try:
            for data in segments(results, names.output(name, attempt, number), left[part.name]):
                output.add(output.segments, data)
                total += len(data)
                if progress is not None:
                    progress(Progress(phase=Phase.RECEIVING, bytes=total))
            if not output.ended:
                raise Unverified("outputs", "a part has no last segment")
        except BaseException:
            output.file.close()
            raise
        left[part.name] -= output.length
        yield output


def _attempts(results: Blobs, job: str, published: Published, *, parts: int) -> tuple[str, ...]:
    """The attempt under whose name each part is: of a job in parts, that of the task which wrote it."""
    sources = document(results, names.sources(job, published.attempt), Sources, most=SOURCES_BYTES)
    attempts = (published.attempt,) * parts if sources is None else sources.attempts
    if len(attempts) != parts:
        raise Unverified("sources", "they are not those of the parts in the result header")
    return attempts
