"""The streams between the stages of `link`, and what they carry.

Columns differ from job to job and schemas of edges do not: a piece of a table is a batch of one row for each column,
with its numbers and bytes packed. What is small and has structure is one JSON document in a batch of one row.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_operations.in_parts import Edge, Task

ROWS: Final = 1 << 16
"""Of a batch."""
_PIECE: Final = 1 << 20
"""Bytes of an array in a batch."""

_DOCUMENT: Final = pa.schema([pa.field("document", pa.binary(), nullable=False)])
_ARRAYS: Final = pa.schema([pa.field("data", pa.binary(), nullable=False)])
_TABLE: Final = pa.schema(
    [
        pa.field("route", pa.uint16(), nullable=False),
        pa.field("column", pa.uint16(), nullable=False),
        *(pa.field(name, pa.binary(), nullable=False) for name in ("codes", "lengths", "values", "counts")),
    ]
)


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


SHARDS: Final = Edge(name="shards", schema=_DOCUMENT)
"""count to plan: `plan.Shard`."""
TALLIES: Final = Edge(
    name="tallies", schema=_schema(rule=pa.uint16(), key=pa.uint64(), rows=pa.uint32(), second=pa.uint32())
)
"""count to plan: rows with each key of a rule that may be left out."""
SLOTS: Final = Edge(name="slots", schema=_schema(key=pa.uint16(), rows=pa.binary()))
"""count to plan: uint32[`routes.SLOTS`], rows in each slot of a key."""
VALUES: Final = Edge(name="values", schema=_schema(column=pa.uint16(), value=pa.binary(), rows=pa.uint32()), each=True)
"""count to frequencies: rows with each value of a column, by the hash of the value."""
COLUMNS: Final = Edge(name="columns", schema=_ARRAYS, aligned=True)
"""count to split: the table of the shard, see `handed`."""
IDS: Final = Edge(
    name="ids", schema=pa.schema([pa.field("second", pa.bool_(), nullable=False), pa.field("id", pa.binary())])
)
"""count to cluster: the record id of every row."""
PLAN: Final = Edge(name="plan", schema=_DOCUMENT)
"""plan to most others: `plan.Planned`."""
FREQUENCIES: Final = Edge(name="frequencies", schema=_schema(column=pa.uint16(), rows=pa.uint32()), each=True)
"""frequencies to split: of all rows, in the order in which the shard sent its values."""
SQUARES: Final = Edge(name="squares", schema=_DOCUMENT)
"""frequencies to train: by column, the sum of the squares of frequencies."""
TABLE: Final = Edge(name="rows", schema=_TABLE, each=True)
"""split to observe: rows by route."""
RANDOM: Final = Edge(name="random", schema=_TABLE, each=True)
"""split to observe: the rows of random pairs."""
BOUND: Final = Edge(name="bound", schema=_ARRAYS, aligned=True)
"""observe to pairs: the table of each route, with the blocks of its rules; see `handed`."""
COUNTED: Final = Edge(name="counted", schema=_DOCUMENT)
"""observe to train: `buckets.Blocks` of each task."""
PATTERNS: Final = Edge(
    name="patterns",
    schema=_schema(rule=pa.uint16(), pattern=pa.int64(), pairs=pa.int64(), first=pa.int64()),
)
"""observe to train: patterns of each rule, of random pairs, and the pairs that deterministic rules find."""
MODEL: Final = Edge(name="model", schema=_DOCUMENT)
"""train to pairs and cluster: `buckets.Weighing`."""
PAIRS: Final = Edge(
    name="weighed", schema=_schema(left=pa.int32(), right=pa.int32(), pattern=pa.int64(), weight=pa.float64())
)
"""pairs to cluster: those that count."""
NEW_PAIRS: Final = Edge(name="new_pairs", schema=_DOCUMENT)
"""pairs to cluster: by blocking rule, how many pairs no rule before it has."""
LABELS: Final = Edge(name="labels", schema=_schema(cluster=pa.uint64()), each=True)
"""cluster to label: of every row of the shard."""

T = TypeVar("T")


def write_document(task: Task, edge: Edge, document: Any) -> None:
    """Write a msgspec structure, a list or a dictionary."""
    task.write(
        edge.name,
        pa.RecordBatch.from_arrays([pa.array([msgspec.json.encode(document)], pa.binary())], schema=_DOCUMENT),
    )


def read_documents(task: Task, edge: Edge, kind: type[T]) -> list[T]:
    """One of each producer, in order. Raises: ValueError where one is none of this kind."""
    return [msgspec.json.decode(batch.column(0)[0].as_py(), type=kind) for _, batch in task.read(edge.name)]


def write_arrays(task: Task, edge: Edge, head: Any, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Write a msgspec structure and arrays of any types and shapes."""
    layout = [(array.dtype.str, array.shape) for array in arrays]
    _write_bytes(task, edge, np.frombuffer(msgspec.json.encode((head, layout)), np.uint8))
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _PIECE):
            _write_bytes(task, edge, flat[start : start + _PIECE])


def _write_bytes(task: Task, edge: Edge, data: npt.NDArray[np.uint8]) -> None:
    whole = arrow.from_bytes(data, np.array([len(data)]), pa.binary())
    task.write(edge.name, pa.RecordBatch.from_arrays([whole], schema=edge.schema))


def read_arrays(task: Task, edge: Edge, kind: type[T]) -> Iterator[tuple[T, list[npt.NDArray[Any]]]]:
    """The structure and the arrays of each call of `write_arrays`. Raises: ValueError for anything else."""
    of: Any = tuple[kind, list[tuple[str, list[int]]]]  # type: ignore[valid-type]
    texts = (arrow.text(batch.column(0)) for _, batch in task.read(edge.name))
    pieces = (data[offsets[0] : offsets[-1]] for offsets, data in texts)
    for document in pieces:
        head, layout = msgspec.json.decode(document.tobytes(), type=of)
        arrays = list[npt.NDArray[Any]]()
        for code, shape in layout:
            array = np.empty(shape, np.dtype(code))
            flat, at = array.reshape(-1).view(np.uint8), 0
            while at < len(flat):
                piece = next(pieces, flat[:0])
                if not 0 < len(piece) <= len(flat) - at:
                    raise ValueError("an array without its end")
                flat[at : at + len(piece)] = piece
                at += len(piece)
            arrays.append(array)
        yield head, arrays


def batches(edge: Edge, *columns: npt.NDArray[Any] | pa.Array, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Batches of columns of one length."""
    arrays = [
        column if isinstance(column, pa.Array) else arrow.from_numpy(column, kind)
        for kind, column in zip(edge.schema.types, columns, strict=True)
    ]
    yield from arrow.cut(pa.RecordBatch.from_arrays(arrays, schema=edge.schema), rows)


def read_numbers(task: Task, edge: Edge) -> list[npt.NDArray[Any]]:
    """The columns of numbers of all producers, one behind the other."""
    return gathered(edge, (batch for _, batch in task.read(edge.name)))


def gathered(edge: Edge, found: Iterable[pa.RecordBatch]) -> list[npt.NDArray[Any]]:
    """The columns of numbers of all batches, one behind the other."""
    parts = [[arrow.numbers(column) for column in batch.columns] for batch in found]
    empty = [np.empty(0, kind.to_pandas_dtype()) for kind in edge.schema.types]
    return [np.concatenate(columns) for columns in zip(empty, *parts, strict=True)]
