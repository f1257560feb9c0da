"""A job that a slot works at is its own: a second ticket, a settling and the end of a job in parts leave it alone."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.fleet_fakes import JOB, TICKET, MemoryBlobs, MemoryFront, MemoryQueue, memory_slot
from worker.fleet import names
from worker.fleet.metrics import Outcome
from worker.fleet.records import Records
from worker.fleet.settle import settle


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
