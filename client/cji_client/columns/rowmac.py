"""MACs over the rows of a table with encrypted columns, and a signed statement of the table's version.

A cell proves that its writer had the key, not which row, column, table or time it is of. Here the writer adds a column
`row_mac`, and signs how many rows this version of the table has and which:

    row_mac   = HMAC-SHA-256(key, frame("cji-row-mac/1") ‖ frame(table) ‖ frame(version, 8 bytes) ‖ frame(id) ‖
                for each encrypted column, ascending by name: frame(name) ‖ frame(nothing for null, else 0x01 ‖ cell))
    frame(x)  = length of x, 8 bytes ‖ x

The statement (`table_statement`) has the number of rows and the SHA-384 over their MACs in ascending order of ids. An
id is text, or an integer in its digits. Only cells are under a MAC, not columns in plain text, not the order of rows.
It protects against the database's administrator, not against who has the key of the MACs; no worker verifies it.
"""

import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from cji_client.casts import decoded, plain_type
from cji_client.columns.cells import CellColumn
from cji_client.columns.errors import TableRefused
from cji_client.columns.file import ColumnsFile
from cji_client.columns.table_statement import AGAIN, TableStatement
from cji_client.errors import ColumnError, SpecError
from cji_client.sources import Batches
from cji_core.format.keys import read_private, write_private
from cji_core.strict import StrictError, b64_decode, b64url, b64url_decode, hex_decode

ROW_MAC: Final = "row_mac"
_CONTEXT: Final = b"cji-row-mac/1"
_MAC_BYTES: Final = 32
_KEY: Final = re.compile(rb"cji-row-mac-key/1 ([A-Za-z0-9_-]{43})\n")
_HEX: Final = re.compile(rb"(?:0[xX])?([0-9A-Fa-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """A row, from 0, that is not as the writer signed it."""

    row: int
    fault: Literal["mac", "no id", "repeated id"]


@dataclass(slots=True)
class TableCheck:
    """Findings on a table: `same` if its good rows are exactly those that were signed."""

    rows: int = 0
    faults: list[RowFault] = field(default_factory=list)
    same: bool = False


def new_key(file: Path) -> None:
    """A new key of MACs in a private file; SpecError if the file exists."""
    write_private(file, b"cji-row-mac-key/1 " + b64url(secrets.token_bytes(_MAC_BYTES)).encode() + b"\n")


def load_key(file: Path) -> bytes:
    """The key in this file; SpecError for a file that others can read, or that has no such key."""
    remedy = "Name the file that `cji columns rowmac key` wrote."
    found = _KEY.fullmatch(read_private(file, remedy=remedy))
    try:
        key = b"" if found is None else b64url_decode(found[1].decode())
    except StrictError:
        key = b""
    if not key:
        raise SpecError(f"{file.name} has no key of row MACs", remedy=remedy)
    return key


def row_mac(key: bytes, *, table: str, version: int, row_id: bytes, cells: Mapping[str, bytes | None]) -> bytes:
    """The MAC of one row; `cells` by the name of their column."""
    message = encoded_row(table=table, version=version, row_id=row_id, cells=cells)
    return hmac.digest(key, message, "sha256")


def encoded_row(*, table: str, version: int, row_id: bytes, cells: Mapping[str, bytes | None]) -> bytes:
    """The message under a MAC: no two rows have one encoding."""
    fields = [_CONTEXT, table.encode(), version.to_bytes(8, "big"), row_id]
    for name in sorted(cells):
        cell = cells[name]
        fields += name.encode(), b"" if cell is None else b"\x01" + cell
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


class TableMacs:
    """The MACs of a table's rows under one key and version, batch by batch."""

    def __init__(self, schema: pa.Schema, file: ColumnsFile, key: bytes, *, row_id: str, version: int) -> None:
        """SpecError unless `schema` has the column of ids, and each encrypted column that a job may open, once."""
        self._mac = functools.partial(row_mac, key, table=file.table, version=version)
        self._cells = dict[str, tuple[int, CellColumn]]()
        self._macs = dict[bytes, bytes]()
        for column in file.columns:
            given = column.name if column.name in schema.names else column.record
            if given in schema.names or "open" in column.rights:
                at = _position(schema, given)
                cells = CellColumn(given, column.record, schema.types[at], marker=file.format == "cosmos_db")
                self._cells[column.name] = at, cells
        self.columns: Final = tuple(sorted(self._cells))
        self.id_position: Final = _position(schema, row_id)
        if self.id_position in {at for at, _ in self._cells.values()}:
            raise ColumnError(f"{row_id} is encrypted", columns=(row_id,), remedy="Name a column in plain text.")
        self._id = row_id
        self._id_type = plain_type(schema.types[self.id_position])
        if self._id_type != pa.string() and not pa.types.is_integer(self._id_type):
            remedy = "Select the ids as text or as an integer type."
            raise ColumnError(f"{row_id} is neither text nor integers", columns=(row_id,), remedy=remedy)

    def of(self, batch: pa.RecordBatch, first_row: int) -> Iterator[tuple[bytes | None, bytes | None]]:
        """(id, MAC) of each row; no MAC, and nothing counted, for a row without id, or with one that was there."""
        ids = decoded(batch.column(self.id_position), self._id_type).cast(pa.string()).cast(pa.binary()).to_pylist()
        columns = [
            cells.cast.apply(batch.column(at), first_row).to_pylist()
            for at, cells in (self._cells[name] for name in self.columns)
        ]
        for index, row_id in enumerate(ids):
            if not row_id or row_id in self._macs:
                yield row_id or None, None
                continue
            cells = {name: column[index] for name, column in zip(self.columns, columns, strict=True)}
            self._macs[row_id] = self._mac(row_id=row_id, cells=cells)
            yield row_id, self._macs[row_id]

    def statement(self, file: ColumnsFile, version: int) -> TableStatement:
        """The statement on the rows that were counted."""
        return TableStatement(
            table=file.table,
            version=version,
            id=self._id,
            columns=self.columns,
            rows=len(self._macs),
            row_macs_sha384=self.sha384(),
            created=datetime.now(UTC).replace(microsecond=0),
        )

    def sha384(self) -> str:
        """Over the MACs in ascending order of ids."""
        return hashlib.sha384(b"".join(self._macs[each] for each in sorted(self._macs))).hexdigest()


def with_macs(given: Batches, macs: TableMacs) -> Iterator[pa.RecordBatch]:
    """An empty batch, then the rows with `row_mac`, in place of one they had. SpecError for a null or repeated id."""
    kept = [at for at, name in enumerate(given.schema.names) if name != ROW_MAC]
    schema = pa.schema([given.schema.field(at) for at in kept]).append(pa.field(ROW_MAC, pa.binary()))
    yield pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in schema], schema=schema)
    row = 0
    for batch in given.batches:
        found = list[bytes]()
        for row_id, mac in macs.of(batch, row):
            if mac is None:
                what = "has no id" if row_id is None else "has the id of a row before it"
                raise SpecError(f"row {row + len(found)} {what}", remedy="Name a column with an id of each row.")
            found.append(mac)
        columns = [*(batch.column(at) for at in kept), pa.array(found, pa.binary())]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        row += batch.num_rows


def check_table(given: Batches, file: ColumnsFile, key: bytes, stated: TableStatement) -> TableCheck:
    """Compare a table with what was stated of it, after the statement was verified."""
    macs = TableMacs(given.schema, file, key, row_id=stated.id, version=stated.version)
    if macs.columns != stated.columns:
        differ = ", ".join(sorted(set(macs.columns) ^ set(stated.columns)))
        raise TableRefused(f"table and statement differ in the encrypted columns {differ}", remedy=AGAIN)
    written, found = _written(given.schema), TableCheck()
    for batch in given.batches:
        for (row_id, mac), value in zip(macs.of(batch, found.rows), written(batch), strict=True):
            if mac is None:
                found.faults.append(RowFault(row=found.rows, fault="no id" if row_id is None else "repeated id"))
            elif value is None or not hmac.compare_digest(value, mac):
                found.faults.append(RowFault(row=found.rows, fault="mac"))
            found.rows += 1
    found.same = found.rows == stated.rows and macs.sha384() == stated.row_macs_sha384
    return found


def _written(schema: pa.Schema) -> Callable[[pa.RecordBatch], list[bytes | None]]:
    """Reads the column of MACs: bytes, or as text hexadecimal or base64; null for anything else."""
    at = _position(schema, ROW_MAC)
    kind = plain_type(schema.types[at])
    if kind not in (pa.binary(), pa.string()):
        raise ColumnError(f"{ROW_MAC} has no MACs", columns=(ROW_MAC,), remedy=AGAIN)
    return lambda batch: [_read_mac(each) for each in decoded(batch.column(at), kind).cast(pa.binary()).to_pylist()]


def _read_mac(value: bytes | None) -> bytes | None:
    if value is None or len(value) == _MAC_BYTES:
        return value
    try:
        digits = _HEX.fullmatch(value)
        return b64_decode(value.decode("ascii")) if digits is None else hex_decode(digits[1].decode().lower())
    except (StrictError, UnicodeDecodeError):
        return None


def _position(schema: pa.Schema, name: str) -> int:
    found = [at for at, each in enumerate(schema.names) if each == name]
    if len(found) != 1:
        what = "the table has no column" if not found else "the table has twice the column"
        raise ColumnError(f"{what} {name}", columns=(name,), remedy="Select it once. It has the names of columns.toml.")
    return found[0]
