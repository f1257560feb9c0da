"""The operations of a job, one after another, and what became of every row.

Records come in batch by batch. An operation of scope `batch` hands each on at once; one of scope `table` keeps them
until the input is at its end. Whatever drops rows or moves columns, the status of a row and the columns that it names
stay those of the job's input: a `_Slice` carries a piece of the input's rows with the judgement on each of them. So do
the rows that an operation's outputs name in a column `row`, unless they are rows of its result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import WHOLE_ROW, RowStatus, arrow
from cji_operations.operation import CHUNK_ROWS, BatchOperation, PreparedOperation, TableOperation
from cji_operations.progress import ProgressCallback

Ints = npt.NDArray[np.int64]


class Sink(Protocol):
    """Destination of the outputs of a job."""

    def result(self, batch: pa.RecordBatch) -> None:
        """More of the result."""

    def status(self, status: RowStatus) -> None:
        """The status of the next rows of the input."""

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        """More of a further output part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slice:
    """Some rows of the input, one after another: `status` covers them, `batch` has those in `kept` that are left."""

    batch: pa.RecordBatch
    status: RowStatus
    kept: Ints


class _LeftOut:
    """The rows of the input that did not reach an operation, so that the rows it counts can be found in the input."""

    def __init__(self) -> None:
        self._rows: list[Ints] = []
        self._seen = 0

    def add(self, kept: Ints, rows: int) -> None:
        """The next rows of the input, of which those in `kept` arrive."""
        if len(kept) < rows:
            self._rows.append(np.setdiff1d(np.arange(rows), kept, assume_unique=True) + self._seen)
        self._seen += rows

    def located(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, in which `row` is a row that arrived, with the same rows as the input has them."""
        at = batch.schema.get_field_index("row")
        if at < 0 or not self._rows:
            return batch
        column, left_out = batch.column(at), np.concatenate(self._rows)
        before = np.searchsorted(left_out - np.arange(len(left_out)), arrow.numbers(column).astype(np.int64), "right")
        rows = arrow.from_numpy(arrow.numbers(column) + before.astype(np.uint64), valid=arrow.present(column))
        return batch.set_column(at, batch.schema.field(at), rows)


class Pipeline:
    """Prepared operations between the input's records and a sink. `push` every batch, then `finish` once."""

    def __init__(
        self,
        operations: Sequence[PreparedOperation],
        *,
        columns: int,
        sink: Sink,
        progress: ProgressCallback,
        input_rows: Iterable[int] = (),
    ) -> None:
        """`columns` is the number of columns of the input's records.

        `input_rows` are the positions of operations with `Operation.input_rows`.
        """
        self._operations, self._sink, self._progress = operations, sink, progress
        self._waiting: dict[int, list[_Slice]] = {
            index: [] for index, one in enumerate(operations) if isinstance(one, TableOperation)
        }
        self._left_out = {index: _LeftOut() for index in input_rows}
        self._origins = [np.arange(columns, dtype=np.int16)]
        for operation in operations:
            from_row = operation.sources == WHOLE_ROW
            self._origins.append(np.where(from_row, np.int16(WHOLE_ROW), self._origins[-1][operation.sources]))

    def push(self, batch: pa.RecordBatch, status: RowStatus | None = None, kept: Ints | None = None) -> None:
        """The next rows of the input: `batch` has those in `kept` (default: all), `status` covers all (default: ok)."""
        rows = batch.num_rows if kept is None else len(kept)
        kept = np.arange(rows) if kept is None else kept
        status = RowStatus.all_ok(rows) if status is None else status
        ends = range(0, len(status.status) + CHUNK_ROWS, CHUNK_ROWS)
        places = np.searchsorted(kept, ends).tolist()
        for (first, last), (low, high) in zip(pairwise(ends), pairwise(places), strict=True):
            chunk = batch.slice(low, high - low)
            self._step(0, _Slice(batch=chunk, status=status.slice(first, last), kept=kept[low:high] - first))

    def finish(self) -> None:
        """The input is at its end."""
        for index, operation in enumerate(self._operations):
            if isinstance(operation, TableOperation):
                self._run(index, operation)
            else:
                self._parts(index, operation.finish())

    def _step(self, index: int, piece: _Slice) -> None:
        if index == len(self._operations):
            self._sink.result(piece.batch)
            self._sink.status(piece.status)
            return
        if index in self._left_out:
            self._left_out[index].add(piece.kept, len(piece.status.status))
        operation = self._operations[index]
        if isinstance(operation, BatchOperation):
            applied = operation.apply(piece.batch)
            applied.check(len(piece.kept))
            self._parts(index, applied.parts)
            kept = piece.kept if applied.kept is None else piece.kept[applied.kept]
            status = self._judged(index, piece.status, piece.kept, applied.status)
            self._step(index + 1, _Slice(batch=applied.batch, status=status, kept=kept))
        else:
            self._waiting[index].append(_Slice(batch=arrow.own(piece.batch), status=piece.status, kept=piece.kept))

    def _run(self, index: int, operation: TableOperation) -> None:
        pieces = self._waiting.pop(index)
        outputs = operation.run([piece.batch for piece in pieces], self._progress)
        starts = np.cumsum([0, *(len(piece.status.status) for piece in pieces)])
        kept = np.concatenate(
            [np.empty(0, np.int64), *(piece.kept + at for piece, at in zip(pieces, starts[:-1], strict=True))]
        )
        if len(outputs.status.status) != len(kept):
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        status = self._judged(index, RowStatus.concatenate([piece.status for piece in pieces]), kept, outputs.status)
        if operation.keeps_rows:
            self._hand_on(index + 1, outputs.result, status, kept)
        else:
            for batch in outputs.result:
                self._sink.result(self._located(index, batch))
            for first in range(0, len(status.status), CHUNK_ROWS):
                self._sink.status(status.slice(first, first + CHUNK_ROWS))
        self._parts(index, outputs.parts)

    def _hand_on(self, index: int, result: Iterable[pa.RecordBatch], status: RowStatus, kept: Ints) -> None:
        """Each chunk of the result with its rows; a row that was dropped before goes with the chunk in front of it."""
        done, row = 0, 0
        chunks = (batch.slice(first, CHUNK_ROWS) for batch in result for first in range(0, batch.num_rows, CHUNK_ROWS))
        for chunk in chunks:
            until = done + chunk.num_rows
            end = int(kept[until]) if until < len(kept) else len(status.status)
            piece = _Slice(batch=chunk, status=status.slice(row, end), kept=kept[done:until] - row)
            if len(piece.kept) != chunk.num_rows:
                raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
            self._step(index, piece)
            done, row = until, end
        if done != len(kept):
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        self._sink.status(status.slice(row, len(status.status)))  # where no row was left at all

    def _judged(self, index: int, status: RowStatus, kept: Ints, found: RowStatus) -> RowStatus:
        """`status`, and what the operation found about the rows that were left."""
        return status.merge(found.traced(self._origins[index]).placed(kept, len(status.status)))

    def _parts(self, index: int, parts: Mapping[str, Iterable[pa.RecordBatch]]) -> None:
        for name, batches in parts.items():
            for batch in batches:
                self._sink.part(name, self._located(index, batch))

    def _located(self, index: int, batch: pa.RecordBatch) -> pa.RecordBatch:
        return self._left_out[index].located(batch) if index in self._left_out else batch
