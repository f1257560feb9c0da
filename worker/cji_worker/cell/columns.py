"""The sealed columns of a job: cells of its inputs are opened, columns of its outputs are sealed as cells.

    input    stream -> batch with cells -> `InputColumns.open` -> what operations see, and the status of faulty rows
    output   batch of an output -> `OutputColumns.seal` -> batch with cells -> stream

No other module between streams and operations knows of cells: the schema of an input is checked, learned and handed on
as opened, and operations get a plain table. Batches are opened in pieces, so memory follows the piece.

A row of the records with a faulty cell is left out before the first operation, and its status has the reason. Side
tables and jobs in parts have no status for such a row, so a faulty cell refuses the job there. A column that has cells,
and no good one, refuses any job.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns import ColumnEncryption, ColumnKeyStatement, StatedColumn
from cji_core.format.job import LIMITS, Header, InputPart, SealedOutput
from cji_core.format.records import SCHEMAS, RowStatus, Status, arrow
from cji_core.format.records.declared import BINARY, UTF8
from cji_core.operations.status_codes import CellCode
from cji_operations.operation import CHUNK_ROWS
from cji_operations.sealed_columns import MAX_SEEN, ColumnOpener, ColumnSealer, OpenedValues, ValueUnfit
from cji_worker.cell.pipeline import Ints
from cji_worker.column_faults import CellsRefused
from cji_worker.ipc.messages import CellPlace

_PIECE_BYTES: Final = 4 << 20
"""Of a batch, opened or sealed at once."""
_BYTE_TYPES: Final = frozenset(("binary", "varbinary"))
_PADDED: Final = frozenset(("char", "nchar", "binary"))
"""Types whose values are opened at their full length, however short their cells are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedRows:
    """The next rows of an input, opened; as `Pipeline.push` takes them."""

    batch: pa.RecordBatch
    status: RowStatus | None = None
    kept: Ints | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opener:
    cells: ColumnOpener
    target: pa.DataType
    padding: int
    """Bytes that a value may get."""


class InputColumns:
    """The sealed columns of one input, over all its parts. Without any, batches and schemas stay as they are."""

    def __init__(self, openers: Mapping[str, _Opener], *, part: int) -> None:
        """`openers` by the names of their columns, in the order of the header; `part` is the first one that comes."""
        self._openers, self._part = openers, part
        self._most_rows = _PIECE_BYTES // max(1, sum(opener.padding for opener in openers.values()))
        self._at: dict[int, ColumnOpener] = {}
        self._sealed: pa.Schema | None = None
        self._opened: pa.Schema | None = None
        self._good = True
        self._rows = 0
        self._starts = [0]
        """The first row of each part, among all rows."""

    def next_part(self) -> None:
        """Begin the next part of the input."""
        self._starts.append(self._rows)

    def schema(self, sealed: pa.Schema) -> pa.Schema:
        """The schema of an opened stream. Raises SCHEMA_MISMATCH unless each sealed column is there, as `binary`."""
        if not self._openers:
            return sealed
        if self._opened is None or not sealed.equals(self._sealed, check_metadata=True):
            places = {name: sealed.get_field_index(name) for name in self._openers}
            if any(place < 0 or sealed.field(place).type != BINARY.arrow for place in places.values()):
                raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
            self._at = dict(sorted((places[name], opener.cells) for name, opener in self._openers.items()))
            fields = [
                field.with_type(self._openers[field.name].target) if field.name in self._openers else field
                for field in sealed
            ]
            self._sealed, self._opened = sealed, pa.schema(fields, metadata=sealed.metadata)
        return self._opened

    def open(self, batch: pa.RecordBatch) -> Iterator[OpenedRows]:
        """The rows of a batch, in pieces of `schema`; rows with a faulty cell are left out."""
        if not self._openers:
            yield OpenedRows(batch=batch)
            return
        schema = self.schema(batch.schema)
        for piece in _pieces(batch, most=self._most_rows):
            yield self._open(piece, schema)
        self._rows += batch.num_rows

    def open_good(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The rows of a batch of an input in which every cell must be good; none any more once one was faulty.

        Such an input is read on, because only its end shows whether the key is wrong. Then `finish` refuses the job.
        """
        for rows in self.open(batch):
            self._good = self._good and rows.kept is None
            if self._good:
                yield rows.batch

    def finish(self, *, strict: bool) -> None:
        """Check an input that is complete: a column that has cells has a good one, or if `strict`, no faulty one.

        Raises COLUMN_KEY_WRONG for a column of which no cell verified, else COLUMN_CELL_INVALID.
        """
        for number, opener in enumerate(self._openers.values()):
            if opener.cells.wrong_key:
                raise self._refused(Reason.COLUMN_KEY_WRONG, number, opener.cells.first_fault)
        for number, opener in enumerate(self._openers.values()):
            if opener.cells.first_fault is not None and (strict or not opener.cells.good):
                raise self._refused(Reason.COLUMN_CELL_INVALID, number, opener.cells.first_fault)

    def _refused(self, reason: Reason, column: int, row: int | None) -> Refusal:
        part = bisect_right(self._starts, row or 0) - 1
        place = CellPlace(part=self._part + part, column=column, row=(row or 0) - self._starts[part])
        return CellsRefused(reason, stage=Stage.UNSEAL, place=place)

    def _open(self, piece: pa.RecordBatch, schema: pa.Schema) -> OpenedRows:
        columns, status = list(piece.columns), None
        for place, opener in self._at.items():
            opened = opener.open(piece.column(place))
            columns[place] = opened.values
            if opened.codes.any():
                status = _noted(RowStatus.all_ok(piece.num_rows) if status is None else status, opened.codes, place)
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        if batch.nbytes > LIMITS.batch_bytes:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.UNSEAL)
        kept = None if status is None else np.flatnonzero(status.status != Status.NOT_USABLE)
        if kept is None or len(kept) == piece.num_rows:
            return OpenedRows(batch=batch, status=status)
        return OpenedRows(batch=batch.take(arrow.from_numpy(kept)), status=status, kept=kept)


class OutputColumns:
    """The sealed columns of one output."""

    def __init__(self, sealers: Mapping[str, tuple[int, ColumnSealer]]) -> None:
        """`sealers` by the names of their columns, each with its position in the header's sealed outputs."""
        self._sealers = sealers

    def schema(self, plain: pa.Schema) -> pa.Schema:
        """The schema of the output with cells. Raises SCHEMA_MISMATCH for a sealed column that it does not have."""
        if any(plain.get_field_index(name) < 0 for name in self._sealers):
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
        fields = [field.with_type(BINARY.arrow) if field.name in self._sealers else field for field in plain]
        return pa.schema(fields, metadata=plain.metadata)

    def seal(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The batch with cells, in pieces.

        Raises COLUMN_CELL_INVALID for a value that its type does not have or, in a deterministic column, that the job
        has not opened.
        """
        schema = self.schema(batch.schema)
        for piece in _pieces(batch):
            columns = [self._seal(name, column) for name, column in zip(schema.names, piece.columns, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _seal(self, name: str, column: pa.Array) -> pa.Array:
        if name not in self._sealers:
            return column
        number, sealer = self._sealers[name]
        try:
            return sealer.seal(column)
        except ValueUnfit:
            raise CellsRefused(
                Reason.COLUMN_CELL_INVALID, stage=Stage.COMPUTE, place=CellPlace(column=number)
            ) from None


class JobColumns:
    """All sealed columns of a job: openers for those of an input, and sealers for those of the outputs."""

    def __init__(self, header: Header, ceks: Sequence[bytes]) -> None:
        """`ceks` are the column encryption keys of all statements of the header, in their order."""
        self._header, given = header, iter(ceks)
        self._keys = [[next(given) for _ in each.statement.keys] for each in header.column_keys]
        self._opened: dict[bytes, OpenedValues] = {}
        """The values that deterministic outputs are looked up among, by their key."""
        self._remembered = MAX_SEEN // max(1, sum(len(part.sealed_columns) for part in header.inputs))
        """Cells of each column, so that their memory does not follow the number of columns."""
        sealers = dict[str, dict[str, tuple[int, ColumnSealer]]]()
        for number, output in enumerate(header.sealed_outputs):
            sealers.setdefault(output.output, {})[output.column] = (number, self._sealer(output))
        self.outputs = {name: OutputColumns(columns) for name, columns in sealers.items()}
        """By the name of the output; of those that have any."""

    def of_input(self, number: int) -> InputColumns:
        """The sealed columns of the input at this position, from its first part on."""
        return self._of_part(number)

    def of_shard(self, number: int) -> InputColumns:
        """The sealed columns of one shard of the records."""
        return self._of_part(len(self._header.inputs) - 1 + number)

    def _of_part(self, number: int) -> InputColumns:
        part = self._header.parts[number]
        return InputColumns({name: self._opener(part, name) for name in part.sealed_columns}, part=number)

    def _opener(self, part: InputPart, name: str) -> _Opener:
        stated, statement, cek = self._stated(part.column_keys, name)
        column = SCHEMAS[part.schema].columns.get(name)
        if column is None:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
        is_text = UTF8 in column.kinds and stated.type.name not in _BYTE_TYPES
        target = UTF8.arrow if is_text else column.types[-1]
        try:
            cells = ColumnOpener(
                stated.type,
                statement.format,
                deterministic=stated.encryption is ColumnEncryption.DETERMINISTIC,
                cek=cek,
                target=target,
                day=column.date,
                opened=self._opened.get(cek),
                remembered=self._remembered,
            )
        except ValueError:  # no value of this type could be one of the column
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL) from None
        padding = (stated.type.length or 0) if stated.type.name in _PADDED else 0
        return _Opener(cells=cells, target=target, padding=padding)

    def _sealer(self, output: SealedOutput) -> ColumnSealer:
        stated, statement, cek = self._stated(output.column_keys, output.as_column)
        deterministic = stated.encryption is ColumnEncryption.DETERMINISTIC
        opened = self._opened.setdefault(cek, OpenedValues()) if deterministic else None
        return ColumnSealer(
            stated.type, statement.format, deterministic=deterministic, cek=cek, random=os.urandom, opened=opened
        )

    def _stated(self, keys: int, name: str) -> tuple[StatedColumn, ColumnKeyStatement, bytes]:
        """(the statement's word on a column, the statement, the column's key)."""
        statement = self._header.column_keys[keys].statement
        stated = statement.column(name)
        if stated is None:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
        return stated, statement, self._keys[keys][stated.key]


def _noted(status: RowStatus, codes: npt.NDArray[np.uint16], place: int) -> RowStatus:
    """The status with the codes that cells of this column have."""
    for code in map(CellCode, np.unique(codes[codes > 0]).tolist()):
        worst = Status.WARNED if code.warning else Status.NOT_USABLE
        status = status.found(np.flatnonzero(codes == code), status=worst, code=code, column=place)
    return status


def _pieces(batch: pa.RecordBatch, *, most: int = CHUNK_ROWS) -> Iterator[pa.RecordBatch]:
    """Views of the batch of at most so many rows and of few bytes, or of one row; one of a batch without rows."""
    rows = min(CHUNK_ROWS, max(1, most))
    for first in range(0, max(1, batch.num_rows), rows):
        yield from _halves(batch.slice(first, rows))


def _halves(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= 1 or batch.nbytes <= _PIECE_BYTES:
        yield batch
        return
    yield from _halves(batch.slice(0, batch.num_rows // 2))
    yield from _halves(batch.slice(batch.num_rows // 2))
