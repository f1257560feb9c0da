"""The status of all rows of a job, counted for its submitter: from `row_status/1`, after it was opened.

These are facts about records: they exist here and in the sealed result, nowhere else.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import WHOLE_ROW, Status
from cji_core.operations.registry import is_of_value, meaning_of

_COLUMN: Final = 16  # bits of a column in a packed code and column


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCount:
    """A code at a column (None: the whole row): rows that have it, and the first of them, from 0."""

    code: int
    column: str | None
    rows: int
    first_row: int

    @property
    def meaning(self) -> str:
        """The code in words."""
        return meaning_of(self.code)


@dataclass(slots=True, kw_only=True)
class RowSummary:
    """Counts rows by status and by code. `columns` are the names of the input's columns, in its order."""

    columns: Sequence[str]
    _statuses: Counter[int] = field(default_factory=Counter)
    _codes: Counter[int] = field(default_factory=Counter)
    _first: dict[int, int] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch of `row_status/1`."""
        values, counts = np.unique(batch.column("status").to_numpy(), return_counts=True)
        self._statuses.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        rows = batch.column("row").take(pc.list_parent_indices(batch.column("codes"))).to_numpy()
        codes = batch.column("codes").flatten().to_numpy().astype(np.int64) << _COLUMN
        columns = batch.column("columns").flatten().to_numpy().astype(np.int64) - WHOLE_ROW
        # a code counts once for a row and column, and rows ascend
        found = np.unique(np.stack([codes | columns, rows.astype(np.int64)], axis=1), axis=0)
        packed, first, counts = np.unique(found[:, 0], return_index=True, return_counts=True)
        for key, at, count in zip(packed.tolist(), first.tolist(), counts.tolist(), strict=True):
            self._codes[key] += count
            self._first.setdefault(key, int(found[at, 1]))

    def watching(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches, counted as they pass."""
        for batch in batches:
            self.add(batch)
            yield batch

    @property
    def counts(self) -> dict[Status, int]:
        """Rows by status; their sum is the number of rows."""
        return {status: self._statuses[status] for status in Status}

    def commonest(self, n: int) -> list[CodeCount]:
        """The `n` codes that most rows have, most first."""
        ranked = sorted(self._codes.items(), key=lambda item: (-item[1], item[0]))
        return [
            CodeCount(code=key >> _COLUMN, column=self._name(key), rows=rows, first_row=self._first[key])
            for key, rows in ranked[:n]
        ]

    def warnings(self) -> Iterator[str]:
        """If half of the rows are not usable, or half of the values of a column cannot be read."""
        total, unusable, unread = self._statuses.total(), self._statuses[Status.NOT_USABLE], Counter[str]()
        if total and 2 * unusable >= total:
            yield f"{unusable} of {total} rows are not usable"
        for key, rows in self._codes.items():
            if (name := self._name(key)) is not None and is_of_value(key >> _COLUMN):
                unread[name] += rows
        for name, rows in sorted(unread.items()):
            if 2 * rows >= total:
                yield f"{name}: {min(rows, total)} of {total} values cannot be read or used"

    @property
    def kinds(self) -> int:
        """The number of different codes and columns."""
        return len(self._codes)

    def _name(self, key: int) -> str | None:
        column = (key & ((1 << _COLUMN) - 1)) + WHOLE_ROW
        return self.columns[column] if 0 <= column < len(self.columns) else None
