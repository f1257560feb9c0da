"""A task by its signed header: which tasks there are, and what both witnesses of one must state."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cji_core.errors import Reason, Refusal
from cji_core.format.envelope import seal_result_key
from cji_core.format.job import encode_plan, plan_facts
from cji_core.format.job.result_header import result_header
from cji_core.operations.stages.streams import EdgeStream, PartStream, TaskStreams
from cji_core.strict import b64url
from cji_core.trail import DisagreementAbout
from cji_worker.ipc.messages import CountedPart, SealedPart, Summary, TaskOrder, Witnessed
from cji_worker.keyholder import tasks
from cji_worker.keyholder.tasks import AdmittedTask, agree_task
from cji_worker.keyholder.witnesses import Disagreement
from tests.support.column_keys import sealed
from tests.support.refusals import refused
from tests.support.task_statements import ROWS, Honest

HONEST = Honest()


def task(name: str, number: int = 0) -> AdmittedTask:
    stage = HONEST.job.stage(name)
    assert stage is not None
    return AdmittedTask(
        job=HONEST.job,
        stage=stage,
        number=number,
        plan=HONEST.plan if HONEST.job.is_planned(stage) else None,
        inputs=HONEST.job.read_by(stage, number),
        outputs=HONEST.job.written_by(stage, number),
    )


def counted(number: int, length: int = 4096) -> CountedPart:
    return CountedPart(segments=1, bytes=length, tags_sha256=bytes([number]) * 32)


def statements(of: AdmittedTask, **changes: Any) -> tuple[Summary, Witnessed]:
    """What honest witnesses state."""
    inputs = tuple(counted(n) for n, _ in enumerate(of.inputs))
    outputs = tuple(counted(100 + n) for n, _ in enumerate(of.outputs))
    names = [stream.name for stream in of.outputs if isinstance(stream, PartStream)]
    rows = {"result": 7, "row_status": ROWS, "seen": 2}
    values = {
        "inputs": inputs,
        "outputs": outputs,
        "result_header": b"",
        "rows_in": ROWS if of.stage.records else 0,
        "rows_out": tuple(rows[name] for name in names),
        "plan": HONEST.plan.data if of.stage.plans else b"",
        **changes,
    }
    front = Witnessed(
        call=1,
        inputs=tuple(SealedPart(sha256=bytes(32), counted=each) for each in inputs),
        outputs=tuple(SealedPart(sha256=bytes(32), counted=each) for each in outputs),
        result_header_sha384=bytes(48),
    )
    return Summary(**values), front


def test_the_facts_are_those_of_both() -> None:
    for stage, number in HONEST.places:
        own = task(stage.name, number)
        cell, front = statements(own)
        agreed = agree_task(HONEST.header, HONEST.planned, own, cell=cell, front=front)
        assert [part.part for part in agreed.parts_in] == [s.part for s in own.inputs if isinstance(s, PartStream)]
        assert [s.edge for s in agreed.streams_out] == [s.edge for s in own.outputs if isinstance(s, EdgeStream)]
        assert (agreed.plan is not None) is stage.plans
        assert all(part.sha256 == b64url(bytes(32)) for part in (*agreed.parts_in, *agreed.parts_out))
        assert agreed.rows_status == (ROWS if stage.name == "label" else 0)


def test_a_task_states_no_rows_out_of_sealed_columns() -> None:
    header = dataclasses.replace(HONEST.header, column_keys=(sealed(),))
    own = task("label")
    cell, front = statements(own)
    plain = agree_task(HONEST.header, HONEST.planned, own, cell=cell, front=front)
    agreed = agree_task(header, HONEST.planned, own, cell=cell, front=front)
    assert (plain.rows_out, plain.rows_in) == (7, ROWS)
    assert agreed == dataclasses.replace(plain, rows_out=0, subjects_out=0)
    assert plain.subjects_out > 0


def _first(parts: tuple[CountedPart, ...], **changes: Any) -> tuple[CountedPart, ...]:
    return (replace(parts[0], **changes), *parts[1:])


LIES: dict[str, tuple[str, DisagreementAbout, Callable[[Summary], Summary]]] = {
    "tags of an input": ("split", "inputs", lambda s: replace(s, inputs=_first(s.inputs, tags_sha256=b"x" * 32))),
    "an input less": ("split", "inputs", lambda s: replace(s, inputs=s.inputs[1:])),
    "no input": ("count", "inputs", lambda s: replace(s, inputs=())),
    "tags of an output": ("split", "outputs", lambda s: replace(s, outputs=_first(s.outputs, tags_sha256=bytes(32)))),
    "bytes of an output": ("split", "outputs", lambda s: replace(s, outputs=_first(s.outputs, bytes=8192))),
    "an output more": ("split", "outputs", lambda s: replace(s, outputs=(*s.outputs, s.outputs[0]))),
    "outputs exchanged": ("split", "outputs", lambda s: replace(s, outputs=s.outputs[::-1])),
    "more rows than bytes": ("label", "rows", lambda s: replace(s, rows_in=10**6)),
    "more results than bytes": ("label", "rows", lambda s: replace(s, rows_out=(10**6, *s.rows_out[1:]))),
    "rows of no output": ("label", "rows", lambda s: replace(s, rows_out=(*s.rows_out, 0))),
    "rows without records": ("bucket", "rows", lambda s: replace(s, rows_in=1)),
    "no plan": ("plan", "plan", lambda s: replace(s, plan=b"")),
    "a plan of fewer tasks": (
        "plan",
        "plan",
        lambda s: replace(s, plan=s.plan.replace(b"label\x10\x02", b"label\x10\x01")),
    ),
    "a plan of another job": ("plan", "plan", lambda s: replace(s, plan=Honest(shards=3).plan.data)),
    "a plan by another stage": ("split", "plan", lambda s: replace(s, plan=HONEST.plan.data)),
}


@pytest.mark.parametrize("lie", LIES)
def test_neither_states_anything_alone(lie: str) -> None:
    name, about, change = LIES[lie]
    own = task(name)
    cell, front = statements(own)
    changed = change(cell)
    assert changed != cell
    with pytest.raises(Disagreement) as caught:
        agree_task(HONEST.header, HONEST.planned, own, cell=changed, front=front)
    assert caught.value.about == (about,)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
def test_both_witnesses_may_leave_out_the_same_stream(name: DisagreementAbout) -> None:
    own = task("split")
    cell, front = statements(own)
    less = {name: getattr(cell, name)[1:]}, {name: getattr(front, name)[1:]}
    with pytest.raises(Disagreement) as caught:
        agree_task(HONEST.header, HONEST.planned, own, cell=replace(cell, **less[0]), front=replace(front, **less[1]))
    assert caught.value.about == (name,)


def order(**changes: Any) -> TaskOrder:
    values = {"plan": HONEST.plan.data, "stage": "bucket", "task": 1, "streams": 2, **changes}
    return TaskOrder(**values)


def test_a_task_of_the_job() -> None:
    own = tasks.task_of(HONEST.header, HONEST.planned, order())
    assert (own.stage.name, own.number, own.small_inputs, own.small_outputs) == ("bucket", 1, 0, 1)
    assert own.plan_sha384 == HONEST.plan.sha384
    first = tasks.task_of(HONEST.header, HONEST.planned, order(plan=b"", stage="count", task=0, streams=1))
    assert (first.small_inputs, first.small_outputs, first.plan_sha384) == (1, 1, bytes(48))


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "other"},
        {"task": 2},
        {"streams": 3},
        {"plan": b""},
        {"plan": HONEST.plan.data[:-1]},
        {"plan": HONEST.plan.data + b"\x30\x01"},
        {"plan": Honest(shards=3).plan.data},
        {"stage": "count", "task": 0, "streams": 1},
        {"stage": "plan", "task": 0, "streams": 2},
    ],
)
def test_no_task_of_the_job(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        tasks.task_of(HONEST.header, HONEST.planned, order(**changes))
    assert caught.value.reason is Reason.BAD_PARAMETERS


def test_a_plan_opens_with_its_data_key_only() -> None:
    tasks.check_plan(HONEST.plan, bytes(range(32)))
    with pytest.raises(Refusal):
        tasks.check_plan(HONEST.plan, bytes(32))


@pytest.mark.parametrize("wrong", ["header", "tasks", "result header"])
def test_a_plan_of_something_else_is_refused(wrong: str) -> None:
    before = TaskStreams.of(HONEST.planned, ["records"], shards=HONEST.shards)
    other = result_header(
        HONEST.header,
        worker_id="another",
        outputs=tasks.outputs_of(HONEST.job),
        wrapped_keys=[bytes(384) for _ in HONEST.header.recipients],
    )
    facts = plan_facts(
        bytes(48) if wrong == "header" else HONEST.header.sha384,
        before.tasks if wrong == "tasks" else HONEST.job.tasks,
        other if wrong == "result header" else HONEST.plan.result_header,
    )
    data = encode_plan(facts, seal_result_key(bytes(range(32)), facts, bytes(32)))
    with refused(Reason.BAD_PARAMETERS):
        tasks.plan_of(HONEST.header, HONEST.planned, data)
    assert tasks.plan_of(HONEST.header, HONEST.planned, HONEST.plan.data)[0] == HONEST.job
