"""Answers the engine: looks at what is published, runs what is missing, and ends the job."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from cji_core.errors import Reason, Refusal, RetryLater
from cji_core.errors import Stage as Where
from cji_core.operations.stages.stage import Stage
from cji_core.pool import names
from cji_core.pool.documents import DocumentError, Progress, Published, encode
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, StoreError
from cji_core.pool.one_end import BY_POLICY, is_final
from cji_core.pool.ticket import Ticket
from cji_core.trail.fields import utc_hundredths
from cji_worker.fleet.front import Front
from cji_worker.fleet.tasks import attempt
from cji_worker.fleet.tasks.attempt import Stores
from cji_worker.fleet.tasks.finishes import Finishes, require_no_failure
from cji_worker.fleet.tasks.front import FrontCall
from cji_worker.fleet.tasks.job import TaskJob, load, with_plan
from cji_worker.fleet.tasks.messages import FINISH, NO_PLAN, RETRY_MS, START, Answer, Done, Request
from cji_worker.fleet.tasks.published import MAX_ATTEMPTS, PublishedAttempt, attempts, digest, read_plan

Progressed = Callable[[str, int], None]
_NO_ATTEMPT: Final = ""


class TaskService:
    """`answer` is a handler of `TaskServer`. `stores` makes the containers for one thread; they are used again."""

    def __init__(self, front: Front, finishes: Finishes, *, stores: Callable[[], Stores]) -> None:
        self._stores = stores
        self._front = front
        self._finishes = finishes
        self._idle: queue.SimpleQueue[tuple[Stores, Stores]] = queue.SimpleQueue()

    def answer(self, request: Request, progress: Progressed, gone: threading.Event) -> Answer:
        """Answer one request; see `server.Handler`. Raises Refusal."""
        with self._borrowed() as (stores, reading):
            try:
                return self._answer(request, progress, gone, stores, reading)
            except BlobAbsentError as error:
                raise RetryLater(Reason.INCOMPLETE, stage=Where.COMPUTE, after_ms=RETRY_MS) from error
            except (BlobChangedError, DocumentError) as error:
                raise Refusal(Reason.SEGMENT_INVALID, stage=Where.COMPUTE) from error
            except StoreError as error:
                raise RetryLater(Reason.NOT_READY, stage=Where.COMPUTE, after_ms=RETRY_MS) from error

    def _answer(
        self, request: Request, progress: Progressed, gone: threading.Event, stores: Stores, reading: Stores
    ) -> Answer:
        job = load(request, jobs=stores.jobs, shuffle=stores.shuffle)
        require_no_failure(job, stores)
        with self._call_until(gone) as front:
            try:
                if stores.jobs.exists(names.cancel(job.name)):
                    raise Refusal(Reason.CANCELLED, stage=Where.ADMIT)
                return self._run(job, request, progress, front, (stores, reading))
            except Refusal as refusal:
                if is_over(refusal):
                    ticket = Ticket(job=job.name, header_sha384=request.header_sha384)
                    front.give_up(ticket, job.submission, stores.results, refusal)
                raise

    def _run(
        self, job: TaskJob, request: Request, progress: Progressed, front: FrontCall, pair: tuple[Stores, Stores]
    ) -> Answer:
        stores, reading = pair
        if request.stage == START:
            return _started(job, stores)
        if request.stage == FINISH:
            return _finished(self._finishes.finish(job, call=front, stores=stores, reading=reading))
        stage = job.stage(request.stage, request.task)
        found = _published(job, stage, request.task, stores, again=request.again)
        if found is None:
            found, job = attempt.run(
                job,
                stage,
                request.task,
                front=front,
                stores=stores,
                reading=reading,
                progress=progress,
                again=request.again,
            )
        elif stage.plans and (plan := read_plan(stores.shuffle, job.name)) is not None:
            job = with_plan(job, plan)
        _report(job, stage, found, stores)
        return _done(job, stage, found)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[tuple[Stores, Stores]]:
        try:
            pair = self._idle.get_nowait()
        except queue.Empty:
            pair = (self._stores(), self._stores())
        try:
            yield pair
        finally:
            self._idle.put(pair)

    @contextlib.contextmanager
    def _call_until(self, gone: threading.Event) -> Iterator[FrontCall]:
        call = FrontCall(self._front)

        def watch() -> None:
            gone.wait()
            call.cancel()

        # it ends when the connection does, which the server closes after the answer
        threading.Thread(target=watch, daemon=True).start()
        yield call


_NOT_OVER: Final = BY_POLICY | {Reason.BAD_PARAMETERS, Reason.MALFORMED_HEADER, Reason.REPLAYED}
"""Refusals of one policy, and those that a request can cause by itself: the engine's user ends no job with one."""


def is_over(refusal: Refusal) -> bool:
    """Whether the job is refused for good, whatever its tasks are asked for: its failure is signed then."""
    return refusal.stage in {Where.OPEN, Where.ADMIT} and is_final(refusal.reason) and refusal.reason not in _NOT_OVER


def _published(job: TaskJob, stage: Stage, number: int, stores: Stores, *, again: bool) -> PublishedAttempt | None:
    """The attempt that readers take; None if there is none, or `again` and one more can be published.

    The engine may ask again and again. An attempt or plan beyond MAX_ATTEMPTS would be run for nothing. A plan that is
    made again takes the place of the one before, which nobody could end after a change of release.
    """
    if stage.plans:
        plan = read_plan(stores.shuffle, job.name)
        return None if plan is None or (again and plan.number < MAX_ATTEMPTS) else plan.by
    found = attempts(stores.shuffle, names.task(job.name, job.folder(stage), stage.name, number))
    return None if not found or (again and len(found) < MAX_ATTEMPTS) else found[0]


def _started(job: TaskJob, stores: Stores) -> Done:
    parts = [stores.jobs.version(names.part(job.name, at)).size for at in range(len(job.header.parts))]
    return Done(
        attempt=_NO_ATTEMPT,
        statement_sha256=_NO_ATTEMPT,
        bytes_in=sum(parts),
        bytes_out=0,
        seconds=0.0,
        tasks=job.stages,
        rows=job.header.inputs[-1].rows_declared or 0,
        shards=job.streams.shards,
    )


def _finished(published: Published) -> Done:
    return Done(
        attempt=published.attempt,
        statement_sha256=digest(published.receipt),
        bytes_in=0,
        bytes_out=len(published.receipt),
        seconds=0.0,
    )


def _done(job: TaskJob, stage: Stage, found: PublishedAttempt) -> Done:
    return Done(
        attempt=found.attempt,
        statement_sha256=found.statement_sha256,
        bytes_in=found.bytes_in,
        bytes_out=found.bytes_out,
        seconds=found.seconds,
        tasks=job.stages if stage.plans else None,
        plan=job.plan_name if stage.plans and job.plan_name != NO_PLAN else None,
    )


def _report(job: TaskJob, stage: Stage, found: PublishedAttempt, stores: Stores) -> None:
    """Show the submitter which stage has ended a task."""
    stages = job.streams.stages.in_order
    now = utc_hundredths(datetime.now(UTC))
    at = Progress(attempt=found.attempt, stage=stage.name, per_cent=100 * stages.index(stage) // len(stages), at=now)
    with contextlib.suppress(StoreError):  # of no consequence
        stores.results.write(names.progress(job.name), encode(at))
