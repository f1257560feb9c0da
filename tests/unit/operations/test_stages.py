"""Stages that do not fit together are a programming error; tasks and their streams follow from stages and plan."""

from dataclasses import replace

import pytest

from cji_core.errors import Reason
from cji_core.errors import Stage as Where
from cji_core.format.records import DataClass, RecordSchema, columns
from cji_core.format.records.declared import INT64, UTF8, Fields
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.declaration import OutputSpec
from cji_core.operations.link.stages import STAGES as LINK_STAGES
from cji_core.operations.registry import operation_of, plan
from cji_core.operations.screen import Screen
from cji_core.operations.stages.stage import MAX_TASKS, PLAN_STAGE, Edge, Stage, Stages, Width
from cji_core.operations.stages.streams import (
    MAX_STREAMS,
    MAX_TASK_STREAMS,
    TO_ALL,
    EdgeStream,
    PartStream,
    TaskStreams,
    _require_sound,
    with_plan_stage,
)
from tests.support.refusals import refused

FIELDS = Fields.of([("value", INT64)])
A, B = (Edge(name=name, fields=FIELDS) for name in "ab")
EACH, ALIGNED = replace(A, each=True), replace(A, aligned=True)
ONE, SHARDS, PLANNED = Width.ONE, Width.SHARDS, Width.PLANNED
PLAN = Stage(name="plan", width=ONE, plans=True)


def of(*stages: Stage) -> Stages:
    return Stages(in_order=stages)


def stage(name: str, width: Width, *, reads: str = "", writes: tuple[Edge, ...] = (), records: bool = False) -> Stage:
    return Stage(name=name, width=width, reads=tuple(reads.split()), writes=writes, records=records)


def with_outputs(name: str, width: Width, *outputs: str, reads: str = "", records: bool = False) -> Stage:
    return Stage(name=name, width=width, outputs=outputs, reads=tuple(reads.split()), records=records)


@pytest.mark.parametrize(
    "stages",
    [
        (stage("one", SHARDS, records=True, writes=(EACH,)), stage("two", ONE, reads="a")),
        (stage("one", SHARDS, writes=(A,)), stage("two", ONE, reads="a"), stage("three", SHARDS, reads="a")),
        (stage("one", SHARDS, writes=(EACH,)), stage("two", SHARDS, reads="a"), stage("three", SHARDS, reads="a")),
        (stage("one", SHARDS, writes=(ALIGNED,)), stage("two", SHARDS, reads="a")),
        (PLAN, stage("one", PLANNED, writes=(A,)), stage("two", PLANNED, reads="a")),
    ],
)
def test_stages_that_fit_together(stages: tuple[Stage, ...]) -> None:
    assert of(*stages).in_order == stages


@pytest.mark.parametrize(
    ("stages", "error"),
    [
        ((), "distinct names"),
        ((stage("one", ONE), stage("one", ONE)), "distinct names"),
        ((stage("one", ONE, reads="a"),), "one cannot read a"),
        (
            (stage("one", ONE, writes=(EACH,)), stage("two", SHARDS, reads="a"), stage("three", ONE, reads="a")),
            "three cannot read a",
        ),
        ((stage("one", SHARDS, writes=(ALIGNED,)), stage("two", ONE, reads="a")), "two is not as wide"),
        (
            (stage("one", SHARDS, writes=(replace(EACH, aligned=True),)), stage("two", SHARDS, reads="a")),
            "two is not as wide",
        ),
        ((stage("one", ONE, records=True),), "one reads records"),
        ((stage("one", PLANNED),), "one plans again"),
        ((stage("one", PLANNED), PLAN), "one plans again"),
        ((PLAN, replace(PLAN, name="again")), "again plans again"),
        ((replace(PLAN, width=SHARDS),), "plan plans again"),
        ((PLAN, stage("one", ONE), replace(PLAN, name="again")), "again plans again"),
        ((stage("one", ONE, writes=(A,)), stage("two", ONE, reads="a", writes=(A,))), "a is written twice"),
        ((with_outputs("one", ONE, "x"), with_outputs("two", ONE, "x")), "an output is written twice"),
        ((stage("one", ONE, writes=(A,)),), "never read"),
    ],
)
def test_stages_that_do_not_fit_together(stages: tuple[Stage, ...], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        of(*stages)


def test_the_stage_that_gives_the_status_of_rows() -> None:
    reads = [stage(name, SHARDS, records=True) for name in ("one", "two")]
    marked = with_outputs("status", SHARDS, "row_status")
    assert of(*reads, stage("three", ONE)).status_stage == reads[1]
    assert of(marked, *reads).status_stage == marked
    assert of(stage("one", ONE)).status_stage is None


def test_stages_without_a_plan_get_one() -> None:
    one = stage("one", SHARDS, records=True)
    found = with_plan_stage(of(one))
    assert found is not None
    assert found.in_order == (Stage(name=PLAN_STAGE, width=ONE, plans=True), one)
    planned = of(PLAN, one)
    assert with_plan_stage(planned) is planned
    assert with_plan_stage(None) is None


@pytest.mark.parametrize(
    "before",
    [
        (with_outputs("one", SHARDS, "result"),),
        (stage("one", SHARDS, records=True),),
        (stage("one", SHARDS, writes=(EACH,)),),
    ],
    ids=["writes an output", "gives the status", "writes for planned tasks"],
)
def test_what_needs_the_plan_does_not_come_before_it(before: tuple[Stage, ...]) -> None:
    late = stage("late", PLANNED, reads="a" if before[0].writes else "")
    with pytest.raises(ValueError, match="one comes before the plan"):
        _require_sound(of(*before, PLAN, late))
    _require_sound(of(stage("one", SHARDS, records=True), PLAN, stage("two", SHARDS, records=True)))


RESULT = OutputSpec(name="result", schema=RecordSchema.output("x/1", columns(DataClass.CASE, "x", UTF8)))
STATUS = replace(RESULT, name="row_status")
JOB = TaskStreams(
    stages=of(
        stage("first", SHARDS, records=True, writes=(B,)),
        Stage(name="plan", width=ONE, plans=True, reads=("b",)),
        Stage(name="make", width=PLANNED, sides=("side",), writes=(EACH,)),
        Stage(name="take", width=PLANNED, reads=("a",), outputs=("result",)),
        Stage(name="end", width=SHARDS, records=True, outputs=("row_status",)),
    ),
    inputs=("other", "side", "records"),
    outputs=(RESULT, STATUS),
    shards=2,
    tasks={"first": 2, "plan": 1, "end": 2},
)


def test_streams_of_tasks() -> None:
    job = JOB.under({"make": 3, "take": 4})
    first, planning, make, take, end = job.stages.in_order
    assert job.to_plan == ("make", "take")
    assert job.output_shards() == (4, 2)
    assert job.read_by(first, 1) == (PartStream(3, "records"),)
    assert job.written_by(first, 1) == (EdgeStream(0, 1, TO_ALL, False),)
    assert job.read_by(planning, 0) == tuple(EdgeStream(0, producer, TO_ALL, False) for producer in range(2))
    assert job.read_by(make, 2) == (PartStream(1, "side"),)
    assert job.written_by(make, 2) == tuple(EdgeStream(1, 2, consumer, True) for consumer in range(4))
    assert job.read_by(take, 3) == tuple(EdgeStream(1, producer, 3, True) for producer in range(3))
    assert job.written_by(take, 3) == (PartStream(3, "result"),)
    assert job.written_by(end, 1) == (PartStream(5, "row_status"),)
    assert job.stage("take") is take
    assert job.stage("none") is None


@pytest.mark.parametrize(
    "planned",
    [{}, {"make": 1}, {"make": 1, "take": 1, "end": 1}, {"make": 0, "take": 1}, {"make": 1, "take": MAX_TASKS + 1}],
)
def test_a_plan_that_does_not_fit(planned: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        JOB.under(planned)


def test_streams_have_limits() -> None:
    assert JOB.under({"make": 128, "take": MAX_STREAMS // 128 - 1})
    with refused(Reason.LIMIT_EXCEEDED, stage=Where.COMPUTE):
        JOB.under({"make": 129, "take": MAX_TASKS})
    for edges, is_sound in ((MAX_TASK_STREAMS // MAX_TASKS, True), (MAX_TASK_STREAMS // MAX_TASKS + 1, False)):
        several = tuple(replace(EACH, name=str(number)) for number in range(edges))
        make, take = stage("make", ONE, writes=several), stage("take", PLANNED, reads=" ".join(map(str, range(edges))))
        job = replace(JOB, stages=of(PLAN, make, take), outputs=(), tasks={"plan": 1, "make": 1})
        if is_sound:
            assert job.under({"take": MAX_TASKS})
        else:
            with refused(Reason.LIMIT_EXCEEDED, stage=Where.COMPUTE):
                job.under({"take": MAX_TASKS})


def test_a_wide_job_of_link_has_113_shards() -> None:
    """docs/fleet.md names the number: a plan of 256 tasks and 32 shares, as for 50 million rows."""
    stages, tasks = with_plan_stage(LINK_STAGES), {"observe": 256, "pairs": 256}
    assert stages is not None
    for shards, is_sound in ((113, True), (114, False)):
        widths = {ONE: 1, SHARDS: shards}
        known = {each.name: widths[each.width] for each in stages.in_order if each.width in widths}
        job = TaskStreams(stages=stages, inputs=("records",), outputs=(), shards=shards, tasks=known)
        planned = {name: tasks.get(name, 32) for name in job.to_plan}
        if is_sound:
            assert job.under(planned)
        else:
            with refused(Reason.LIMIT_EXCEEDED, stage=Where.COMPUTE):
                job.under(planned)


def test_an_output_that_no_stage_writes_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no stage writes other"):
        replace(JOB, outputs=(replace(RESULT, name="other"),)).output_shards()


def test_jobs_that_can_run_in_parts() -> None:
    def streams(parameters: Aggregate | Screen, shards: int = 2) -> TaskStreams:
        operation = operation_of(parameters)
        inputs = {side.name: str(side.schema) for side in operation.signature(parameters).sides}
        message = operation.message(parameters)
        return TaskStreams.of(plan([message], {**inputs, "records": "person/1"}), ("records",), shards=shards)

    counting = Aggregate(keys={"SEX": ()})
    assert streams(counting).tasks == {"plan": 1, "group": 2, "merge": 1}
    assert streams(counting, MAX_TASKS).shards == MAX_TASKS
    for shards in (0, MAX_TASKS + 1):
        with refused(Reason.LIMIT_EXCEEDED, stage=Where.ADMIT):
            streams(counting, shards)
    with refused(Reason.BAD_PARAMETERS, stage=Where.ADMIT):
        streams(Screen(preset="ncic_name", resident_reference="ab" * 32))


def test_stages_that_need_a_plan_before_there_is_one() -> None:
    given = plan(
        [operation_of(Aggregate(keys={"SEX": ()})).message(Aggregate(keys={"SEX": ()}))], {"records": "person/1"}
    )
    unsound = of(with_outputs("one", SHARDS, "result"), PLAN)
    (counting,) = given.operations
    changed = replace(counting, operation=replace(counting.operation, stages=lambda _: unsound))
    with pytest.raises(ValueError, match="one comes before the plan"):
        TaskStreams.of(replace(given, operations=(changed,)), ("records",), shards=1)
