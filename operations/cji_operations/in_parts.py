"""An operation in parts: stages of tasks that may run on different machines, and give what one machine gives.

The records of such a job are split into shards by their submitter. A task is one call of a stage's function, in a cell
of its own; it reads streams and writes streams, and knows nothing else of other tasks. An `Edge` is a family of streams
between two stages: one for each consumer, one that all consumers read, or one for the task of the same number. Streams
are Arrow batches, and are sealed whenever they leave a cell.

    records of shard t ─┐
    streams to task t  ─┼─▶ run(task) ─┬─▶ streams of its edges
    streams to all     ─┘              └─▶ shard t of the job's outputs

A stage's number of tasks is known from the start, or decided by the stage before it that `plans`. Tasks are
deterministic: same records, parameters, numbers of tasks and bucket key, same bytes. So any attempt of a task can stand
for another. The outputs must depend neither on the numbers of tasks nor on the bucket key.

Lengths of streams can be seen from outside. So values are divided among tasks by `Task.bucket_hash`, whose key is the
job's: without it nobody can tell which stream a value would be in.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa

from cji_core.format.records import RowStatus
from cji_core.progress import ProgressCallback
from cji_operations.kernels.hashing import Hashes
from cji_operations.operation import Context

MAX_TASKS: Final = 1024
"""Of a stage; so a task has at most this number of streams of an edge on either side."""

ROW_STATUS_OUTPUT: Final = "row_status"


class Width(enum.Enum):
    """The number of tasks of a stage."""

    ONE = "one"
    SHARDS = "shards"
    """One for each shard of the records."""
    PLANNED = "planned"
    """Decided by the stage that plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Streams of batches of `schema` that one stage writes and later stages read.

    `each`: a stream from every producer to every consumer; several stages may read it that have one number of tasks,
    and task t of each reads the streams to t. `aligned`: a stream from task t to task t of stages with as many tasks;
    a task hands on what another stage would have to make again. Otherwise every producer has one stream, which each
    task of the stages that read it gets whole.
    """

    name: str
    schema: pa.Schema
    each: bool = False
    aligned: bool = False


class Task(Protocol):
    """The inputs of a stage's function, once and in order, and its outputs."""

    @property
    def number(self) -> int:
        """Its number in its stage; in a stage of `Width.SHARDS`, that of its shard."""

    @property
    def tasks(self) -> Mapping[str, int]:
        """Tasks of each stage by name, as far as known: those that are planned, only after the stage that plans."""

    @property
    def parameters(self) -> Any:
        """Those of the operation."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the records, the same in all shards; not in a stage that reads nothing."""

    @property
    def context(self) -> Context:
        """As of an operation on one machine; side tables are those of `Stage.sides`."""

    @property
    def progress(self) -> ProgressCallback:
        """Of this task."""

    def records(self) -> Iterator[pa.RecordBatch]:
        """The batches of its shard, of a stage that reads records. They may be views that the next batch overwrites."""

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(producer, batch) of every stream of the edge to this task, by ascending producer. Batches stay as they are.

        Edges come in the order of `Stage.reads`, after the records and side tables; each can be read once, to its end.
        """

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        """Append to the stream of the edge to consumer `to`; 0 where a task has only one stream."""

    def bucket_hash(self, hashes: Hashes) -> Hashes:
        """uint64[n]: the keyed hash of each hash, the same in all tasks of the job. It divides values among tasks."""

    def plan(self, tasks: Mapping[str, int]) -> None:
        """Decide the tasks of every planned stage, 1 to MAX_TASKS. Once, in the stage that plans.

        Stages that read the same streams get the same number, and so do stages with an aligned edge between them.
        """

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        """Append to its shard of a job output: `result`, or a further part. The shards of a part are read in order.

        A shard without a batch has the columns of the output's schema. One of other columns needs an empty batch.
        """

    def status(self, status: RowStatus) -> None:
        """Append the status of the next rows of its shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of all its tasks. `outputs` are the job outputs that it writes, a shard for each of its tasks."""

    name: str
    width: Width
    run: Callable[[Task], None]
    records: bool = False
    """Whether task t reads shard t of the records; only in a stage of `Width.SHARDS`."""
    sides: tuple[str, ...] = ()
    """Side tables that every task reads whole; those that the job does not have are left out."""
    reads: tuple[str, ...] = ()
    """Edges, in the order in which they are read."""
    writes: tuple[Edge, ...] = ()
    plans: bool = False
    outputs: tuple[str, ...] = ()
    """`row_status` among them marks the stage that gives the status of rows; see `InParts.status_stage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InParts:
    """An operation as stages, in an order in which they can run. `Operation.in_parts` makes it of the parameters."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where stages and edges do not fit together: a programming error."""
        names = [stage.name for stage in self.stages]
        written = dict[str, Edge]()
        writers = dict[str, Width]()
        readers = dict[str, Width]()
        planned = False
        if not names or len(set(names)) != len(names):
            raise ValueError("stages need distinct names")
        for stage in self.stages:
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
        outputs = [name for stage in self.stages for name in stage.outputs]
        if len(set(outputs)) != len(outputs) or readers.keys() != written.keys():
            raise ValueError("an output is written twice, or an edge is never read")

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges; an edge's position is its number in the names of streams."""
        return tuple(edge for stage in self.stages for edge in stage.writes)

    @property
    def status_stage(self) -> Stage | None:
        """The stage that calls `Task.status`: that with the output `row_status`, else the last that reads records."""
        marked = [stage for stage in self.stages if ROW_STATUS_OUTPUT in stage.outputs]
        return next(reversed(marked or [stage for stage in self.stages if stage.records]), None)

    def consumers(self, edge: Edge) -> str | None:
        """The first stage to each of whose tasks a producer has a stream; None for an edge of one stream a producer."""
        return next(stage.name for stage in self.stages if edge.name in stage.reads) if edge.each else None
