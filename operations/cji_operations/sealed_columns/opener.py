"""Cells of one column opened, batch after batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.columns import ColumnFormat, SqlType
from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints, Text, fixed, read
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.cells import BLOCK_BYTES, CellKeys, Codes, open_cells
from cji_operations.sealed_columns.opened import MAX_SEEN, OpenedValues, Seen
from cji_operations.sealed_columns.plain import coded, compact, first_of
from cji_operations.sealed_columns.types import encoding_of, marker_of, rendered

_ROWS: Final = 16_384
_BYTES: Final = 1 << 22
"""Cells are opened in slices of so many rows and bytes, or one: their blocks stay in the cache."""
_SHORT_BYTES: Final = 1024
_SAMPLE: Final = 16
_UNVERIFIED: Final = (CellCode.CELL_LENGTH, CellCode.CELL_VERSION, CellCode.CELL_MAC)
"""Faults of cells that say nothing for the key."""
_NOTHING: Final = Text(data=np.empty(0, np.uint8), starts=np.empty(0, np.int64), lengths=np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OpenedColumn:
    """`values`, null where there was no cell or a faulty one; `codes` uint16[n], a CellCode or 0."""

    values: pa.Array
    codes: Codes

    @property
    def faulty(self) -> Bools:
        """bool[n]: the row cannot be used; a code alone may be a warning."""
        faulty: Bools = (self.codes > 0) & (self.codes != CellCode.CELL_REPEATED)
        return faulty


class ColumnOpener:
    """Opens the cells of one column of one part under one key.

    In a deterministic column every IV must be derived from its value. In a randomized one none may be: that is looked
    for in every value of up to 1 KiB and in one of sixteen longer ones, because it costs as much as the MAC.
    """

    def __init__(
        self,
        kind: SqlType,
        format: ColumnFormat,  # noqa: A002 - the statement's word
        *,
        deterministic: bool,
        cek: bytes,
        target: pa.DataType,
        day: bool = False,
        opened: OpenedValues | None = None,
        remembered: int = MAX_SEEN,
    ) -> None:
        """`target` is what the column's values become: utf8, binary, bool or uint64.

        `day`: the column holds dates, so a date or moment opens to its day, as YYYYMMDD.

        `opened` collects the values of a deterministic
        column, so that they can be sealed again. `remembered`: so many cells of a randomized one are compared with
        those after them. Raises ValueError if no value of the type could be one of `target`.
        """
        self._kind, self._keys, self._encoding = kind, CellKeys.of(cek), encoding_of(kind)
        self._marker = marker_of(kind, format)
        self._deterministic, self._target, self._day, self._opened = deterministic, target, day, opened
        rendered(self._encoding.decode(_NOTHING).array, kind, target)
        self._seen = Seen(remembered)
        self._rows = self._longer = self._unverified = 0
        self.cells = 0
        """Cells so far, faulty ones included."""
        self.good = 0
        """Cells so far that were opened."""
        self.first_fault: int | None = None
        """The row of the part with the first faulty cell."""

    @property
    def wrong_key(self) -> bool:
        """Whether there were cells, and none of them verified."""
        return 0 < self.cells == self._unverified

    def open(self, array: pa.Array) -> OpenedColumn:
        """Open the next cells, a `binary` array."""
        pieces = [self._open(piece) for piece in _pieces(array)]
        if len(pieces) == 1:
            return pieces[0]
        codes = np.concatenate([np.empty(0, np.uint16), *(piece.codes for piece in pieces)])
        return OpenedColumn(arrow.concat((piece.values for piece in pieces), self._target), codes)

    def _open(self, array: pa.Array) -> OpenedColumn:
        """One slice; in a deterministic column each distinct cell once."""
        rows = np.flatnonzero(arrow.present(array))
        if self._deterministic:
            encoded = pc.dictionary_encode(array)
            cells, cell = read(encoded.dictionary), arrow.numbers(encoded.indices)[rows]
        else:
            text, cell = read(array), np.arange(len(rows))
            cells = Text(data=text.data, starts=text.starts[rows], lengths=text.lengths[rows])
        values, place, found = self._values(cells)
        places, codes = np.full(len(array), -1, np.int64), np.zeros(len(array), np.uint16)
        places[rows], codes[rows] = place[cell], found[cell]
        if len(values) != len(array) or (places < 0).any() or self._deterministic:
            values = values.take(arrow.from_numpy(places, valid=places >= 0))
        opened = OpenedColumn(values, codes)
        self._count(opened, len(rows))
        return opened

    def _values(self, cells: Text) -> tuple[pa.Array, Ints, Codes]:
        """(the values of sound cells, which of them each cell has or -1, the codes of all cells)."""
        marked = len(self._marker)
        bare = Text(data=cells.data, starts=cells.starts + marked, lengths=np.maximum(cells.lengths - marked, 0))
        values, ivs, codes = open_cells(bare, self._keys)
        if marked:
            rows = np.flatnonzero(codes == 0)
            codes[rows] = coded(cells.data[cells.starts[rows]] != self._marker[0], CellCode.CELL_MARKER)
        self._check_ivs(values, ivs, codes)
        rows = np.flatnonzero(codes == 0)
        sound = Text(data=values.data, starts=values.starts[rows], lengths=values.lengths[rows])
        decoded = self._encoding.decode(sound)
        column = rendered(decoded.array, self._kind, self._target, day=self._day)
        codes[rows] = first_of(decoded.codes, column.codes)
        place = np.full(len(codes), -1, np.int64)
        place[rows] = np.where(codes[rows] > 0, -1, np.arange(len(rows)))
        self._remember(bare, decoded.array, rows, codes)
        return column.array, place, codes

    def _check_ivs(self, values: Text, ivs: Bytes, codes: Codes) -> None:
        rows = np.flatnonzero(codes == 0)
        if not self._deterministic and len(rows):
            long = values.lengths[rows] > _SHORT_BYTES
            nth = self._longer + np.cumsum(long) - 1
            self._longer += int(np.count_nonzero(long))
            rows = rows[~long | (nth % _SAMPLE == 0)]
        derived = (self._keys.derived_ivs(values, rows) == ivs[rows]).all(axis=1)
        wrong, code = (
            (~derived, CellCode.CELL_IV_RANDOM) if self._deterministic else (derived, CellCode.CELL_IV_DERIVED)
        )
        codes[rows] = coded(wrong, code)

    def _remember(self, cells: Text, decoded: pa.Array, rows: Ints, codes: Codes) -> None:
        """Find repeated cells, or keep the cells of opened values: by what these values are sealed as."""
        good = np.flatnonzero(codes[rows] == 0)
        rows = rows[good]
        if not self._deterministic:
            starts = Text(data=cells.data, starts=cells.starts + 1, lengths=cells.lengths)
            prints = fixed(starts, rows, BLOCK_BYTES)
            codes[rows] = coded(self._seen.repeated(prints), CellCode.CELL_REPEATED)
        elif self._opened is not None:
            values = self._encoding.bare(self._encoding.encode(decoded.take(arrow.from_numpy(good))))
            self._opened.add(
                self._keys.derived_ivs(values, np.arange(len(good))),
                compact(Text(data=cells.data, starts=cells.starts[rows], lengths=cells.lengths[rows])),
            )

    def _count(self, opened: OpenedColumn, cells: int) -> None:
        faulty = np.flatnonzero(opened.faulty)
        self.cells += cells
        self.good += cells - len(faulty)
        if len(faulty):
            self._unverified += int(np.count_nonzero(np.isin(opened.codes[faulty], _UNVERIFIED)))
            self.first_fault = self._rows + int(faulty[0]) if self.first_fault is None else self.first_fault
        self._rows += len(opened.codes)


def _pieces(array: pa.Array) -> Iterator[pa.Array]:
    """Slices of at most `_ROWS` rows, and of at most `_BYTES` bytes or one row."""
    offsets, _ = arrow.text(array)
    first = 0
    while first < len(array):
        last = int(np.searchsorted(offsets, int(offsets[first]) + _BYTES, side="right")) - 1
        end = min(first + _ROWS, max(last, first + 1), len(array))
        yield array.slice(first, end - first)
        first = end
