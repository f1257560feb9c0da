"""Rows in outputs: their positions and record ids, and batches of columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.declaration import OutputSpec

BATCH: Final = 1 << 16
"""Rows of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """The rows of one table, or of two: those from `first_of_second` on are the second one's. `ids` are of all.

    numbers int64[n], ascending: their numbers among more rows, if these are some of them.
    """

    ids: pa.Array
    first_of_second: int | None
    numbers: Ints | None = None

    def numbered(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The numbers of rows in both tables together."""
        return rows if self.numbers is None else self.numbers[rows]

    def positions(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The positions of rows in their own table."""
        found = self.numbered(rows)
        return (
            found
            if self.first_of_second is None
            else np.where(self.of_second(rows), found - self.first_of_second, found)
        )

    def of_second(self, rows: npt.NDArray[Any]) -> Bools:
        """bool[k]: the rows are the second table's."""
        if self.first_of_second is None:
            return np.zeros(len(rows), np.bool_)
        found: Bools = self.numbered(rows) >= self.first_of_second
        return found

    def named(self, rows: npt.NDArray[Any]) -> pa.Array:
        """The record ids of rows."""
        return self.ids.take(arrow.from_numpy(rows))


def batch(spec: OutputSpec, *columns: npt.NDArray[Any] | pa.Array) -> pa.RecordBatch:
    """A batch of an output."""
    schema = spec.schema.arrow
    arrays = [
        column if isinstance(column, pa.Array) else arrow.from_numpy(column, kind)
        for kind, column in zip(schema.types, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def parts(n: int, size: int = BATCH) -> Iterator[slice]:
    """Slices of `size` of n rows."""
    return (slice(start, start + size) for start in range(0, n, size))
