"""Streams between the tasks of an operation in parts, as columns."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.stages.stage import Edge
from cji_operations.stages.task import Task

_BATCH: Final = 16_384


def read_columns(task: Task, edge: Edge) -> list[pa.Array]:
    """The columns of all streams of an edge, one after another, in memory of their own."""
    return joined([arrow.own(batch) for _, batch in task.read(edge.name)], edge)


def joined(batches: Sequence[pa.RecordBatch], edge: Edge) -> list[pa.Array]:
    """The columns of some batches of an edge."""
    kinds = enumerate(edge.schema.types)
    return [arrow.concat((batch.column(i) for batch in batches), kind) for i, kind in kinds]


def write_columns(task: Task, edge: Edge, columns: Sequence[pa.Array | npt.NDArray[Any]], *, to: int = 0) -> None:
    """Append these columns to one stream of an edge."""
    arrays = [column if isinstance(column, pa.Array) else arrow.from_numpy(column) for column in columns]
    for batch in arrow.cut(pa.RecordBatch.from_arrays(arrays, schema=edge.schema), _BATCH):
        task.write(edge.name, batch, to=to)


def write_each(task: Task, edge: Edge, columns: Sequence[pa.Array], target: Ints) -> None:
    """Append each row to the stream to its task, `target` int64[n]."""
    for to in np.unique(target).tolist():
        chosen = arrow.from_numpy(np.flatnonzero(target == to))
        write_columns(task, edge, [column.take(chosen) for column in columns], to=to)
