"""Cells that are remembered, by 16 bytes of each that only a holder of the key can make."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.sealed_columns.plain import ValueUnfit

MAX_SEEN: Final = 1 << 20
"""Maximum number of cells of randomized columns that are remembered, in 24 MiB."""

_Words = npt.NDArray[np.uint64]


class Places:
    """Numbers 16-byte prints in the order in which they come: sorted blocks, of which small ones are united."""

    __slots__ = ("_blocks", "count")

    def __init__(self) -> None:
        self._blocks: list[tuple[_Words, _Words, Ints]] = []
        self.count = 0

    def find(self, prints: Bytes) -> Ints:
        """int64[n]: the number of each print, -1 of a new one."""
        first, second = _words(prints)
        found = np.full(len(first), -1, np.int64)
        order = np.argsort(first)
        for firsts, seconds, numbers in self._blocks:
            at = np.minimum(np.searchsorted(firsts, first[order]), len(firsts) - 1)
            same = (firsts[at] == first[order]) & (seconds[at] == second[order])
            found[order[same]] = numbers[at[same]]
        return found

    def add(self, prints: Bytes) -> Ints:
        """Number the new ones among them; their rows, in the order of their numbers."""
        first, _ = _words(prints)
        _, rows = np.unique(first, return_index=True)
        rows = np.sort(rows[self.find(prints[rows]) < 0])
        if not len(rows):
            return rows
        block = (*_words(prints[rows]), np.arange(self.count, self.count + len(rows)))
        self.count += len(rows)
        while self._blocks and len(self._blocks[-1][0]) <= 2 * len(block[0]):
            block = _joined(self._blocks.pop(), block)
        order = np.argsort(block[0], kind="stable")
        self._blocks.append((block[0][order], block[1][order], block[2][order]))
        return rows


def _joined(one: Sequence[npt.NDArray], more: Sequence[npt.NDArray]) -> tuple:  # type: ignore[type-arg]
    return tuple(np.concatenate(pair) for pair in zip(one, more, strict=True))


def _words(prints: Bytes) -> tuple[_Words, _Words]:
    words = np.ascontiguousarray(prints).view(np.uint64)
    return words[:, 0], words[:, 1]


class Seen:
    """Cells of a randomized column: a cell that comes again was copied, because its IV is random."""

    __slots__ = ("_most", "_places")

    def __init__(self, most: int) -> None:
        self._most, self._places = most, Places()

    def repeated(self, prints: Bytes) -> Bools:
        """bool[n]: the cell with this print, the beginning of its MAC, has come before.

        As many as `most` are remembered, and those of a slice.
        """
        known = self._places.find(prints) >= 0
        _, first = np.unique(_words(prints)[0], return_index=True)
        again = np.ones(len(prints), np.bool_)
        again[first] = False
        if self._places.count < self._most:
            self._places.add(prints)
        return known | again


class OpenedValues:
    """Values that were opened from deterministic cells under one key, and the cells.

    A value that goes back under that key gets the cell that it came in. There is no other deterministic output: who
    may choose values and see their cells could look up every cell of the column.
    """

    __slots__ = ("_cells", "_places")

    def __init__(self) -> None:
        self._places = Places()
        self._cells = list[pa.Array]()

    def add(self, prints: Bytes, cells: pa.Array) -> None:
        """Values by the IVs that they have as results, without what pads them, and their `binary` cells."""
        rows = self._places.add(prints)
        self._cells.append(cells.take(arrow.from_numpy(rows)))

    def cells_of(self, prints: Bytes) -> pa.Array:
        """The cells of these values. Raises ValueUnfit if one of them was not opened."""
        found = self._places.find(prints)
        if (found < 0).any():
            raise ValueUnfit
        return pa.chunked_array(self._cells, pa.binary()).take(arrow.from_numpy(found)).combine_chunks()
