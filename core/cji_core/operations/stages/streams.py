"""The tasks of a job in parts, and the sealed streams of each task, in the order in which it reads and writes them.

Everybody derives them from the same three things: the operation, the shards of the records, and the plan. So nobody
who hands streams around can give a task other streams than these: its cell counts on exactly these names.

    in    side tables · its shard of the records · the edges that it reads, each by ascending producer
    out   the edges that it writes, each by ascending consumer · its shards of the job's outputs

Side tables come first because a stage has them whole from its start. Parts of the job are numbered over all inputs in
order, and over all outputs in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cji_core.errors import LIMITS, Limit, Reason, Refusal
from cji_core.errors import Stage as Where
from cji_core.format.columns import ColumnEncryption
from cji_core.format.job import Header, SealedOutput
from cji_core.operations.declaration import OutputSpec
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.registry import Plan, Planned
from cji_core.operations.stages.stage import MAX_TASKS, PLAN_STAGE, ROW_STATUS_OUTPUT, Edge, Stage, Stages, Width

TO_ALL: Final = 0xFFFF_FFFF
"""The consumer of a producer's only stream: all tasks get it whole, or of an aligned edge, the task of its number."""
MAX_STREAMS: Final = LIMITS[Limit.STREAMS].value or 0
"""Of shuffle streams in one job; bounds anyone who compares them."""
MAX_TASK_STREAMS: Final = 1 << 12
"""Of one task, either way."""


@dataclass(frozen=True, slots=True)
class PartStream:
    """A part of the job: of an input, or of an output."""

    part: int
    name: str


@dataclass(frozen=True, slots=True)
class EdgeStream:
    """A shuffle stream. `planned`: its producer runs under the plan, and so its name and key contain the plan."""

    edge: int
    producer: int
    consumer: int
    planned: bool


Stream: TypeAlias = PartStream | EdgeStream


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStreams:
    """The tasks of one job, as far as they are known: before the plan, only those up to the stage that plans."""

    stages: Stages
    inputs: tuple[str, ...]
    outputs: tuple[OutputSpec, ...]
    shards: int
    tasks: Mapping[str, int]

    @classmethod
    def of(cls, plan: Plan, inputs: Sequence[str], *, shards: int) -> "TaskStreams":
        """The tasks before there is a plan; `inputs` are the names of the job's inputs, the records last.

        Raises at ADMIT BAD_PARAMETERS for a job that cannot run in parts: it needs one operation, which has stages, and
        no resident reference.
        """
        if not 1 <= shards <= MAX_TASKS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Where.ADMIT, limit=Limit.SHARDS)
        stages = with_plan_stage(_stages(plan.operations)) if plan.reference is None else None
        if stages is None:
            raise bad_parameters(Where.ADMIT)
        _require_sound(stages)
        widths = {Width.ONE: 1, Width.SHARDS: shards}
        tasks = {stage.name: widths[stage.width] for stage in stages.in_order if stage.width in widths}
        return cls(stages=stages, inputs=tuple(inputs), outputs=plan.outputs, shards=shards, tasks=tasks)

    @classmethod
    def of_job(cls, plan: Plan, header: Header) -> "TaskStreams":
        """The tasks of the job with this header, before there is a plan. Raises as `of`.

        BAD_PARAMETERS also where an output is sealed deterministically: its cells are looked up among those that the
        job has opened, and no task opens all of them.
        """
        if any(_is_deterministic(header, output) for output in header.sealed_outputs):
            raise bad_parameters(Where.ADMIT)
        return cls.of(plan, list(header.input_schemas), shards=header.inputs[-1].shards)

    @property
    def planning(self) -> int:
        """The position of the stage that plans."""
        return next(at for at, stage in enumerate(self.stages.in_order) if stage.plans)

    @property
    def to_plan(self) -> tuple[str, ...]:
        """The stages whose number of tasks the plan decides."""
        return tuple(stage.name for stage in self.stages.in_order if stage.width is Width.PLANNED)

    def under(self, planned: Mapping[str, int]) -> "TaskStreams":
        """The same job with the planned stages' numbers of tasks. Raises ValueError for others, or other numbers.

        Raises at COMPUTE LIMIT_EXCEEDED for more streams than a job may have.
        """
        fits = all(1 <= number <= MAX_TASKS for number in planned.values())
        if set(planned) != set(self.to_plan) or not fits:
            raise ValueError("a plan that does not fit the stages")
        job = replace(
            self, tasks={stage.name: ({**self.tasks, **planned})[stage.name] for stage in self.stages.in_order}
        )
        if not all(job.is_aligned(edge) for edge in job.stages.edges if edge.aligned):
            raise ValueError("a plan that does not fit the stages")
        streams = sum(
            job.tasks[stage.name] * sum(job.width(edge) for edge in stage.writes) for stage in job.stages.in_order
        )
        each = max(max(len(job.read_by(s, 0)), len(job.written_by(s, 0))) for s in job.stages.in_order)
        if streams > MAX_STREAMS or each > MAX_TASK_STREAMS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Where.COMPUTE, limit=Limit.STREAMS)
        return job

    def stage(self, name: str) -> Stage | None:
        """The stage of this name."""
        return next((stage for stage in self.stages.in_order if stage.name == name), None)

    def position(self, stage: Stage) -> int:
        """Its position among the stages."""
        return self.stages.in_order.index(stage)

    def is_planned(self, stage: Stage) -> bool:
        """Whether its tasks run under the plan."""
        return self.position(stage) > self.planning

    def width(self, edge: Edge) -> int:
        """Streams of one producer."""
        consumers = self.stages.consumers(edge)
        return 1 if consumers is None else self.tasks[consumers]

    def output_shards(self) -> tuple[int, ...]:
        """The number of shards of each output, once there is a plan."""
        return tuple(self.tasks[self._writer(output.name).name] for output in self.outputs)

    def read_by(self, stage: Stage, number: int) -> tuple[Stream, ...]:
        """The input streams of a task."""
        *names, records = self.inputs
        streams: list[Stream] = [PartStream(at, name) for at, name in enumerate(names) if name in stage.sides]
        streams += [PartStream(len(names) + number, records)] if stage.records else []
        for name in stage.reads:
            at, edge, producers = self._edge(name)
            consumer = number if edge.each else TO_ALL
            planned = self.is_planned(producers)
            every = (number,) if edge.aligned else range(self.tasks[producers.name])
            streams += [EdgeStream(at, producer, consumer, planned) for producer in every]
        return tuple(streams)

    def written_by(self, stage: Stage, number: int) -> tuple[Stream, ...]:
        """The output streams of a task."""
        streams: list[Stream] = []
        planned = self.is_planned(stage)
        for edge in stage.writes:
            at = self.stages.edges.index(edge)
            each = range(self.width(edge)) if edge.each else (TO_ALL,)
            streams += [EdgeStream(at, number, consumer, planned) for consumer in each]
        first = 0
        for output in self.outputs:
            writer = self._writer(output.name)
            if writer is stage:
                streams.append(PartStream(first + number, output.name))
            first += self.tasks.get(writer.name, 0)
        return tuple(streams)

    def is_aligned(self, edge: Edge) -> bool:
        """Whether the stages on both sides of the edge have as many tasks."""
        between = (stage for stage in self.stages.in_order if edge in stage.writes or edge.name in stage.reads)
        return len({self.tasks[stage.name] for stage in between}) == 1

    def _edge(self, name: str) -> tuple[int, Edge, Stage]:
        """(its number, the edge, the stage that writes it)."""
        return next(
            (self.stages.edges.index(edge), edge, stage)
            for stage in self.stages.in_order
            for edge in stage.writes
            if edge.name == name
        )

    def _writer(self, output: str) -> Stage:
        """The stage that writes an output. Raises ValueError if there is none: a programming error."""
        found = self.stages.status_stage if output == ROW_STATUS_OUTPUT else None
        found = found or next((stage for stage in self.stages.in_order if output in stage.outputs), None)
        if found is None:
            raise ValueError(f"no stage writes {output}")
        return found


def with_plan_stage(stages: Stages | None) -> Stages | None:
    """The same stages, behind one that plans nothing if none of them plans."""
    if stages is None or any(stage.plans for stage in stages.in_order):
        return stages
    first = Stage(name=PLAN_STAGE, width=Width.ONE, plans=True)
    return Stages(in_order=(first, *stages.in_order))


def _require_sound(stages: Stages) -> None:
    """Raise ValueError for stages up to the plan that would need it: a programming error."""
    late = {stage.name for stage in stages.in_order if stage.width is Width.PLANNED}
    for stage in stages.in_order:
        if stage.outputs or stage is stages.status_stage or any(stages.consumers(e) in late for e in stage.writes):
            raise ValueError(f"{stage.name} comes before the plan, and needs it")
        if stage.plans:
            return


def _is_deterministic(header: Header, output: SealedOutput) -> bool:
    stated = header.column_keys[output.column_keys].statement.column(output.as_column)
    return stated is not None and stated.encryption is ColumnEncryption.DETERMINISTIC


def _stages(operations: Sequence[Planned]) -> Stages | None:
    if len(operations) != 1:
        return None
    (only,) = operations
    return only.operation.stages(only.parameters)
