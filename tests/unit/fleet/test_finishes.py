"""The end of a job in parts: it is recorded for a job in parts alone, and by one party of this process at a time."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cji_core.errors import Reason
from cji_core.pool import names
from cji_worker.fleet.records import Records
from cji_worker.fleet.tasks.finishes import Finishes
from cji_worker.fleet.tasks.front import FrontCall
from tests.support.fleet_fakes import JOB, TICKET, TOKEN, MemoryBlobs, MemoryFront
from tests.support.refusals import refused


class Bench:
    """A job in parts without stages, and what ends it."""

    def __init__(self, folder: Path, *, tokens: tuple[str, ...] = ()) -> None:
        self.front = MemoryFront(list(tokens)) if tokens else MemoryFront()
        self.results = MemoryBlobs()
        self.records, self.running = Records(folder, "finishes"), Records(folder)
        front: Any = self.front
        self.call = FrontCall(front)
        made: Any = lambda: self.results  # noqa: E731
        self.finishes = Finishes(front, self.records, running=self.running, results=made)
        self.stores: Any = SimpleNamespace(results=self.results, shuffle=MemoryBlobs())

    def finish(self, *, planned: bool = True) -> str:
        """The attempt whose receipt is published."""
        job: Any = SimpleNamespace(
            name=JOB,
            plan=SimpleNamespace(result_header=b"r") if planned else None,
            header=SimpleNamespace(sha384=bytes.fromhex(TICKET.header_sha384)),
            streams=SimpleNamespace(stages=SimpleNamespace(in_order=())),
        )
        return self.finishes.finish(job, call=self.call, stores=self.stores, reading=self.stores).attempt


def test_a_request_without_a_plan_leaves_no_record(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with refused(Reason.INCOMPLETE):
        bench.finish(planned=False)
    assert list(bench.records.unfinished()) == []


def test_a_job_that_a_slot_holds_is_not_finished(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.running.hold(JOB) as mine, refused(Reason.ALREADY_EXISTS):
        assert mine
        bench.finish()
    assert list(bench.records.unfinished()) == []
    assert bench.finish()
    assert bench.results.exists(names.receipt(JOB))


def test_a_job_that_is_being_finished_is_held(tmp_path: Path) -> None:
    bench, found = Bench(tmp_path), list[bool]()

    def signed() -> None:
        with bench.running.hold(JOB) as mine:
            found.append(mine)

    bench.front.signed = signed
    bench.finish()
    assert found == [False]
    with bench.running.hold(JOB) as mine:
        assert mine


def test_a_receipt_gets_the_evidence_of_a_renewed_token(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tokens=("0d" * 48, TOKEN))
    bench.finish()
    assert bench.results.exists(names.evidence(JOB, TOKEN))
    assert list(bench.records.unfinished()) == []


def test_a_receipt_without_evidence_is_not_published(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tokens=("0d" * 48, "0e" * 48))
    with refused(Reason.NOT_READY):
        bench.finish()
    assert not bench.results.exists(names.receipt(JOB))
    bench.finishes.settle()
    assert bench.front.superseded == [TICKET]
    assert list(bench.records.unfinished()) == []
