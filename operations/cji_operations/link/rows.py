"""Rows in outputs: their positions and record ids, and batches of columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools
from cji_core.operations.declaration import OutputSpec

BATCH: Final = 1 << 16
"""Rows of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """The rows of one table, or of two: those from `first_of_second` on are the second one's. `ids` are of all."""

    ids: pa.Array
    first_of_second: int | None

    def positions(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The positions of rows in their own table."""
        if self.first_of_second is None:
            return rows
        return np.where(self.of_second(rows), rows - self.first_of_second, rows)

    def of_second(self, rows: npt.NDArray[Any]) -> Bools:
        """bool[k]: the rows are the second table's."""
        return np.zeros(len(rows), np.bool_) if self.first_of_second is None else rows >= self.first_of_second

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
