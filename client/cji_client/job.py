"""A submitted job as a handle: its state, its end, its result. `Connection.submit`, `job` and `jobs` make them.

    job = worker.submit(frame, "job.toml")                       # to the worker, in a thread of this process
    job = worker.submit(frame, "job.toml", folder="people.job")  # by reference, to the pool of the profile
    job.wait()
    with job.result() as result:
        print(result.pandas())

A job by reference lives in its folder and in the pool: another process, or another machine with the folder and the
profile, gets the same handle by `worker.job("people.job")`. A job that goes to a worker directly ends with its process.
"""

import asyncio
import contextvars
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cji_client.cancellation import Cancellation
from cji_client.errors import NotFinished
from cji_client.job_state import JobStatus, State
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.release import Release
from cji_client.result import OpenedResult, Result
from cji_client.shown import card
from cji_client.standing import Sent, Standing

if TYPE_CHECKING:
    from cji_client.by_reference import SyncFleetClient
    from cji_client.job_folder import JobFolder

Run: TypeAlias = Callable[[ProgressCallback, Cancellation, Standing], OpenedResult]


class Job(ABC):
    """One job of this submitter. Calls may come from several threads."""

    def __init__(self, job_id: bytes) -> None:
        """`job_id`: 16 bytes."""
        self.job_id = job_id

    @property
    def id(self) -> str:
        """The job id as it is printed: 32 hexadecimal digits."""
        return self.job_id.hex()

    @abstractmethod
    def status(self) -> JobStatus:
        """The state now. It is a hint: only `result` verifies anything."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> JobStatus:
        """The state once it is final; NotFinished after `timeout` seconds, and the job goes on."""

    @abstractmethod
    async def awaited(self, timeout: float | None = None) -> JobStatus:
        """`wait` for an event loop: no thread is taken for longer than a look."""

    @abstractmethod
    def result(self, timeout: float | None = None) -> OpenedResult:
        """The verified result, when it is there; the error that ended the job, or NotFinished after `timeout` seconds.

        Close it, or use it as a context manager, to release the sealed bytes.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ask for the end of the job, and return at once: `wait` until it has one. A job that is done stays done."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def _repr_html_(self) -> str:
        status = self.status()
        step = "" if status.per_cent is None else f"{status.stage}, {status.per_cent} %"
        return card(f"Job {self.id}", {"state": status.state.value, "step": step})


class DirectJob(Job):
    """A job that a thread of this process sends to a worker."""

    def __init__(self, job_id: bytes, run: Run, progress: ProgressCallback | None) -> None:
        """`run` sends it; the thread ends with the process. A job that is done holds no records."""
        super().__init__(job_id)
        self._progress, self._standing = progress, Standing()
        self._stop, self._end, self._latest = Cancellation(), Future[OpenedResult](), Progress(phase=Phase.SENDING)
        # the program's context: its current span is the parent of this job's
        work = partial(contextvars.copy_context().run, self._work, run)
        threading.Thread(target=work, daemon=True, name=f"cji-job-{self.id}").start()

    def status(self) -> JobStatus:
        """See Job."""
        latest = self._latest
        stage, per_cent = (latest.stage, latest.per_cent) if latest.stage else (None, None)
        return JobStatus(job_id=self.job_id, state=self._state(), stage=stage, per_cent=per_cent)

    def wait(self, timeout: float | None = None) -> JobStatus:
        """See Job."""
        try:
            self._end.exception(timeout)
        except TimeoutError:
            raise NotFinished(self._state()) from None
        return self.status()

    async def awaited(self, timeout: float | None = None) -> JobStatus:
        """See Job."""
        end = asyncio.wrap_future(self._end)
        end.add_done_callback(lambda known: known.cancelled() or known.exception())  # `result` raises it
        if not (await asyncio.wait([end], timeout=timeout))[0]:
            raise NotFinished(self._state())
        return self.status()

    def result(self, timeout: float | None = None) -> OpenedResult:
        """See Job."""
        self.wait(timeout)
        return self._end.result()

    def cancel(self) -> None:
        """See Job."""
        self._stop.cancel()

    def _state(self) -> State:
        if not self._end.done():
            return State.CANCELLING if self._stop.asked else State.RUNNING
        if self._end.exception() is None:
            return State.DONE
        known = self._standing
        unsent = known.sent is Sent.NOTHING or known.refused
        return State.FAILED if unsent or known.release is Release.NOT_RELEASED else State.LOST

    def _work(self, run: Run) -> None:
        try:
            self._end.set_result(run(self._note, self._stop, self._standing))
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody asks for the result
            self._end.set_exception(error)

    def _note(self, event: Progress) -> None:
        if event.phase is Phase.RUNNING:
            self._latest = event
        if self._progress is not None:
            self._progress(event)


class PoolJob(Job):
    """A job by reference, in its folder."""

    def __init__(
        self, job: "JobFolder", pool: "SyncFleetClient", opened: Callable[[Result], OpenedResult], **options: Any
    ) -> None:
        """`options` are those of `SyncFleetClient.fetch`."""
        super().__init__(job.header.job_id)
        self.folder, self.created = job.folder, job.header.created
        self._job, self._pool, self._opened, self._options = job, pool, opened, options

    def send(self, progress: ProgressCallback | None = None) -> None:
        """Send what the pool has not got yet; a submission that was cut off continues. As `SyncFleetClient.submit`."""
        self._pool.submit(self._job, progress=progress)

    def status(self) -> JobStatus:
        """See Job."""
        return self._pool.status(self.job_id)

    def wait(self, timeout: float | None = None) -> JobStatus:
        """See Job."""
        return self._pool.wait(self.job_id, deadline=math.inf if timeout is None else timeout)

    async def awaited(self, timeout: float | None = None) -> JobStatus:
        """See Job."""
        from cji_client.by_reference import FleetClient  # noqa: PLC0415 - it is loaded where there is a pool

        return await FleetClient(self._pool).wait(self.job_id, deadline=math.inf if timeout is None else timeout)

    def result(self, timeout: float | None = None) -> OpenedResult:
        """See Job; each call fetches it again."""
        self.wait(timeout)
        return self._opened(self._pool.fetch(self._job, **self._options))

    def cancel(self) -> None:
        """See Job."""
        self._pool.cancel(self.job_id)
