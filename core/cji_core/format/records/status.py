"""Row status: the outcome of every row, exactly once, in the input's order.

ok + warned + partly used + not usable = rows in, always, because the status is one array with one value per row.
Findings give the reason: a code from the operation's table and a column (its position in the input, or WHOLE_ROW).
They depend on values of records, so they travel only inside the sealed output.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records.arrow import from_lists, from_numpy, numbers
from cji_core.format.records.schemas import ROW_STATUS, SCHEMAS

ROW_STATUS_SCHEMA: Final = SCHEMAS[ROW_STATUS].arrow
WHOLE_ROW: Final = -1


class Status(enum.IntEnum):
    """Outcome of a row. If two operations give the same row a status, the larger value applies."""

    OK = 0
    WARNED = 1
    PARTLY_USED = 2
    NOT_USABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowStatus:
    """The status of `n` rows and their findings, sorted by row.

    status uint8[n]; rows int64[m] (position in the batch), codes uint16[m], columns int16[m].
    """

    status: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    codes: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    columns: npt.NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))

    @classmethod
    def all_ok(cls, n: int) -> Self:
        """`n` rows without a finding."""
        return cls(status=np.zeros(n, np.uint8))

    def found(self, rows: npt.NDArray[np.int64], *, status: Status, code: int, column: int = WHOLE_ROW) -> Self:
        """The same status with one more finding for each of `rows`, whose status becomes at least `status`."""
        if not len(rows):
            return self
        extra = type(self)(
            status=np.zeros_like(self.status),
            rows=rows,
            codes=np.full(len(rows), code, np.uint16),
            columns=np.full(len(rows), column, np.int16),
        )
        extra.status[rows] = status
        return self.merge(extra)

    def merge(self, other: Self) -> Self:
        """Combine two results for the same rows: the worse status, and both sets of findings, ours first per row."""
        if len(self.status) != len(other.status):
            raise ValueError("two results for different rows")
        if not len(other.rows):
            return type(self)(
                status=np.maximum(self.status, other.status), rows=self.rows, codes=self.codes, columns=self.columns
            )
        rows = np.concatenate((self.rows, other.rows))
        order = np.argsort(rows, kind="stable")
        return type(self)(
            status=np.maximum(self.status, other.status),
            rows=rows[order],
            codes=np.concatenate((self.codes, other.codes))[order],
            columns=np.concatenate((self.columns, other.columns))[order],
        )

    def traced(self, sources: npt.NDArray[np.int16]) -> Self:
        """The same findings, with columns of an earlier input: column c becomes column sources[c]."""
        if not len(self.rows):
            return self
        columns = np.where(self.columns == WHOLE_ROW, np.int16(WHOLE_ROW), sources[self.columns])
        return replace(self, columns=columns)

    @classmethod
    def concatenate(cls, pieces: Sequence[Self]) -> Self:
        """The status of the rows of all pieces, in order."""
        starts = np.cumsum([0, *(len(piece.status) for piece in pieces)])
        return cls(
            status=np.concatenate([np.empty(0, np.uint8), *(piece.status for piece in pieces)]),
            rows=np.concatenate(
                [np.empty(0, np.int64), *(p.rows + at for p, at in zip(pieces, starts[:-1], strict=True))]
            ),
            codes=np.concatenate([np.empty(0, np.uint16), *(piece.codes for piece in pieces)]),
            columns=np.concatenate([np.empty(0, np.int16), *(piece.columns for piece in pieces)]),
        )

    def slice(self, first: int, last: int) -> Self:
        """The status of rows `first` to `last` - 1, numbered from 0."""
        low, high = np.searchsorted(self.rows, (first, last))
        return type(self)(
            status=self.status[first:last],
            rows=self.rows[low:high] - first,
            codes=self.codes[low:high],
            columns=self.columns[low:high],
        )

    def permuted(self, rows: npt.NDArray[np.int64]) -> Self:
        """The same status in another order: row i becomes row rows[i]; each row of the result is among them once."""
        status = np.empty_like(self.status)
        status[rows] = self.status
        found = rows[self.rows]
        order = np.argsort(found, kind="stable")
        return type(self)(status=status, rows=found[order], codes=self.codes[order], columns=self.columns[order])

    def placed(self, rows: npt.NDArray[np.int64], n: int) -> Self:
        """The status of `n` rows: row i becomes row rows[i] (ascending), all other rows are ok."""
        if len(rows) == n:
            return self
        status = np.zeros(n, np.uint8)
        status[rows] = self.status
        return replace(self, status=status, rows=rows[self.rows])

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> Self:
        """The inverse of `to_batch`, rows numbered from 0."""
        _, status, codes, columns = batch.columns
        lengths = numbers(pc.list_value_length(codes))
        return cls(
            status=numbers(status).copy(),
            rows=np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
            codes=numbers(codes.flatten()).copy(),
            columns=numbers(columns.flatten()).copy(),
        )

    def counts(self) -> tuple[int, int, int, int]:
        """Rows that are ok, warned, partly used, not usable; their sum is the number of rows."""
        ok, warned, partly_used, not_usable = np.bincount(self.status, minlength=len(Status)).tolist()
        return ok, warned, partly_used, not_usable

    def to_batch(self, first_row: int) -> pa.RecordBatch:
        """A batch of `row_status/1` for rows numbered from `first_row` in their part."""
        n = len(self.status)
        offsets = np.zeros(n + 1, np.int32)
        np.cumsum(np.bincount(self.rows, minlength=n), out=offsets[1:])
        row_numbers = np.arange(first_row, first_row + n, dtype=np.uint64)
        row, status, codes, columns = ROW_STATUS_SCHEMA.types
        return pa.RecordBatch.from_arrays(
            [
                from_numpy(row_numbers, row),
                from_numpy(self.status, status),
                from_lists(offsets, self.codes, codes),
                from_lists(offsets, self.columns, columns),
            ],
            schema=ROW_STATUS_SCHEMA,
        )
