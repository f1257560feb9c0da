"""A piece of a table on its way: each column as the distinct values in the piece, and which of them each row has."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, pack
from cji_core.operations.link import edges
from cji_core.operations.link.declaration import Link
from cji_operations.link.column import Column
from cji_operations.link.columns import Table, distinct_words, numbered_column
from cji_operations.link.stages import edge_data
from cji_operations.link.units import recounted

_ROWS: Final = 0xFFFF
_IDS: Final = 0xFFFE
"""In the place of a column's number: the rows' own numbers; their record ids."""


class Packer:
    """The rows of a table, in pieces. `counted` are the columns whose values have their frequencies with them."""

    def __init__(self, table: Table, names: Sequence[str], counts: Mapping[str, Ints]) -> None:
        """Counts int64[k] by column: how many of all rows have each value."""
        self._columns = [
            (
                table.columns[name].code,
                pack(
                    np.ascontiguousarray(table.columns[name].words.data), table.columns[name].words.lengths, pa.binary()
                ),
                counts[name].astype(np.uint32) if name in counts else None,
            )
            for name in names
        ]

    def pieces(
        self, route: int, which: Ints, numbers: Ints, bound: Bools | None = None, ids: pa.Array | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of the rows `which` for a route, under these numbers, ascending; those of a unit have one number.

        bound bool: blocks are made of the row; None: of all. `ids` are of the rows `which`, if they go along.
        """
        numbers = (numbers << 1) | (1 if bound is None else bound)
        for start in range(0, len(which), edge_data.ROWS):
            some = slice(start, start + edge_data.ROWS)
            packed = [(_ROWS, numbers[some].astype(np.uint32).tobytes(), b"", b"", b"")]
            if ids is not None:
                packed.append((_IDS, *_packed_ids(arrow.concat([ids[some]], ids.type))))
            for number, (code, values, counts) in enumerate(self._columns):
                packed.append((number, *_packed(code[which[some]], values, counts)))
            column_number, *data = zip(*packed, strict=True)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([route] * len(packed), pa.uint16()),
                    pa.array(column_number, pa.uint16()),
                    *(pa.array(one, pa.binary()) for one in data),
                ],
                schema=edges.TABLE.schema,
            )


def _packed(
    code: npt.NDArray[np.int32], values: pa.Array, counts: npt.NDArray[np.uint32] | None
) -> tuple[bytes, bytes, bytes, bytes]:
    """(codes from 1, 0 for no value; lengths and bytes of the values; their frequencies)."""
    which = _distinct(code, len(values))
    number = np.empty(len(values) + 1, np.uint16 if len(which) < 1 << 16 else np.uint32)  # only what is used is set
    number[which] = np.arange(1, len(which) + 1, dtype=number.dtype)
    number[-1] = 0
    taken = values.take(arrow.from_numpy(which))
    offsets, data = arrow.text(taken)
    return (
        number[code].tobytes(),
        np.diff(offsets).astype(np.uint8).tobytes(),
        data[offsets[0] : offsets[-1]].tobytes(),
        b"" if counts is None else counts[which].tobytes(),
    )


def _packed_ids(ids: pa.Array) -> tuple[bytes, bytes, bytes, bytes]:
    """(which there are, their lengths, their bytes, nothing)."""
    offsets, data = arrow.text(ids)
    whole = data[offsets[0] : offsets[-1]].tobytes()
    return arrow.present(ids).tobytes(), np.diff(offsets).astype(np.int32).tobytes(), whole, b""


def _distinct(code: npt.NDArray[np.int32], k: int) -> Ints:
    """The values below k that rows have, in order; the cost does not grow with k where there are few rows."""
    if len(code) < k // 128:  # else it takes less time to look at a mark of every value than to sort
        some = np.sort(code)
        return some[np.flatnonzero((np.diff(some, prepend=np.int32(-1)) != 0) & (some >= 0))].astype(np.int64)
    there = np.zeros(k + 1, np.bool_)  # the last one is that of no value
    there[code] = True
    return np.flatnonzero(there[:-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Piece:
    """The buffers of the columns, by their numbers."""

    rows: npt.NDArray[Any]
    ids: tuple[bytes, bytes, bytes, bytes] | None
    columns: dict[int, tuple[bytes, bytes, bytes, bytes]]


Pieces = dict[int, list[_Piece]]
"""By route, in the order of shards."""


def collect(found: Iterable[pa.RecordBatch]) -> Pieces:
    """The pieces of all batches, by route."""
    pieces = Pieces()
    for batch in found:
        route, number, *data = (column.to_pylist() for column in batch.columns)
        by_number = dict(zip(number, zip(*data, strict=True), strict=True))
        rows = np.frombuffer(by_number.pop(_ROWS)[0], np.uint32)
        ids = by_number.pop(_IDS, None)
        pieces.setdefault(route[0], []).append(_Piece(rows=rows, ids=ids, columns=by_number))
    return pieces


def ids_of(pieces: Sequence[_Piece]) -> tuple[Ints, pa.Array]:
    """(int64[n], the rows of pieces with ids, ascending, each once; the id of each)."""
    rows, found = [np.empty(0, np.int64)], list[pa.Array]()
    for piece in pieces:
        if piece.ids is None:
            raise ValueError("a piece without ids")
        there, lengths, data, _ = piece.ids
        offsets = np.zeros(len(piece.rows) + 1, np.int32)
        np.cumsum(np.frombuffer(lengths, np.int32), out=offsets[1:])
        present = arrow.from_numpy(np.frombuffer(there, np.bool_)).buffers()[1]
        rows.append(piece.rows.astype(np.int64) >> 1)
        buffers = [present, pa.py_buffer(offsets), pa.py_buffer(data)]
        found.append(pa.Array.from_buffers(pa.binary(), len(piece.rows), buffers))
    row, first = np.unique(np.concatenate(rows), return_index=True)
    return row, arrow.concat(found, pa.binary()).take(arrow.from_numpy(first))


def moved(pieces: Sequence[_Piece], numbers: Callable[[Ints], Ints]) -> list[_Piece]:
    """The pieces under other numbers."""
    return [replace(piece, rows=(numbers(piece.rows.astype(np.int64) >> 1) << 1) | 1) for piece in pieces]


def assemble(
    pieces: Sequence[_Piece],
    names: Sequence[str],
    first_of_second: int | None,
    parameters: Link,
    *,
    count: bool = False,
) -> Table:
    """The table of all pieces, its rows in order of their numbers. `count` the rows that have each value."""
    rows = np.concatenate([np.empty(0, np.uint32), *(piece.rows for piece in pieces)]).astype(np.int64)
    order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows >> 1, kind="stable")
    columns = {name: _column(pieces, number, name, order) for number, name in enumerate(names)}
    rows = rows if order is None else rows[order]
    bound, rows = (rows & 1).astype(np.bool_), rows >> 1
    first = np.diff(rows, prepend=-1) != 0
    if count:
        columns = {name: recounted(column) for name, column in columns.items()}
    return Table(
        n=len(rows),
        rows=rows[first],
        first_of_second=None if first_of_second is None else int(np.searchsorted(rows, first_of_second)),
        columns=columns,
        not_dates={},
        unit=None if first.all() else np.cumsum(first) - 1,
        bound=None if bound.all() else bound,
        apart=parameters.apart,
    )


def _column(pieces: Sequence[_Piece], number: int, name: str, order: Ints | None) -> Column:
    """The column of all pieces: their values, most of which are in several pieces, made distinct."""
    found = [piece.columns[number] for piece in pieces]
    lengths = [np.frombuffer(length, np.uint8) for _, length, _, _ in found]
    data = np.frombuffer(b"".join(values for _, _, values, _ in found), np.uint8)
    vocabulary, which, first = distinct_words(data, np.concatenate([np.empty(0, np.uint8), *lengths]))
    codes, before = [np.empty(0, np.int32)], 0
    for piece, (packed, *_), length in zip(pieces, found, lengths, strict=True):
        kind = np.uint16 if len(packed) == 2 * len(piece.rows) else np.uint32
        of_piece = np.full(len(length) + 1, -1, np.int32)
        of_piece[1:] = which[before : before + len(length)]
        codes.append(of_piece[np.frombuffer(packed, kind)])
        before += len(length)
    code = np.concatenate(codes)
    known = np.frombuffer(b"".join(counts for *_, counts in found), np.uint32)
    counts = known[first].astype(np.int64) if len(known) else np.zeros(len(first), np.int64)
    return numbered_column(name, vocabulary, code if order is None else code[order], counts)
