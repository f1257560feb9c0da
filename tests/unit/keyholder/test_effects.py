"""What witnesses count does not fit a receipt or a statement: the job fails, the keyholder does not."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns import ColumnKeys
from cji_core.format.envelope import sha384
from cji_core.format.job import Attribution, InputPart, JobId, OutputPart, SizeClass, parse
from cji_core.format.job.result_header import result_header
from cji_core.operations.registry import plan
from cji_core.trail import (
    FIRST_PREVIOUS,
    Claims,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    TailRecovered,
    UsedColumnKey,
    UsedColumnKeys,
    claims_unverified,
    read,
    receipt_sha384,
)
from cji_worker.ipc import Channel, KeySlot
from cji_worker.ipc.keyslot import SLOT_PAGE_BYTES
from cji_worker.ipc.messages import Admitted, CountedPart, KeyholderFromCell, SealedPart, Summary, Witnessed
from cji_worker.keyholder.admitted_job import Admission, AdmittedJob, Opened
from cji_worker.keyholder.cells import Cell
from cji_worker.keyholder.effects import unsigned
from cji_worker.keyholder.events import job_admitted
from cji_worker.keyholder.lifecycle import Action, Done, Failed, WriteEnd, WriteReceipt
from cji_worker.keyholder.task_events import task_admitted
from cji_worker.keyholder.tasks import AdmittedTask
from cji_worker.memory import secret_fd
from tests.support.column_keys import KEYS, sealed
from tests.support.contexts import TABLES
from tests.support.job_headers import NOW, make
from tests.support.keyholder_bench import Bench, bench, finish_order, held
from tests.support.receipts import signed_receipt
from tests.support.task_statements import ROWS, Honest

HONEST = Honest()
MOST = (1 << 63) - 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as found:
        yield found


@pytest.fixture
def cell() -> Iterator[Cell]:
    ours, theirs = socket.socketpair()
    nothing: Any = None
    yield Cell(number=1, control=Channel(ours, KeyholderFromCell), key_slot=nothing, data_fd=-1, ring_fd=-1)
    ours.close()
    theirs.close()


def running(cell: Cell, admission: Admission, **changes: Any) -> AdmittedJob:
    return AdmittedJob(
        request=changed(finish_order(HONEST.header, HONEST.plan), finish=None, **changes),
        admission=admission,
        cell=cell,
        reference=None,
        started=time.monotonic(),
        admitted_at=NOW,
        statement_key=HONEST.key,
    )


def part(length: int) -> SealedPart:
    return SealedPart(sha256=bytes(32), counted=CountedPart(segments=1, bytes=length, tags_sha256=bytes(32)))


def both(inputs: list[SealedPart], outputs: list[SealedPart], rows_out: tuple[int, ...], made: bytes) -> WriteReceipt:
    """Statements that agree."""
    return WriteReceipt(
        Summary(
            inputs=tuple(each.counted for each in inputs),
            outputs=tuple(each.counted for each in outputs),
            result_header=made,
            rows_in=ROWS,
            rows_out=rows_out,
        ),
        Witnessed(call=1, inputs=tuple(inputs), outputs=tuple(outputs), result_header_sha384=sha384(made)),
    )


def whole_job(desk: Bench, cell: Cell, length: int, *, job_id: bytes = b"w" * 16) -> tuple[AdmittedJob, WriteReceipt]:
    """A job whose two outputs have this length."""
    header = parse(make(job_id=JobId(job_id)))
    planned = plan(header.operations, header.input_schemas, TABLES)
    job = running(cell, Admission(header=header, grant=desk.grant(header), plan=planned, key=held()))
    outputs = [OutputPart(name=each.name, schema=each.schema.schema_id) for each in planned.outputs]
    made = result_header(header, worker_id="w", outputs=outputs, wrapped_keys=[os.urandom(384)])
    return job, both([part(4096)], [part(length)] * 2, (ROWS, ROWS), made)


def one_task(desk: Bench, cell: Cell, attempt: bytes | None) -> tuple[AdmittedJob, WriteReceipt]:
    """The first task of a job in parts, which counts the rows of its shard."""
    stage = HONEST.job.stages.in_order[0]
    task = AdmittedTask(
        job=HONEST.job,
        stage=stage,
        number=0,
        plan=None,
        inputs=HONEST.job.read_by(stage, 0),
        outputs=HONEST.job.written_by(stage, 0),
    )
    grant = desk.grant(HONEST.header)
    admission = Admission(header=HONEST.header, grant=grant, plan=HONEST.planned, key=held(), task=task)
    return running(cell, admission, attempt=attempt), both([part(4096)], [part(4096)], (), b"")


def test_a_receipt_that_does_not_fit_fails_its_job(desk: Bench, cell: Cell) -> None:
    """The bytes of each output fit, their sum does not."""
    job, statements = whole_job(desk, cell, MOST)
    failed(desk.perform(job, statements))
    assert not desk.path.read_bytes()


def test_a_statement_that_does_not_fit_fails_its_task(desk: Bench, cell: Cell) -> None:
    """It has no name of an attempt."""
    job, statements = one_task(desk, cell, None)
    failed(desk.perform(job, statements))
    assert not desk.path.read_bytes()


def test_both_are_signed_if_they_fit(desk: Bench, cell: Cell) -> None:
    """The same job and task, but for what does not fit: all else is in order, up to the trail."""
    for job, statements in (whole_job(desk, cell, 4096), one_task(desk, cell, bytes(16))):
        desk.audit.append(job_admitted(job) if job.admission.task is None else task_admitted(job))
        assert desk.perform(job, statements) == Done()


def failed(outcome: Done | Failed | None) -> None:
    assert isinstance(outcome, Failed)
    assert (outcome.refusal.reason, outcome.refusal.stage) == (Reason.INTERNAL, Stage.COMMIT)


def sealed_columns(desk: Bench, cell: Cell, keys: ColumnKeys) -> tuple[AdmittedJob, WriteReceipt]:
    """The whole job again, with a column under the second of two keys."""
    inputs = [InputPart(name="people", schema="person/1", sealed_columns=("DOB",))]
    job = whole_job(desk, cell, 4096)[0]
    header = parse(make(job_id=JobId(b"w" * 16), inputs=inputs, column_keys=[keys], size_class=SizeClass.POWER_OF_TWO))
    job.admission = replace(job.admission, header=header)
    outputs = [OutputPart(name=each.name, schema=each.schema.schema_id) for each in job.admission.plan.outputs]
    made = result_header(header, worker_id="w", outputs=outputs, wrapped_keys=[os.urandom(384)])
    return job, both([part(4096)], [part(4096)] * 2, (ROWS, ROWS), made)


def test_trail_and_receipt_have_the_column_keys_and_no_rows_out(desk: Bench, cell: Cell) -> None:
    keys = sealed()
    job, statements = sealed_columns(desk, cell, keys)
    desk.audit.append(job_admitted(job))
    assert desk.perform(job, statements) == Done()
    used = UsedColumnKeys(
        statement_sha384=keys.statement.sha384.hex(),
        keys=(UsedColumnKey(key_path=KEYS[1].key_path, cek_sha384=KEYS[1].cek_sha384.hex()),),
    )
    admitted, completed = desk.events
    claims = claims_unverified(completed.receipt)
    assert admitted.column_keys == claims.column_keys == (used,)
    assert (claims.withheld, claims.volumes) == (True, completed.volumes)
    volumes = completed.volumes
    assert (volumes.rows_in, volumes.rows_out, volumes.chri_rows_out, volumes.subjects_out) == (ROWS, 0, 0, 0)


def test_a_task_has_the_column_keys_in_its_admission(desk: Bench, cell: Cell) -> None:
    keys = sealed()
    part_of = replace(HONEST.header.inputs[-1], sealed_columns=("DOB",))
    header = replace(HONEST.header, inputs=(*HONEST.header.inputs[:-1], part_of), column_keys=(keys,))
    job, _ = one_task(desk, cell, bytes(16))
    job.admission = replace(job.admission, header=header)
    (used,) = task_admitted(job).column_keys
    assert used.statement_sha384 == keys.statement.sha384.hex()


def test_a_receipt_without_its_signature_keeps_its_claims() -> None:
    """The fleet process stores outputs by them; nobody can verify it."""
    receipt = signed_receipt()
    assert claims_unverified(unsigned(receipt)) == claims_unverified(receipt)
    assert receipt.rpartition(".")[2] not in unsigned(receipt)


def test_the_slot_of_a_cell_that_has_ended_keeps_no_keys(desk: Bench, cell: Cell) -> None:
    """The next cell of the slot would find keys of another job."""
    slot = KeySlot(secret_fd(SLOT_PAGE_BYTES))
    job, _ = whole_job(desk, replace(cell, key_slot=slot), 4096)
    job.opened = Opened(keys=[b"k" * 32], attribution=Attribution(operator_id="o", requestor="r", reason="r"))
    assert desk.perform(job, Action.OPEN_CELL) == Done()
    assert slot.take() == [b"k" * 32]

    cell.control.close()
    job.opened = Opened(keys=[b"k" * 32], attribution=Attribution(operator_id="o", requestor="r", reason="r"))
    assert desk.perform(job, Action.OPEN_CELL) == Done()
    assert slot.take() == []


def test_the_front_gets_the_cell_before_the_admission_is_on_disk(desk: Bench, cell: Cell) -> None:
    """It brings segments meanwhile. The cell has no keys until then."""
    job, _ = whole_job(desk, replace(cell, data_fd=os.dup(0), ring_fd=os.dup(0)), 4096)
    desk.perform(job, Action.LEND_CELL)
    (lent,) = desk.messages()
    assert isinstance(lent, Admitted)
    assert not any(isinstance(event, JobAdmitted) for event in desk.events)
    assert job.opened is None


def two_admitted(desk: Bench, cell: Cell) -> list[tuple[AdmittedJob, WriteReceipt]]:
    """Two jobs whose cells are done, after one that has the first receipt, a whole one; theirs are like that."""
    first, statements = whole_job(desk, cell, 4096, job_id=b"0" * 16)
    desk.audit.append(job_admitted(first))
    assert desk.perform(first, statements) == Done()
    jobs = [whole_job(desk, cell, 4096, job_id=name * 16) for name in (b"1", b"2")]
    for job, _ in jobs:
        desk.audit.append(job_admitted(job))
    return jobs


def receipts_of(desk: Bench) -> list[Claims]:
    """Those in the trail, which are one sequence."""
    ids = [bytes.fromhex(event.job_id) for event in desk.events if isinstance(event, JobCompleted)]
    texts = [done.compact for job_id in ids if (done := desk.audit.completion(job_id)) is not None]
    found = [claims_unverified(text) for text in texts]
    assert [claims.sequence for claims in found] == list(range(1, len(found) + 1))
    before = [FIRST_PREVIOUS, *(receipt_sha384(text) for text in texts[:-1])]
    assert [claims.previous_sha384 for claims in found] == before[: len(found)]
    return found


def test_the_receipts_of_a_group_are_one_sequence(desk: Bench, cell: Cell) -> None:
    """Each names the one before it, which waits for the disk as it does; nothing is told or counted before that."""
    told = list[Done | Failed]()
    jobs = two_admitted(desk, cell)
    for job, statements in jobs:
        assert desk.effects.perform(job, statements, told.append) is None
    completed = [event for event in desk.events if isinstance(event, JobCompleted)]
    assert (told, [job.receipt for job, _ in jobs], len(completed)) == ([], ["", ""], 1)
    assert desk.effects.tally.jobs_completed == 1
    desk.audit.settle()
    desk.audit.deliver()
    assert (told, desk.effects.tally.jobs_completed) == ([Done(), Done()], 3)
    assert [claims_unverified(job.receipt) for job, _ in jobs] == receipts_of(desk)[1:]


def test_a_group_that_is_lost_takes_no_number(desk: Bench, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[Done | Failed]()
    jobs = two_admitted(desk, cell)
    for job, statements in jobs:
        desk.effects.perform(job, statements, told.append)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_disk)
        desk.audit.settle()
    desk.audit.deliver()
    assert [isinstance(each, Failed) and each.refusal.reason for each in told] == [Reason.AUDIT_UNAVAILABLE] * 2
    assert [job.receipt for job, _ in jobs] == ["", ""]
    desk.audit.maintain()
    for job, statements in reversed(jobs):
        assert desk.perform(job, statements) == Done()
    assert len(receipts_of(desk)) == 3


def test_a_whole_receipt_is_on_disk_before_one_is_like_it(desk: Bench, cell: Cell) -> None:
    """The first two of a trail come together: the second line is short, and its receipt is that which left."""
    jobs = [whole_job(desk, cell, 4096, job_id=name * 16) for name in (b"1", b"2")]
    for job, _ in jobs:
        desk.audit.append(job_admitted(job))
    told = list[Done | Failed]()
    for job, statements in jobs:
        assert desk.effects.perform(job, statements, told.append) is None
    assert desk.audit.head.seq == 3
    desk.audit.settle()
    desk.audit.deliver()
    completed = [event for event in desk.events if isinstance(event, JobCompleted)]
    assert [isinstance(event.receipt, str) for event in completed] == [True, False]
    assert [claims_unverified(job.receipt) for job, _ in jobs] == receipts_of(desk)
    assert [job.completed.compact for job, _ in jobs if job.completed] == [job.receipt for job, _ in jobs]


def test_a_receipt_needs_no_line_of_a_segment(tmp_path: Path, cell: Cell) -> None:
    """The first in a segment is whole, and so is that of a job that was admitted before. Segments may be pruned."""
    with bench(tmp_path, segment_bytes=1) as desk:
        jobs = [whole_job(desk, cell, 4096, job_id=name * 16) for name in (b"1", b"2", b"3", b"4")]
        for job, statements in jobs:
            desk.audit.append(job_admitted(job))
            if job is not jobs[2][0]:
                assert desk.perform(job, statements) == Done()
                continue
            desk.audit.append(desk.signer.checkpoint(desk.audit.tree))
            desk.audit.rotate()
        assert desk.perform(*jobs[2]) == Done()
        (segment,) = tmp_path.glob("audit.jsonl.1-*")
        before = [read(line).event for line in segment.read_bytes().splitlines(keepends=True)]
        forms = [
            [isinstance(event.receipt, str) for event in events if isinstance(event, JobCompleted)]
            for events in (before, desk.events)
        ]
    assert forms == [[True, False], [True, True]]


def test_an_admission_that_is_lost_gets_no_end(desk: Bench, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller left while the line waited. The trail, once it goes on, has nothing of the job."""
    job, _ = whole_job(desk, cell, 4096)
    told = list[Done | Failed]()
    assert desk.effects.perform(job, Action.WRITE_ADMISSION, told.append) is None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_disk)
        desk.perform(job, WriteEnd(Refusal(Reason.INCOMPLETE, stage=Stage.COMPUTE)))
    desk.audit.maintain()
    assert [type(event) for event in desk.events] == [TailRecovered]


def test_an_admission_that_waits_is_followed_by_its_end(desk: Bench, cell: Cell) -> None:
    job, _ = whole_job(desk, cell, 4096)
    told = list[Done | Failed]()
    assert desk.effects.perform(job, Action.WRITE_ADMISSION, told.append) is None
    assert desk.events == []
    desk.perform(job, WriteEnd(Refusal(Reason.INCOMPLETE, stage=Stage.COMPUTE)))
    assert [type(event) for event in desk.events] == [JobAdmitted, JobEnded]


def no_disk(_: int) -> None:
    raise OSError(errno.EIO, "the disk is gone")
