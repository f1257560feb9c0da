"""The statement about a task comes in pieces: as many streams as the task has, and no piece without one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import (
    CellFailed,
    CellFromKeyholder,
    CellPlace,
    CountedPart,
    CountedStreams,
    Ended,
    FaultyColumn,
    KeyholderFromCell,
    Summary,
)
from cji_worker.keyholder.admitted_job import Admission, AdmittedJob
from cji_worker.keyholder.cells import Cell
from cji_worker.keyholder.jobs import extend, receive_statement
from cji_worker.keyholder.lifecycle import Stopped
from cji_worker.keyholder.tasks import AdmittedTask
from tests.support.job_headers import NOW
from tests.support.keyholder_bench import bench, finish_order, held
from tests.support.task_statements import Honest

HONEST = Honest()
BUCKET = HONEST.places[5]
ONE = CountedPart(segments=1, bytes=4096, tags_sha256=bytes(32))
COLUMN = FaultyColumn(table="records", column="SOC", part=0, row=1)
END = Summary(inputs=(), outputs=(), result_header=b"", rows_in=0, rows_out=())


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[AdmittedJob, Channel[Any, Any]]]:
    """A task with two streams in and one out, and the other end of its cell's channel."""
    stage, number = BUCKET
    task = AdmittedTask(
        job=HONEST.job,
        stage=stage,
        number=number,
        plan=HONEST.plan,
        inputs=HONEST.job.read_by(stage, number),
        outputs=HONEST.job.written_by(stage, number),
    )
    assert (len(task.inputs), len(task.outputs)) == (2, 1)
    ours, theirs = Channel.pair()
    nothing: Any = None
    cell = Cell(number=1, control=Channel(ours, KeyholderFromCell), key_slot=nothing, data_fd=-1, ring_fd=-1)
    with bench(tmp_path) as desk, ours, theirs:
        grant = desk.grant(HONEST.header)
        job = AdmittedJob(
            request=finish_order(HONEST.header, HONEST.plan),
            admission=Admission(header=HONEST.header, grant=grant, plan=HONEST.planned, key=held(), task=task),
            cell=cell,
            reference=None,
            started=0.0,
            admitted_at=NOW,
        )
        yield job, Channel(theirs, CellFromKeyholder)


async def received(ends: tuple[AdmittedJob, Channel[Any, Any]], *pieces: CountedStreams) -> Summary | Reason:
    job, peer = ends
    for message in (*pieces, END):
        peer.send(message)
    found = await receive_statement(job)
    return found.refusal.reason if isinstance(found, Stopped) else found


async def test_pieces_make_the_statement(ends: Any) -> None:
    found = await received(ends, CountedStreams(inputs=(ONE,)), CountedStreams(inputs=(ONE,), outputs=(ONE,)))
    assert isinstance(found, Summary)
    assert (found.inputs, found.outputs) == ((ONE, ONE), (ONE,))


@pytest.mark.parametrize(
    "pieces",
    [
        [CountedStreams()],
        [CountedStreams(inputs=(ONE, ONE), outputs=(ONE,)), CountedStreams()],
        [CountedStreams(inputs=(ONE, ONE, ONE))],
        [CountedStreams(outputs=(ONE,)), CountedStreams(outputs=(ONE,))],
    ],
    ids=["empty", "empty at the end", "an input too many", "an output too many"],
)
async def test_other_pieces_end_the_task(ends: Any, pieces: list[CountedStreams]) -> None:
    assert await received(ends, *pieces) is Reason.CELL_FAILED


async def test_a_cell_names_a_column_by_numbers_alone(ends: Any, tmp_path: Path) -> None:
    """The header has no sealed column, so there is none to name."""
    job, peer = ends
    place = CellPlace(part=0, column=0, row=1)
    peer.send(CellFailed(reason=Reason.COLUMN_CELL_INVALID, stage=Stage.UNSEAL, cells=place))
    found = await receive_statement(job)
    assert isinstance(found, Stopped)
    assert type(found.refusal) is Refusal
    sealed = replace(HONEST.header.inputs[0], sealed_columns=("SOC",))
    header = replace(HONEST.header, inputs=(sealed, *HONEST.header.inputs[1:]))
    job.admission = replace(job.admission, header=header)
    peer.send(CellFailed(reason=Reason.COLUMN_CELL_INVALID, stage=Stage.UNSEAL, cells=place))
    found = await receive_statement(job)
    assert isinstance(found, Stopped)
    other = tmp_path / "other"
    other.mkdir()
    with bench(other) as desk:
        desk.effects.refuse(7, found.refusal)
        (sent,) = desk.messages()
    assert isinstance(sent, Ended)
    assert (sent.reason, sent.stage, sent.column) == (Reason.COLUMN_CELL_INVALID, Stage.UNSEAL, COLUMN)


def test_a_whole_job_has_no_pieces(ends: Any) -> None:
    job, _ = ends
    whole = Admission(header=HONEST.header, grant=job.admission.grant, plan=HONEST.planned, key=held())
    job.admission = whole
    assert not extend(job, job.cell_streams, (ONE,), ())
