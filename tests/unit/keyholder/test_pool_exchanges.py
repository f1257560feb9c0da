"""Attempts and ends of a job in the pool ledger: who may begin, who ended it, and what counts as neither."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cji_core.errors import Denied, Reason, Refusal
from cji_core.format.envelope import UnwrappingKey, ledger_key
from cji_core.pool import names
from cji_core.pool.entries import MAX_FOREIGN, Attempt, End, Kind, NoEntry, Outcome, encode, read_entry
from cji_core.pool.errors import StoreAwayError
from cji_core.pool.one_end import Ended, Open
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import Found, JobOfPool, PoolExchanges
from tests.support.memory_ledger import JOB, KEK, MemoryLedger, exchanges, ledger_keys, settled
from tests.support.receipts import signed_receipt
from tests.support.rsa_keys import rsa_key

ALLOWED = Allowance(submitter="metro", ori="WI0130000", most=10)
OTHER_HEADER = replace(JOB, header_sha384="0b" * 48)


async def claimed(
    pool: PoolExchanges, job: JobOfPool = JOB, *, kind: Kind = Kind.WHOLE, most: int = 10, name: bytes | None = None
) -> int | Reason:
    found = list[int | Refusal]()
    pool.claim(job, name=name, kind=kind, allowance=replace(ALLOWED, most=most), answer=found.append)
    await settled()
    (answer,) = found
    return answer.reason if isinstance(answer, Refusal) else answer


async def looked(pool: PoolExchanges) -> Found:
    found = list[Found]()
    pool.look(bytes.fromhex(JOB.job), found.append)
    await settled()
    return found[0]


async def ended(
    pool: PoolExchanges, document: str, *, attempt: int = 0, outcome: Outcome = Outcome.RECEIPT
) -> str | Reason:
    found = list[Ended | Refusal]()
    pool.end(JOB, outcome=outcome, document=document, attempt=attempt, name=bytes(16), answer=found.append)
    await settled()
    (answer,) = found
    return answer.reason if isinstance(answer, Refusal) else answer.end.document


async def given_up(pool: PoolExchanges, job: JobOfPool = JOB) -> Found:
    found = list[Found]()
    pool.give_up(job, found.append)
    await settled()
    return found[0]


RECEIPTS = [signed_receipt(job_id=JOB.job, header_sha384=JOB.header_sha384, sequence=n) for n in (1, 2)]


async def test_any_machine_may_begin_the_same_header_up_to_the_tries() -> None:
    blobs = MemoryLedger()
    pools = [exchanges(blobs, number) for number in (1, 2)]
    assert [await claimed(pools[n % 2]) for n in range(3)] == [0, 1, 2]
    assert await claimed(pools[0]) is Reason.ATTEMPTS_EXHAUSTED
    assert await claimed(pools[1], OTHER_HEADER) is Reason.REPLAYED
    assert len([name for name in blobs.found if name.startswith("days/")]) == 1  # an id counts once


async def test_the_first_end_is_the_end() -> None:
    blobs = MemoryLedger()
    one, other = exchanges(blobs, 1), exchanges(blobs, 2)
    assert [await claimed(one), await claimed(other)] == [0, 1]
    assert isinstance(await looked(one), Open)
    assert await ended(other, RECEIPTS[1], attempt=1) == RECEIPTS[1]
    assert await ended(one, RECEIPTS[0]) == RECEIPTS[1]
    assert await ended(one, RECEIPTS[0], outcome=Outcome.FAILURE) == RECEIPTS[1]
    assert await claimed(one) is Reason.ALREADY_EXISTS
    found = await looked(one)
    assert isinstance(found, Ended)
    assert (found.end.attempt, found.end.trail) == (1, f"{2:096x}")


async def test_lost_answers_change_nothing() -> None:
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    blobs.lost = 2
    assert await claimed(pool) == 0
    blobs.lost = 1
    assert await ended(pool, RECEIPTS[0]) == RECEIPTS[0]
    assert sorted(name for name in blobs.found if not name.startswith("days/")) == [
        names.attempt(JOB.job, 0),
        names.end(JOB.job),
    ]


async def test_a_job_is_counted_before_it_is_entered() -> None:
    blobs = MemoryLedger()
    found = list[int | Refusal]()
    exchanges(blobs).claim(JOB, name=None, kind=Kind.WHOLE, allowance=replace(ALLOWED, most=0), answer=found.append)
    await settled()
    assert isinstance(found[0], Denied)
    assert not blobs.found


async def test_a_ledger_that_is_away_refuses_and_the_id_lives() -> None:
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    blobs.fault = StoreAwayError()
    assert await claimed(pool) is Reason.LEDGER_UNAVAILABLE
    found = await looked(pool)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.LEDGER_UNAVAILABLE
    blobs.fault = None
    assert await claimed(pool) == 0


async def test_a_job_is_given_up_with_an_entry_that_counts_nothing() -> None:
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    found = await given_up(pool)
    assert isinstance(found, Open)
    assert (found.counted, found.last) == (0, 0)
    again = await given_up(exchanges(blobs, 2))
    assert isinstance(again, Open)
    assert (again.counted, again.last) == (0, 0)
    assert await ended(pool, RECEIPTS[0], outcome=Outcome.FAILURE) == RECEIPTS[0]
    assert await claimed(exchanges(blobs, 2)) is Reason.ALREADY_EXISTS
    assert isinstance(await given_up(pool), Ended)


async def test_tasks_of_a_job_in_parts_have_one_entry() -> None:
    blobs = MemoryLedger()
    assert [await claimed(exchanges(blobs, n), kind=Kind.PARTS) for n in range(5)] == [0] * 5
    assert await claimed(exchanges(blobs)) == 1


# ---------------------------------------------------------------- what a token for the storage alone can make


def entry(kind: type[Attempt] | type[End] = Attempt, *, key: bytes = b"k" * 48, **changes: Any) -> bytes:
    claims: dict[str, Any] = {
        "job": JOB.job,
        "header_sha384": JOB.header_sha384,
        "submitter": "metro",
        "kek_id": KEK,
        "trail": "0" * 96,
        "receipt_key": "k" * 43,
    }
    if kind is Attempt:
        claims |= {"number": 0, "kind": Kind.WHOLE, "name": "00" * 16}
    else:
        digest = msgspec.json.decode(b'"' + b"0" * 96 + b'"')
        claims |= {"outcome": Outcome.RECEIPT, "sha384": digest, "attempt": 0, "name": "00" * 16, "document": "a.b.c"}
    return encode(kind(**claims | changes), key)


REAL_KEY = ledger_key(UnwrappingKey(rsa_key(bits=3072)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"[" * 2000,
        entry(),
        entry(key=REAL_KEY, job="cd" * 16),
        entry(key=REAL_KEY, number=1),
        entry(key=REAL_KEY).replace(b'"whole"', b'"parts"'),
    ],
    ids=["empty", "junk", "deep", "unproved", "another job's", "another number's", "altered"],
)
async def test_a_foreign_entry_counts_nothing(data: bytes) -> None:
    """Who may only create blobs uses up no attempt."""
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    blobs.found[names.attempt(JOB.job, 0)] = data
    assert [await claimed(pool) for _ in range(3)] == [1, 2, 3]
    assert await claimed(pool) is Reason.ATTEMPTS_EXHAUSTED
    assert await ended(pool, RECEIPTS[0], attempt=1) == RECEIPTS[0]
    assert isinstance(await looked(pool), Ended)


@pytest.mark.parametrize("data", [b"", entry(End), entry(End, key=REAL_KEY)], ids=["empty", "unproved", "no digest"])
async def test_a_foreign_end_ends_nothing(data: bytes) -> None:
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    blobs.found[names.end(JOB.job)] = data
    assert await claimed(pool) == 0
    assert isinstance(await looked(pool), Open)
    assert await ended(pool, RECEIPTS[0]) == RECEIPTS[0]
    assert await ended(exchanges(blobs, 2), RECEIPTS[1]) == RECEIPTS[0]
    assert names.end(JOB.job, 1) in blobs.found
    assert await claimed(pool) is Reason.ALREADY_EXISTS


async def test_more_foreign_blobs_than_are_read_decide_nothing() -> None:
    blobs = MemoryLedger()
    for number in range(MAX_FOREIGN + 1):
        blobs.found[names.attempt(JOB.job, number)] = b"junk"
    assert await claimed(exchanges(blobs)) is Reason.LEDGER_UNAVAILABLE


async def test_an_end_of_an_unknown_attempt_is_refused() -> None:
    blobs = MemoryLedger()
    pool = exchanges(blobs)
    assert await claimed(pool) == 0
    assert await ended(pool, RECEIPTS[0], attempt=7) == RECEIPTS[0]
    assert await claimed(pool) is Reason.LEDGER_UNAVAILABLE


async def test_an_entry_under_a_key_that_is_not_held_decides_nothing() -> None:
    blobs = MemoryLedger()
    assert await claimed(exchanges(blobs)) == 0
    found = await looked(exchanges(blobs, 2, keys=ledger_keys(held=False)))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.LEDGER_UNAVAILABLE
    elsewhere = ledger_keys(held=False, configured=False)  # a retired key's, or one of another worker of the pool
    assert await claimed(exchanges(blobs, 2, keys=elsewhere)) is Reason.LEDGER_UNAVAILABLE
    assert await claimed(exchanges(MemoryLedger(), keys=ledger_keys(held=False))) is Reason.NOT_READY


def test_every_worker_with_the_key_has_the_ledger_key() -> None:
    data = entry(key=REAL_KEY)
    assert isinstance(read_entry(data, Attempt, ledger_keys(), job=JOB.job, number=0), Attempt)
    assert ledger_key(UnwrappingKey(rsa_key(bits=2048))) != REAL_KEY
    assert read_entry(data, Attempt, ledger_keys(held=False), job=JOB.job, number=0) is NoEntry.UNDECIDED
