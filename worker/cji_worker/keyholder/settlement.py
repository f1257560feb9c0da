"""The receipts of this worker that are on disk, until each is the end of its job or superseded. For the main thread.

    in the ledger                 the receipt
    no end                        is made the end
    this receipt is the end       counts
    another end                   is superseded: a line in the trail; nobody gets it

The ledger is asked again until it answers, also when the caller has left. A receipt by reference waits for the fleet
process to store its outputs. The others are settled at once, and after a start the last ones of the trail: a process
that ended between a receipt and its end released nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from cji_core.errors import Reason, Refusal, Stage
from cji_core.pool.entries import Attempt, Kind, Outcome
from cji_core.pool.one_end import Ended, Open
from cji_core.strict import hex_decode
from cji_core.trail import Event, JobCompleted, claims_unverified, receipt_sha384
from cji_worker.keyholder.events import attempt_superseded
from cji_worker.keyholder.pool_exchanges import Found, JobOfPool, PoolExchanges

AGAIN_S: Final = 2.0
LAST: Final = 64
"""Receipts of the trail that are looked up after a start: as many jobs can have waited for the ledger."""
NO_OUTPUTS: Final = bytes(16)
"""The name in the end of a job that has no outputs in Blob Storage."""

Settled = Callable[[Ended | None], None]
"""Called with the end of the job; None if it has none, and the receipt was superseded."""


class Settlements:
    """`write` appends an event to the trail now, or when it is available again."""

    def __init__(self, pool: PoolExchanges, trail: str, write: Callable[[Event], object]) -> None:
        self._pool, self._trail, self._write = pool, trail, write
        self._open: set[str] = set()

    def waits(self, job_id: str) -> bool:
        """Whether a receipt of this job is being settled."""
        return job_id in self._open

    def made(self, done: JobCompleted, job: JobOfPool, attempt: int, settled: Settled) -> None:
        """Settle a receipt that has just been written, of the attempt with this entry."""
        self._open.add(done.job_id)
        self._end(done, job, attempt, NO_OUTPUTS, settled)

    def again(self, done: JobCompleted, settled: Settled = lambda _: None) -> None:
        """Settle a receipt of the trail."""
        if done.job_id not in self._open:
            self._open.add(done.job_id)
            self._find(done, NO_OUTPUTS, settled, of_pool=False)

    def stored(self, done: JobCompleted, name: bytes, settled: Settled) -> None:
        """Settle a receipt by reference whose outputs are stored under this name. NOT_READY if that is on its way."""
        self._begin(done)
        self._find(done, name, settled, of_pool=True)

    def withdraw(self, done: JobCompleted, answer: Callable[[Ended | Refusal | None], None]) -> None:
        """Supersede a receipt whose outputs are not stored, unless it is the end already. It is not made the end."""
        self._begin(done)

        def found(found: Found) -> None:
            self._open.discard(done.job_id)
            if isinstance(found, Refusal):
                answer(found)
                return
            end = found if isinstance(found, Ended) else None
            self._close(done, end)
            answer(end)

        self._pool.look(hex_decode(done.job_id), found)

    def _begin(self, done: JobCompleted) -> None:
        if done.job_id in self._open:
            raise Refusal(Reason.NOT_READY, stage=Stage.RECEIPT)
        self._open.add(done.job_id)

    def _find(self, done: JobCompleted, name: bytes, settled: Settled, *, of_pool: bool) -> None:
        """Find the entry of the attempt. Without one it is of no pool.

        It is the last one that this trail made, or that of a job in parts, which any worker made for all.
        """
        in_parts = claims_unverified(done.compact).tasks is not UNSET

        def is_of_it(entry: Attempt) -> bool:
            return entry.kind is Kind.PARTS if in_parts else entry.trail == self._trail

        def found(found: Found) -> None:
            match found:
                case Ended():
                    self._over(done, found, settled)
                case Open(attempts) if mine := [each for each in attempts if is_of_it(each)]:
                    self._end(done, _job(mine[-1]), mine[-1].number, name, settled)
                case Open() if of_pool:
                    self._over(done, None, settled)
                case Open():  # it was released before this worker had a pool ledger
                    self._open.discard(done.job_id)
                case Refusal():
                    self._later(lambda: self._find(done, name, settled, of_pool=of_pool))

        self._pool.look(hex_decode(done.job_id), found)

    def _end(self, done: JobCompleted, job: JobOfPool, attempt: int, name: bytes, settled: Settled) -> None:
        def answer(found: Ended | Refusal) -> None:
            if isinstance(found, Ended):
                self._over(done, found, settled)
            else:
                self._later(lambda: self._end(done, job, attempt, name, settled))

        self._pool.end(job, outcome=Outcome.RECEIPT, document=done.compact, attempt=attempt, name=name, answer=answer)

    def _over(self, done: JobCompleted, end: Ended | None, settled: Settled) -> None:
        self._open.discard(done.job_id)
        self._close(done, end)
        settled(end)

    def _close(self, done: JobCompleted, end: Ended | None) -> None:
        if not is_of(end, done):
            self._write(attempt_superseded(done))

    def _later(self, step: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, step)


def is_of(end: Ended | None, done: JobCompleted) -> bool:
    """Whether this receipt is the end of its job."""
    return end is not None and end.end.sha384 == receipt_sha384(done.compact)


def _job(entry: Attempt) -> JobOfPool:
    return JobOfPool(job=entry.job, header_sha384=entry.header_sha384, submitter=entry.submitter, kek_id=entry.kek_id)
