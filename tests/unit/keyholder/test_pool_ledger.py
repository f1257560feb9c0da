"""The storage of the pool ledger: each operation has one answer, and no fault is taken for one."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from cji_attestation import AttestationError
from cji_attestation import Fault as AttestationFault
from cji_core.errors import StartupError
from cji_core.pool.errors import BlobTooLargeError, StoreAwayError
from cji_core.pool.one_end import Answer
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_ledger import (
    CAPACITY,
    PROBE,
    CreateBlob,
    Fault,
    Operation,
    Outcome,
    PoolLedger,
    ReadBlob,
    TakeNumber,
)
from tests.support.memory_ledger import MemoryLedger

READ, CREATE = ReadBlob("a", 10), CreateBlob("a", b"1")
TAKE = TakeNumber(Allowance(submitter="s", ori="WI0130000", most=1), bytes(16))


def ledger(blobs: Any, *, now: list[float] | None = None) -> PoolLedger:
    return PoolLedger(lambda: blobs, seconds=10, clock=lambda: now[0] if now else 0.0)


def outcome(pool: PoolLedger, operation: Operation) -> Outcome:
    found = list[Outcome]()
    pool.ask(operation, found.append)
    pool.step(pool._waiting.get_nowait())
    return found[0]


def test_each_operation_has_its_answer() -> None:
    pool = ledger(MemoryLedger())
    assert outcome(pool, READ) is Answer.ABSENT
    assert outcome(pool, CREATE) is Answer.CREATED
    assert outcome(pool, CREATE) is Answer.EXISTS
    assert outcome(pool, READ) == b"1"
    assert outcome(pool, TAKE) is Answer.COUNTED
    assert outcome(pool, TAKE) is Answer.COUNTED  # the same job
    assert outcome(pool, TakeNumber(TAKE.allowance, b"x" * 16)) is Answer.DENIED


def test_the_day_is_that_of_the_ledger() -> None:
    """Workers whose clocks have two dates count on one day."""
    blobs = MemoryLedger()
    pool = ledger(blobs)
    blobs.date = datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC)
    assert outcome(pool, TAKE) is Answer.COUNTED
    assert all(name.startswith("days/2026-03-01/") for name in blobs.found)
    blobs.date = None
    assert outcome(ledger(blobs), TAKE) is Fault.AWAY


@pytest.mark.parametrize(
    "fault",
    [
        StoreAwayError(),
        StartupError("no file", "write it"),
        AttestationError(AttestationFault.IDENTITY_UNAVAILABLE, check="x"),
        KeyError(),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_ledger_that_is_away_answers_nothing(fault: Exception) -> None:
    blobs = MemoryLedger()
    pool = ledger(blobs)
    blobs.fault = fault
    assert [outcome(pool, each) for each in (READ, CREATE, TAKE)] == [Fault.AWAY] * 3
    assert pool.away
    blobs.fault = None
    assert outcome(pool, READ) is Answer.ABSENT
    assert not pool.away
    assert blobs.found == {}


def test_a_blob_that_is_too_large_is_no_entry_and_no_fault() -> None:
    class Large(MemoryLedger):
        def read(self, name: str, *, most: int) -> bytes:
            raise BlobTooLargeError if name == "a" else KeyError

    pool = ledger(Large())
    assert outcome(pool, READ) == b""
    assert not pool.away


def test_an_operation_that_waited_too_long_is_not_performed() -> None:
    now = [0.0]
    blobs = MemoryLedger()
    pool, found = ledger(blobs, now=now), list[Outcome]()
    pool.ask(CREATE, found.append)
    now[0] = 11.0
    pool.step(pool._waiting.get_nowait())
    assert found == [Fault.AWAY]
    assert not blobs.found


def test_operations_beyond_the_capacity_are_answered_at_once() -> None:
    pool, found = ledger(MemoryLedger()), list[Outcome]()
    for _ in range(CAPACITY + 2):
        pool.ask(READ, found.append)
    assert found == [Fault.FULL] * 2


def test_it_is_away_until_it_answers_a_probe() -> None:
    blobs = MemoryLedger()
    pool = ledger(blobs)
    blobs.fault = StoreAwayError()
    pool.probe()
    assert pool.away
    blobs.fault = None
    pool.probe()
    assert not pool.away
    assert set(PROBE) - set("0123456789abcdef")  # it is no job id


def test_the_thread_probes_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.keyholder.pool_ledger.PROBE_S", 0.01)
    blobs, away, back = MemoryLedger(), threading.Event(), threading.Event()
    blobs.fault = StoreAwayError()

    def read(name: str, *, most: int) -> bytes:
        (back if blobs.fault is None else away).set()
        return MemoryLedger.read(blobs, name, most=most)

    blobs.read = read  # type: ignore[method-assign]
    pool = ledger(blobs)
    pool.start()
    assert away.wait(60)
    blobs.fault = None
    assert back.wait(60)


def test_the_thread_answers() -> None:
    pool, answered = ledger(MemoryLedger()), threading.Event()
    pool.start()
    pool.ask(READ, lambda _: answered.set())
    assert answered.wait(60)
