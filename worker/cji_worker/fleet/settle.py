"""Settles the attempts that ended here and may have left a signed receipt that is not published."""

from cji_core.log import log
from cji_core.pool.errors import StoreError
from cji_core.pool.store import Blobs
from cji_worker.fleet.attempt import recover
from cji_worker.fleet.front import Front, FrontAwayError, FrontRefusedError
from cji_worker.fleet.records import Records


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
            log("recovered", job_id=attempted.job, what=found.name.lower() if found else "runs again")
            records.end(attempted.job)
