"""Streams of an aligned edge: task t reads what task t of an earlier stage wrote, and what no other one wrote."""

import pyarrow as pa
import pytest

from cji_client.sources import fit
from cji_core.errors import Reason, Refusal
from cji_core.format.records.declared import INT64, Fields
from cji_core.operations.link import Link
from cji_core.operations.link.declaration import encode
from cji_core.operations.stages.stage import Edge, Stage, Stages, Width
from cji_core.operations.stages.streams import TO_ALL, EdgeStream, TaskStreams
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.cell.parts_loop import PartsLoop
from tests.support.contexts import planned
from tests.support.letter_jobs import PERSON, sealed


def _linked() -> PartsLoop:
    """`link` on two shards, of which `count` and what comes before `split` have run."""
    operation = pb.Operation(link=encode(Link(random_pairs=1_000, training_pairs=1_000)))
    names = {"record_id": "R", "last": "L", "first": "F", "DOB": "1980010"}
    shards = [
        fit(pa.table({name: [f"{text}{number % 5 + 1}" for number in numbers] for name, text in names.items()}), PERSON)
        for numbers in (range(20), range(20, 50))
    ]
    loop = sealed([shard.open() for shard in shards], planned([operation], PERSON.schema), operation)
    for stage in loop.streams.stages.in_order:
        if stage.name == "split":
            break
        for number in range(loop.streams.tasks[stage.name]):
            loop.run_task(stage, number)
    return loop


def test_the_table_of_another_shard_does_not_open() -> None:
    loop = _linked()
    stage = loop.streams.stage("split")
    assert stage is not None
    columns = next(at for at, edge in enumerate(loop.streams.stages.edges) if edge.name == "columns")
    own, other = (EdgeStream(columns, number, TO_ALL, False) for number in (0, 1))
    assert own in loop.streams.read_by(stage, 0)
    assert other not in loop.streams.read_by(stage, 0)
    assert loop.run_task(stage, 0).rows_out == ()
    loop.shuffled[own] = loop.shuffled[other]
    with pytest.raises(Refusal) as caught:
        loop.run_task(stage, 0)
    assert caught.value.reason is Reason.SEGMENT_INVALID


def test_a_plan_with_unequal_numbers_of_tasks_is_refused() -> None:
    edge = Edge(name="own", fields=Fields.of([("value", INT64)]), aligned=True)
    stages = (
        Stage(name="plan", width=Width.ONE, plans=True),
        Stage(name="make", width=Width.PLANNED, writes=(edge,)),
        Stage(name="take", width=Width.PLANNED, reads=("own",)),
    )
    job = TaskStreams(stages=Stages(in_order=stages), inputs=("records",), outputs=(), shards=1, tasks={"plan": 1})
    planned_job = job.under({"make": 3, "take": 3})
    assert planned_job.read_by(stages[2], 2) == (EdgeStream(0, 2, TO_ALL, True),)
    assert planned_job.written_by(stages[1], 2) == (EdgeStream(0, 2, TO_ALL, True),)
    with pytest.raises(ValueError, match="does not fit"):
        job.under({"make": 3, "take": 2})
