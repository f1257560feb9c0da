"""Samples of outputs of any length, in one pass and bounded memory."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Row = dict[str, Any]
Rank = Callable[[pa.RecordBatch], npt.NDArray[np.float64]]

NOT_WANTED: Final = np.inf


class Least:
    """The `most` rows of the least rank, of equals the first; `total` counts all whose rank is not NOT_WANTED."""

    def __init__(self, most: int, rank: Rank) -> None:
        self._most, self._rank = most, rank
        self._kept: list[tuple[float, Row]] = []
        self.total = 0

    @property
    def rows(self) -> list[Row]:
        """By rank."""
        return [row for _, row in self._kept]

    def add(self, batch: pa.RecordBatch) -> None:
        """Consider the rows of a batch."""
        rank = self._rank(batch)
        wanted = np.flatnonzero(rank < NOT_WANTED)
        self.total += len(wanted)
        best = wanted[np.argsort(rank[wanted], kind="stable")[: self._most]]
        rows = zip(rank[best].tolist(), batch.take(pa.array(best)).to_pylist(), strict=True)
        self._kept = sorted((*self._kept, *rows), key=lambda each: each[0])[: self._most]


def column(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    """A column of numbers or flags."""
    found: npt.NDArray[Any] = batch.column(name).to_numpy(zero_copy_only=False)
    return found


def rows_at(batches: Iterable[pa.RecordBatch], positions: Collection[int]) -> dict[int, Row]:
    """The rows at these positions of the whole; one that does not exist is left out."""
    wanted = np.array(sorted(positions), np.int64)
    found, first = dict[int, Row](), 0
    for batch in batches:
        here = wanted[(wanted >= first) & (wanted < first + batch.num_rows)]
        rows = batch.take(pa.array(here - first)).to_pylist()
        found.update(zip(here.tolist(), rows, strict=True))
        first += batch.num_rows
    return found


def first_rows(batches: Iterable[pa.RecordBatch], most: int) -> tuple[list[Row], int]:
    """(the first `most` rows, the number of all)."""
    rows, total = list[Row](), 0
    for batch in batches:
        rows += batch.slice(0, max(0, most - len(rows))).to_pylist()
        total += batch.num_rows
    return rows, total


def starts(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Each batch with the position of its first row."""
    first = 0
    for batch in batches:
        yield first, batch
        first += batch.num_rows
