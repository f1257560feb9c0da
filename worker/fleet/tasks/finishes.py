"""The ends of jobs in parts on this worker, one at a time, in files until their receipts are settled."""

import os
import threading
from collections.abc import Callable

from worker.fleet.attempt import recover
from worker.fleet.documents import Published
from worker.fleet.errors import StoreError
from worker.fleet.front import Front, FrontAwayError, FrontRefusedError
from worker.fleet.records import Attempted, Records
from worker.fleet.store import Blobs
from worker.fleet.tasks import finish
from worker.fleet.tasks.attempt import ATTEMPT_BYTES, Stores
from worker.fleet.tasks.front import FrontCall
from worker.fleet.tasks.job import TaskJob
from worker.log import log


class Finishes:
    """`records` has each end from before its receipt can be signed until that is published or superseded."""

    def __init__(self, front: Front, records: Records, *, results: Callable[[], Blobs]) -> None:
        self._front, self._records, self._results = front, records, results
        self._one = threading.Lock()

    def finish(self, job: TaskJob, *, call: FrontCall, stores: Stores, reading: Stores) -> Published:
        """The receipt that is published. Raises Refusal, StoreError, DocumentError."""
        with self._one:
            if (published := finish.published_receipt(job, stores)) is not None:
                return published
            self._settle(stores.results)
            name = os.urandom(ATTEMPT_BYTES).hex()
            attempted = Attempted(job=job.name, header_sha384=job.header.sha384.hex(), attempt=name)
            self._records.begin(attempted)
            published, mine = finish.run(job, name=name, front=call, stores=stores, reading=reading)
            if mine:
                self._records.end(job.name)
            else:
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
        for attempted in list(self._records.unfinished()):
            try:
                found = recover(attempted, front=self._front, results=results)
            except (StoreError, FrontAwayError, FrontRefusedError) as error:
                log("recovery waits", job_id=attempted.job, error=type(error).__name__)
            else:
                log("recovered", job_id=attempted.job, what=found.name.lower() if found else "runs again")
                self._records.end(attempted.job)
