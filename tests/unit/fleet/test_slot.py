"""A job that a slot works at is its own; a receipt that it leaves unpublished is settled later."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cji_core.errors import Reason, Stage
from cji_core.pool import names
from cji_core.pool.errors import StoreAwayError
from cji_core.pool.queue import Message
from cji_worker.fleet.attempt import new_attempt, settle
from cji_worker.fleet.front import FrontRefusedError, JobEnd
from cji_worker.fleet.metrics import Outcome
from cji_worker.fleet.records import Records
from tests.support.fleet_fakes import (
    JOB,
    TICKET,
    DeadlineError,
    MemoryBlobs,
    MemoryFront,
    MemoryQueue,
    memory_slot,
    receipt_of,
    refusal_of,
)


def test_a_second_ticket_waits_for_the_live_attempt(tmp_path: Path) -> None:
    jobs, results, front, queue = MemoryBlobs(), MemoryBlobs(), MemoryFront(), MemoryQueue([TICKET.encode()] * 2)
    records, outcomes = Records(tmp_path), Counter[Outcome]()
    first, second = (memory_slot(front, jobs, results, queue, records, outcomes) for _ in range(2))

    def signed() -> None:
        assert second.step()
        assert records.of(JOB) is not None

    front.signed = signed
    assert first.step()
    assert front.superseded == []
    assert results.exists(names.receipt(JOB))
    assert queue.sent == [(TICKET.encode(), 60)]
    assert outcomes == {"not_begun": 1, "published": 1}
    assert records.of(JOB) is None


def test_settling_leaves_a_live_attempt_alone(tmp_path: Path) -> None:
    jobs, results, queue = MemoryBlobs(), MemoryBlobs(), MemoryQueue([TICKET.encode()])
    records, outcomes = Records(tmp_path), Counter[Outcome]()
    front: Any = MemoryFront()
    front.signed = lambda: settle(records, running=records, front=front, results=results)  # type: ignore[arg-type]
    assert memory_slot(front, jobs, results, queue, records, outcomes).step()
    assert front.superseded == []
    assert outcomes == {"published": 1}


def test_an_attempt_that_ends_after_signing_is_settled(tmp_path: Path) -> None:
    jobs, results, queue = MemoryBlobs(), MemoryBlobs(), MemoryQueue([TICKET.encode()])
    records, outcomes = Records(tmp_path), Counter[Outcome]()
    front: Any = MemoryFront()

    def signed() -> None:
        raise DeadlineError

    front.signed = signed
    assert memory_slot(front, jobs, results, queue, records, outcomes).step()
    assert outcomes == {"failed": 1}
    assert front.asked == [Reason.DEADLINE]
    settle(records, running=records, front=front, results=results)  # type: ignore[arg-type]
    assert front.superseded == [TICKET]
    assert list(records.unfinished()) == []


def test_what_cannot_be_settled_now_is_kept(tmp_path: Path) -> None:
    records, results = Records(tmp_path), MemoryBlobs()
    front: Any = MemoryFront()
    records.begin(new_attempt(TICKET, "0a" * 16))
    front.receipt = Mock(side_effect=StoreAwayError)
    settle(records, running=records, front=front, results=results)  # type: ignore[arg-type]
    assert records.of(JOB) is not None


def test_a_record_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    records = Records(tmp_path)
    (tmp_path / "attempts" / f"{JOB}.new").touch()
    assert list(records.unfinished()) == []
    assert [each.name for each in (tmp_path / "attempts").iterdir()] == [f"{JOB}.new"]
    Records(tmp_path)
    assert list((tmp_path / "attempts").iterdir()) == []


def test_a_receipt_of_another_header_blocks_no_start(tmp_path: Path) -> None:
    records, results = Records(tmp_path), MemoryBlobs()
    front: Any = MemoryFront(receipts={JOB: receipt_of(header_sha384="0f" * 48)})
    records.begin(new_attempt(TICKET, "0a" * 16))
    settle(records, running=records, front=front, results=results)  # type: ignore[arg-type]
    assert list(records.unfinished()) == []
    assert front.superseded == []


def test_a_ticket_is_left_alone_while_the_storage_is_away(tmp_path: Path) -> None:
    """Else every ticket is leased and dropped, again and again, and its job has a failure without an attempt."""
    jobs, queue = MemoryBlobs(), MemoryQueue([TICKET.encode()])
    results, front, outcomes = Mock(exists=Mock(side_effect=StoreAwayError)), MemoryFront(), Counter[Outcome]()
    slot = memory_slot(front, jobs, results, queue, Records(tmp_path), outcomes)
    for _ in range(10):
        with pytest.raises(StoreAwayError):
            slot.step()
    assert queue.waiting == [TICKET.encode()]
    assert not outcomes
    assert front.asked == []


def test_leases_decide_nothing(tmp_path: Path) -> None:
    class Leased(MemoryQueue):
        def receive(self, *, lease: float) -> Message | None:
            found = super().receive(lease=lease)
            return None if found is None else replace(found, tries=1000)

    jobs, results, front, queue = MemoryBlobs(), MemoryBlobs(), MemoryFront(), Leased([TICKET.encode()])
    outcomes = Counter[Outcome]()
    assert memory_slot(front, jobs, results, queue, Records(tmp_path), outcomes).step()
    assert outcomes == {"published": 1}


@pytest.mark.parametrize("failed", [False, True], ids=["a receipt", "a failure"])
def test_the_end_that_another_machine_made_is_published(tmp_path: Path, failed: bool) -> None:
    """The machine is gone, with its receipt: the ledger has it."""
    jobs, results, queue = MemoryBlobs(), MemoryBlobs(), MemoryQueue([TICKET.encode()])
    end = JobEnd(receipt="" if failed else receipt_of(), attempt="0b" * 16, failure=receipt_of() if failed else "")
    front, outcomes = MemoryFront(ends={JOB: end}), Counter[Outcome]()

    def refused() -> None:
        raise refusal_of(Reason.ALREADY_EXISTS)

    front.signed = refused
    assert memory_slot(front, jobs, results, queue, Records(tmp_path), outcomes).step()
    assert outcomes == {"superseded": 1}
    assert results.exists(names.failure(JOB) if failed else names.receipt(JOB))
    assert not results.exists(names.receipt(JOB) if failed else names.failure(JOB))


class Refusing(MemoryFront):
    """A worker whose policy does not accept the job."""

    reason = Reason.POLICY_DENIED

    def attest(self, nonce: bytes) -> tuple[str, bytes]:
        raise FrontRefusedError(self.reason, Stage.ADMIT)


@pytest.mark.parametrize(
    "reason", [Reason.POLICY_DENIED, Reason.HEADER_SIGNATURE_INVALID, Reason.SUITE_NOT_ACCEPTED], ids=str
)
def test_a_refusal_by_policy_is_of_this_worker(tmp_path: Path, reason: Reason) -> None:
    """A pool reloads worker by worker: the next one may have the submitter's new key, or still its old one."""
    jobs, results, queue = MemoryBlobs(), MemoryBlobs(), MemoryQueue([TICKET.encode()])
    front, outcomes = Refusing(), Counter[Outcome]()
    front.reason = reason
    assert memory_slot(front, jobs, results, queue, Records(tmp_path), outcomes).step()
    ((text, delay),) = queue.sent
    assert text == TICKET.encode()
    assert 60 <= delay <= 120
    assert outcomes == {"not_begun": 1}
    assert not results.exists(names.failure(JOB))
