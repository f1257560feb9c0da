"""Handles of jobs that go to a worker directly."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from cji_client.asynchronous import AsyncJob
from cji_client.cancellation import Cancellation
from cji_client.errors import JobCancelled, NotFinished, Unreachable
from cji_client.job import DirectJob
from cji_client.job_state import State
from cji_client.progress import ProgressCallback
from cji_client.release import Release
from cji_client.result import OpenedResult
from cji_client.standing import Standing

JOB_ID = bytes(range(16))


@pytest.mark.parametrize(
    ("begun", "refused", "release", "state"),
    [
        (False, False, None, State.FAILED),
        (True, True, None, State.FAILED),
        (True, False, Release.NOT_RELEASED, State.FAILED),
        (True, False, Release.RELEASED, State.LOST),
        (True, False, Release.UNKNOWN, State.LOST),
        (True, False, None, State.LOST),
    ],
)
def test_a_job_has_failed_only_if_nothing_was_released(
    begun: bool, refused: bool, release: Release | None, state: State
) -> None:
    def run(_note: ProgressCallback, _stop: Cancellation, standing: Standing) -> OpenedResult:
        if begun:
            standing.begin()
        standing.refused, standing.release = refused, release
        raise Unreachable("the connection broke")

    job = DirectJob(JOB_ID, run, None)
    found = job.wait(60)
    assert (found.state, found.state.final) == (state, True)
    assert found.state.outcome is (Release.NOT_RELEASED if state is State.FAILED else Release.UNKNOWN)
    with pytest.raises(Unreachable):
        job.result()


def test_a_job_that_is_done_holds_no_records() -> None:
    records = threading.Event()
    known, result = weakref.ref(records), cast("OpenedResult", object())

    def started(held: threading.Event) -> DirectJob:
        def run(_note: ProgressCallback, _stop: Cancellation, _standing: Standing) -> OpenedResult:
            held.wait(60)
            return result

        return DirectJob(JOB_ID, run, None)

    job = started(records)
    (thread,) = (one for one in threading.enumerate() if one.name == f"cji-job-{job.id}")
    records.set()
    thread.join(60)
    del records
    gc.collect()
    assert job.result() is result
    assert known() is None


async def test_coroutines_that_wait_hold_no_thread() -> None:
    """With one thread for all calls, many may wait, and one still cancels."""

    def run(_note: ProgressCallback, stop: Cancellation, _standing: Standing) -> OpenedResult:
        stop.wait(60)
        raise JobCancelled

    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        job = AsyncJob(DirectJob(JOB_ID, run, None))
        waits = [asyncio.create_task(job.wait()) for _ in range(4)]
        with pytest.raises(NotFinished):
            await job.wait(0.01)
        waits[0].cancel()
        await asyncio.wait_for(job.cancel(), 30)
        assert [one.state for one in await asyncio.gather(*waits[1:])] == [State.FAILED] * 3
        with pytest.raises(JobCancelled):
            await job.result()
    assert job.id == JOB_ID.hex()
