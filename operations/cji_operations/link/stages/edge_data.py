"""The contents of the streams between the stages of `link`: documents, arrays and columns of numbers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.documents import decode
from cji_core.format.records import arrow
from cji_core.operations.link.edges import DOCUMENT
from cji_core.operations.stages.stage import Edge
from cji_operations.stages.task import Task

ROWS: Final = 1 << 16
"""Of a batch."""
_PIECE: Final = 1 << 20
"""Bytes of an array in a batch."""

T = TypeVar("T")


def write_document(task: Task, edge: Edge, document: Any) -> None:
    """Write a msgspec structure, a list or a dictionary."""
    task.write(
        edge.name,
        pa.RecordBatch.from_arrays([pa.array([msgspec.json.encode(document)], pa.binary())], schema=DOCUMENT.arrow),
    )


def read_documents(task: Task, edge: Edge, kind: type[T]) -> list[T]:
    """One of each producer, in order. Raises: ValueError where one is none of this kind."""
    return [_decoded(batch.column(0)[0].as_py(), kind) for _, batch in task.read(edge.name)]


def _decoded(data: bytes, kind: type[T]) -> T:
    return decode(data, kind, limit=len(data))


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
        head, layout = _decoded(document.tobytes(), of)
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


def write(task: Task, edge: Edge, *columns: npt.NDArray[Any] | pa.Array, to: int = 0) -> None:
    """Write columns of one length."""
    for batch in batches(edge, *columns):
        task.write(edge.name, batch, to=to)


def batches(edge: Edge, *columns: npt.NDArray[Any] | pa.Array, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Batches of columns of one length."""
    arrays = [
        column if isinstance(column, pa.Array) else arrow.from_numpy(column, kind)
        for kind, column in zip(edge.schema.types, columns, strict=True)
    ]
    yield from arrow.cut(pa.RecordBatch.from_arrays(arrays, schema=edge.schema), rows)


def read_numbers(task: Task, edge: Edge) -> list[npt.NDArray[Any]]:
    """The columns of numbers of all producers, one after another."""
    return gathered(edge, (batch for _, batch in task.read(edge.name)))


def gathered(edge: Edge, found: Iterable[pa.RecordBatch]) -> list[npt.NDArray[Any]]:
    """The columns of numbers of all batches, one after another."""
    parts = [[arrow.numbers(column) for column in batch.columns] for batch in found]
    empty = [np.empty(0, kind.to_pandas_dtype()) for kind in edge.schema.types]
    return [np.concatenate(columns) for columns in zip(empty, *parts, strict=True)]
