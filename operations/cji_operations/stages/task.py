"""The task that a stage's function is given: its inputs, once and in order, and its outputs."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa

from cji_core.format.records import RowStatus
from cji_operations.kernels.hashing import Hashes
from cji_operations.progress import ProgressCallback

if TYPE_CHECKING:
    from cji_operations.operation import Context


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
    def context(self) -> "Context":
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


StageFunction: TypeAlias = Callable[[Task], None]
StageFunctions: TypeAlias = Mapping[str, StageFunction]
"""By the names of stages."""


def plan_nothing(task: Task) -> None:
    """The function of `PLAN_STAGE`."""
    task.plan({})
