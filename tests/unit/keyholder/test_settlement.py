"""Receipts that are on disk: each becomes the end of its job or is superseded, whatever the ledger does meanwhile."""

from typing import Any

import pytest

from cji_core.errors import Reason, Refusal
from cji_core.pool.entries import Kind
from cji_core.pool.errors import StoreAwayError
from cji_core.pool.one_end import Ended
from cji_core.trail import AttemptSuperseded, JobCompleted
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import PoolExchanges
from cji_worker.keyholder.settlement import Settlements
from tests.support.memory_ledger import JOB, MemoryLedger, exchanges, settled
from tests.support.receipts import CLAIMS, signed_receipt

ALLOWED = Allowance(submitter="metro", ori="WI0130000", most=10)


def completed(number: int) -> JobCompleted:
    return JobCompleted(
        job_id=JOB.job,
        header_sha384=JOB.header_sha384,
        submitter="metro",
        requesting_ori="WI0130000",
        purpose_code="C",
        duration_ms=1,
        volumes=CLAIMS.volumes,
        receipt=signed_receipt(job_id=JOB.job, header_sha384=JOB.header_sha384, sequence=number),
    )


class Worker:
    """One worker of the pool."""

    def __init__(self, blobs: Any, number: int) -> None:
        self.lines: list[Any] = []
        self.pool: PoolExchanges = exchanges(blobs, number)
        self.settlements = Settlements(self.pool, f"{number:096x}", self.lines.append)
        self.done = completed(number)
        self.ends: list[Ended | Refusal | None] = []

    async def claim(self) -> int:
        found = list[int | Refusal]()
        self.pool.claim(JOB, name=None, kind=Kind.WHOLE, allowance=ALLOWED, answer=found.append)
        await settled()
        assert isinstance(found[0], int)
        return found[0]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.keyholder.settlement.AGAIN_S", 0.0)


async def test_of_two_receipts_one_is_the_end() -> None:
    blobs = MemoryLedger()
    one, other = Worker(blobs, 1), Worker(blobs, 2)
    entries = [await one.claim(), await other.claim()]
    other.settlements.made(other.done, JOB, entries[1], other.ends.append)
    one.settlements.made(one.done, JOB, entries[0], one.ends.append)
    await settled()
    assert one.ends == other.ends
    assert other.lines == []
    assert [type(each) for each in one.lines] == [AttemptSuperseded]


async def test_a_ledger_that_is_away_is_asked_until_it_answers() -> None:
    blobs = MemoryLedger()
    one = Worker(blobs, 1)
    entry = await one.claim()
    blobs.fault = StoreAwayError()
    one.settlements.made(one.done, JOB, entry, one.ends.append)
    await settled()
    assert one.ends == []
    assert one.settlements.waits(JOB.job)
    blobs.fault = None
    await settled()
    assert isinstance(one.ends[0], Ended)
    assert not one.settlements.waits(JOB.job)


async def test_after_a_start_a_receipt_of_the_trail_is_settled() -> None:
    blobs = MemoryLedger()
    one, other = Worker(blobs, 1), Worker(blobs, 2)
    await one.claim()
    one.settlements.again(one.done, one.ends.append)
    await settled()
    assert isinstance(one.ends[0], Ended)
    await settled()
    other.settlements.again(other.done, other.ends.append)
    await settled()
    assert [type(each) for each in other.lines] == [AttemptSuperseded]


async def test_a_receipt_from_before_the_pool_stays() -> None:
    one = Worker(MemoryLedger(), 1)
    one.settlements.again(one.done, one.ends.append)
    await settled()
    assert one.lines == []
    assert one.ends == []


async def test_a_receipt_whose_outputs_are_not_stored_is_withdrawn() -> None:
    blobs = MemoryLedger()
    one = Worker(blobs, 1)
    await one.claim()
    one.settlements.withdraw(one.done, one.ends.append)
    await settled()
    assert one.ends == [None]
    assert [type(each) for each in one.lines] == [AttemptSuperseded]
    assert not [name for name in blobs.found if name.endswith("/end")]


async def test_the_end_is_not_withdrawn() -> None:
    blobs = MemoryLedger()
    one = Worker(blobs, 1)
    await one.claim()
    one.settlements.stored(one.done, b"n" * 16, one.ends.append)
    with pytest.raises(Refusal) as refused:
        one.settlements.withdraw(one.done, one.ends.append)
    assert refused.value.reason is Reason.NOT_READY
    await settled()
    one.settlements.withdraw(one.done, one.ends.append)
    await settled()
    assert len(one.ends) == 2
    assert one.ends[0] == one.ends[1]
    assert one.lines == []
