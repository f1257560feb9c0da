"""The ends of jobs in parts on this worker, one at a time, in files until their receipts are settled."""

import os
import threading
from collections.abc import Callable

from cji_core.errors import Reason, RetryLater
from cji_core.errors import Stage as Where
from cji_core.pool.documents import Published
from cji_core.pool.store import Blobs
from cji_worker.fleet.attempt import settle
from cji_worker.fleet.front import Front
from cji_worker.fleet.records import Attempted, Records
from cji_worker.fleet.tasks import finish
from cji_worker.fleet.tasks.attempt import ATTEMPT_BYTES, Stores
from cji_worker.fleet.tasks.front import FrontCall
from cji_worker.fleet.tasks.job import TaskJob
from cji_worker.fleet.tasks.messages import RETRY_MS


class Finishes:
    """`records` has each end from before its receipt can be signed until that is published or superseded."""

    def __init__(self, front: Front, records: Records, *, running: Records, results: Callable[[], Blobs]) -> None:
        """`running` are the records of the slots, which hold the jobs of this process."""
        self._front, self._records, self._running, self._results = front, records, running, results
        self._one = threading.Lock()

    def finish(self, job: TaskJob, *, call: FrontCall, stores: Stores, reading: Stores) -> Published:
        """The receipt that is published. Raises Refusal, StoreError, DocumentError."""
        with self._one:
            if (published := finish.published_receipt(job, stores)) is not None:
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
                published, mine = finish.run(job, job.plan, name=name, front=call, stores=stores, reading=reading)
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
