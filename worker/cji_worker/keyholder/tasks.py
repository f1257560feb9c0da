"""Tasks of jobs in parts: which task a caller means, what both witnesses of it vouch for, and what its statement says.

The caller is the fleet process, which is not trusted. It names a stage, a number and a plan; everything else follows
from the signed header. A plan must be one that this job can have before a key is opened, and must then open with the
job's data key: only a cell of this job, or its submitter, can have made it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import NO_PLAN, open_result_key
from cji_core.format.job import Header, JobPlan, OutputPart, parse_plan
from cji_core.operations.registry import SCHEMAS, Plan
from cji_core.operations.stages.stage import Stage as PartStage
from cji_core.operations.stages.streams import EdgeStream, PartStream, Stream, TaskStreams
from cji_core.operations.volumes import RESULT, ROW_STATUS, subjects_output
from cji_core.strict import b64url
from cji_core.trail import DisagreementAbout, StatedPart, StatedStream
from cji_worker.ipc.messages import CountedPart, SealedPart, Summary, TaskOrder, Witnessed
from cji_worker.keyholder.witnesses import Disagreement, own_result_header, plain_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedTask:
    """A task of a job that can run in parts, with its streams; `plan` is None up to the stage that plans."""

    job: TaskStreams
    stage: PartStage
    number: int
    plan: JobPlan | None
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]

    @property
    def plan_sha384(self) -> bytes:
        """Of the plan, or 48 zero bytes."""
        return NO_PLAN if self.plan is None else self.plan.sha384

    @property
    def small_inputs(self) -> int:
        """The number of the first input that is a shuffle stream."""
        return len([stream for stream in self.inputs if isinstance(stream, PartStream)])

    @property
    def small_outputs(self) -> int:
        """The number of outputs that are shuffle streams: the first ones."""
        return len([stream for stream in self.outputs if isinstance(stream, EdgeStream)])


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedTask:
    """The facts about a task that both witnesses vouch for; `plan` is the one that it made."""

    parts_in: tuple[StatedPart, ...]
    streams_in: tuple[StatedStream, ...]
    streams_out: tuple[StatedStream, ...]
    parts_out: tuple[StatedPart, ...]
    rows_in: int
    rows_out: int
    rows_status: int
    subjects_out: int
    plan: JobPlan | None


def streams_of(header: Header, planned: Plan) -> TaskStreams:
    """The tasks of a job before its plan. Raises BAD_PARAMETERS at ADMIT for a job that cannot run in parts."""
    return TaskStreams.of_job(planned, header)


def plan_of(header: Header, planned: Plan, data: bytes) -> tuple[TaskStreams, JobPlan]:
    """The plan in these bytes, and the tasks under it. Raises BAD_PARAMETERS at ADMIT unless this job can have it."""
    plan, job = parse_plan(data), streams_of(header, planned)
    try:
        job = job.under({name: plan.tasks.get(name, 0) for name in job.to_plan})
    except ValueError:
        raise _refused() from None
    if plan.header_sha384 != header.sha384 or list(plan.tasks.items()) != list(job.tasks.items()):
        raise _refused()
    if own_result_header(header, outputs_of(job), header.audience, plan.result_header) != plan.result_header:
        raise _refused()
    return job, plan


def outputs_of(job: TaskStreams) -> list[OutputPart]:
    """The outputs of a job under its plan, with their shards."""
    shards = job.output_shards()
    return [
        OutputPart(name=part.name, schema=part.schema.schema_id, shards=each)
        for part, each in zip(job.outputs, shards, strict=True)
    ]


def task_of(header: Header, planned: Plan, order: TaskOrder) -> AdmittedTask:
    """The task that the caller means. Raises BAD_PARAMETERS at ADMIT if this job has no such task, or other streams."""
    job, plan = plan_of(header, planned, order.plan) if order.plan else (streams_of(header, planned), None)
    stage = job.stage(order.stage)
    if stage is None or job.is_planned(stage) is (plan is None) or order.task >= job.tasks[stage.name]:
        raise _refused()
    inputs, outputs = job.read_by(stage, order.task), job.written_by(stage, order.task)
    if order.streams != len(inputs):
        raise _refused()
    return AdmittedTask(job=job, stage=stage, number=order.task, plan=plan, inputs=inputs, outputs=outputs)


def check_plan(plan: JobPlan, dek: bytes) -> None:
    """Raise BAD_PARAMETERS at ADMIT for a plan that no holder of the job's data key made, or that was altered since."""
    try:
        open_result_key(dek, plan.facts, plan.sealed_result_key)
    except Refusal:
        raise _refused() from None


def agree_task(header: Header, planned: Plan, task: AdmittedTask, *, cell: Summary, front: Witnessed) -> AgreedTask:
    """The facts about this task. Raises Disagreement.

    The statements have the streams of the task in its order. A plan is checked as one that a caller sends.
    """
    plan = _made_plan(header, planned, cell.plan) if task.stage.plans else None
    rows = _rows(task, cell)
    about = tuple(_differences(header, task, cell, front, rows))
    if about or (task.stage.plans and plan is None) or (cell.plan and not task.stage.plans):
        raise Disagreement(about or ("plan",))
    subjects = subjects_output({output.name: output.schema.schema_id for output in planned.outputs})
    if header.column_keys:  # as in a receipt (`cji_core.operations.volumes`)
        rows |= {RESULT: 0, subjects: 0}
    return AgreedTask(
        parts_in=tuple(_parts(task.inputs, front.inputs)),
        streams_in=tuple(_streams(task.inputs, front.inputs)),
        streams_out=tuple(_streams(task.outputs, front.outputs)),
        parts_out=tuple(_parts(task.outputs, front.outputs)),
        rows_in=cell.rows_in,
        rows_out=rows.get(RESULT, 0),
        rows_status=rows.get(ROW_STATUS, 0),
        subjects_out=rows.get(subjects, 0),
        plan=plan,
    )


def _made_plan(header: Header, planned: Plan, data: bytes) -> JobPlan | None:
    try:
        return plan_of(header, planned, data)[1]
    except Refusal:
        return None


def _rows(task: AdmittedTask, cell: Summary) -> dict[str, int]:
    """Rows by output, as far as there are as many counts as outputs."""
    names = [stream.name for stream in task.outputs if isinstance(stream, PartStream)]
    return dict(zip(names, cell.rows_out, strict=False)) if len(names) == len(cell.rows_out) else {}


def _differences(
    header: Header, task: AdmittedTask, cell: Summary, front: Witnessed, rows: dict[str, int]
) -> Iterator[DisagreementAbout]:
    inputs, outputs = _same(task.inputs, cell.inputs, front.inputs), _same(task.outputs, cell.outputs, front.outputs)
    if not inputs:
        yield "inputs"
    if not outputs:
        yield "outputs"
    if inputs and outputs and not _possible(header, task, cell, rows):
        yield "rows"


def _same(streams: Sequence[Stream], cell: Sequence[CountedPart], front: Sequence[SealedPart]) -> bool:
    return len(cell) == len(streams) and list(cell) == [part.counted for part in front]


def _possible(header: Header, task: AdmittedTask, cell: Summary, rows: dict[str, int]) -> bool:
    """Whether the rows fit the bytes of the parts that they are in."""
    specs = {output.name: output.schema for output in task.job.outputs}
    sealed = zip(task.outputs, cell.outputs, strict=True)
    counted = {stream.name: part for stream, part in sealed if isinstance(stream, PartStream)}
    if rows.keys() != counted.keys():
        return False
    held = [(rows[name], specs[name], part) for name, part in counted.items()]
    if task.stage.records:
        shard = cell.inputs[task.small_inputs - 1]
        held.append((cell.rows_in, SCHEMAS[header.inputs[-1].schema], shard))
    elif cell.rows_in:
        return False
    return all(n * schema.least_row_bits <= 8 * plain_bytes([part]) for n, schema, part in held)


def _parts(streams: Sequence[Stream], sealed: Sequence[SealedPart]) -> Iterator[StatedPart]:
    for stream, part in zip(streams, sealed, strict=True):
        if isinstance(stream, PartStream):
            yield StatedPart(
                part=stream.part,
                segments=part.counted.segments,
                bytes=part.counted.bytes,
                tags_sha256=b64url(part.counted.tags_sha256),
                sha256=b64url(part.sha256),
            )


def _streams(streams: Sequence[Stream], sealed: Sequence[SealedPart]) -> Iterator[StatedStream]:
    for stream, part in zip(streams, sealed, strict=True):
        if isinstance(stream, EdgeStream):
            yield StatedStream(
                edge=stream.edge,
                producer=stream.producer,
                consumer=stream.consumer,
                segments=part.counted.segments,
                bytes=part.counted.bytes,
                tags_sha256=b64url(part.counted.tags_sha256),
            )


def _refused() -> Refusal:
    return Refusal(Reason.BAD_PARAMETERS, stage=Stage.ADMIT)
