"""The stages of an operation over many machines, declared: their tasks give what one machine gives.

The records of such a job are split into shards by their submitter. A task is one call of a stage's function, in a cell
of its own; it reads streams and writes streams, and knows nothing else of other tasks. An `Edge` is a family of streams
between two stages: one for each consumer, one that all consumers read, or one for the task of the same number. Streams
are Arrow batches, and are sealed whenever they leave a cell.

    records of shard t ─┐
    streams to task t  ─┼─▶ function ──┬─▶ streams of its edges
    streams to all     ─┘              └─▶ shard t of the job's outputs

The functions of stages are in `cji_operations`; what they are given is a `cji_operations.stages.task.Task`.

A stage's number of tasks is known from the start, or decided by the stage before it that `plans`. Tasks are
deterministic: same records, parameters, numbers of tasks and bucket key, same bytes. So any attempt of a task can stand
for another. The outputs must depend neither on the numbers of tasks nor on the bucket key.

Lengths of streams can be seen from outside. So values are divided among tasks by `Task.bucket_hash`, whose key is the
job's: without it nobody can tell which stream a value would be in.
"""

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cji_core.format.records.declared import Fields

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TASKS: Final = 1024
"""Of a stage; so a task has at most this number of streams of an edge on either side."""

RESULT_OUTPUT: Final = "result"
ROW_STATUS_OUTPUT: Final = "row_status"
PLAN_STAGE: Final = "plan"
"""The first stage of operations that have none that plans."""


class Width(enum.Enum):
    """The number of tasks of a stage."""

    ONE = "one"
    SHARDS = "shards"
    """One for each shard of the records."""
    PLANNED = "planned"
    """Decided by the stage that plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Streams of batches of these `fields` that one stage writes and later stages read.

    `each`: a stream from every producer to every consumer; several stages may read it that have one number of tasks,
    and task t of each reads the streams to t. `aligned`: a stream from task t to task t of stages with as many tasks;
    a task hands on what another stage would have to make again. Otherwise every producer has one stream, which each
    task of the stages that read it gets whole.
    """

    name: str
    fields: Fields
    each: bool = False
    aligned: bool = False

    @property
    def schema(self) -> "pa.Schema":
        """The schema of its batches."""
        return self.fields.arrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of all its tasks. `outputs` are the job outputs that it writes, a shard for each of its tasks."""

    name: str
    width: Width
    records: bool = False
    """Whether task t reads shard t of the records; only in a stage of `Width.SHARDS`."""
    sides: tuple[str, ...] = ()
    """Side tables that every task reads whole; those that the job does not have are left out."""
    reads: tuple[str, ...] = ()
    """Edges, in the order in which they are read."""
    writes: tuple[Edge, ...] = ()
    plans: bool = False
    outputs: tuple[str, ...] = ()
    """`row_status` among them marks the stage that gives the status of rows; see `Stages.status_stage`."""


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of an operation, in an order in which they can run; `Operation.stages` makes them."""

    in_order: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where stages and edges do not fit together: a programming error."""
        names = [stage.name for stage in self.in_order]
        written = dict[str, Edge]()
        writers = dict[str, Width]()
        readers = dict[str, Width]()
        planned = False
        if not names or len(set(names)) != len(names):
            raise ValueError("stages need distinct names")
        for stage in self.in_order:
            for name in stage.reads:
                width = readers.setdefault(name, stage.width)
                if name not in written or (written[name].each and width is not stage.width):
                    raise ValueError(f"{stage.name} cannot read {name}")
                if written[name].aligned and (written[name].each or writers[name] is not stage.width):
                    raise ValueError(f"{stage.name} is not as wide as what writes {name}")
            if stage.records and stage.width is not Width.SHARDS:
                raise ValueError(f"{stage.name} reads records and is not as wide as they are")
            if (stage.width is Width.PLANNED and not planned) or (
                stage.plans and (planned or stage.width is not Width.ONE)
            ):
                raise ValueError(f"{stage.name} plans again, or is several tasks")
            planned = planned or stage.plans
            for edge in stage.writes:
                if edge.name in written:
                    raise ValueError(f"{edge.name} is written twice")
                written[edge.name], writers[edge.name] = edge, stage.width
        outputs = [name for stage in self.in_order for name in stage.outputs]
        if len(set(outputs)) != len(outputs) or readers.keys() != written.keys():
            raise ValueError("an output is written twice, or an edge is never read")

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges; an edge's position is its number in the names of streams."""
        return tuple(edge for stage in self.in_order for edge in stage.writes)

    @property
    def status_stage(self) -> Stage | None:
        """The stage that calls `Task.status`: that with the output `row_status`, else the last that reads records."""
        marked = [stage for stage in self.in_order if ROW_STATUS_OUTPUT in stage.outputs]
        return next(reversed(marked or [stage for stage in self.in_order if stage.records]), None)

    def consumers(self, edge: Edge) -> str | None:
        """The first stage to each of whose tasks a producer has a stream; None for an edge of one stream a producer."""
        return next(stage.name for stage in self.in_order if edge.name in stage.reads) if edge.each else None
