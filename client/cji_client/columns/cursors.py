"""Rows that a driver fetches: a cursor of the Python Database API (PEP 249) as a source of records.

    def query():
        return pyodbc.connect(SETTINGS).cursor().execute("SELECT PersonId, LastName, SSN FROM dbo.Persons")

    worker.run(rows_of(query), "job.toml")

A connection without column encryption gives encrypted columns as bytes: leave out `ColumnEncryption=Enabled` (ODBC),
`Column Encryption Setting=enabled` (other drivers).

A function is called twice: once to check every row, and once more while the job is sent, in another thread. Few drivers
let two threads share a connection, so it opens one of its own. Rows come in batches. A cursor itself is read to its end
at once, and its rows stay in memory.
"""

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, Protocol, TypeAlias

import pyarrow as pa

from cji_client.errors import ColumnTypeError, SpecError
from cji_client.sources import Batches, Source

_ROWS: Final = 4_096


class Cursor(Protocol):
    """The part of a cursor that is used, after a query was executed."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """A sequence for each column, that begins with its name."""

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]:
        """The next rows; none at the end."""


Rows: TypeAlias = "Cursor | Callable[[], Cursor]"

_TYPES: Final[dict[type, pa.DataType]] = {
    bytes: pa.binary(),
    bytearray: pa.binary(),
    memoryview: pa.binary(),
    str: pa.string(),
    uuid.UUID: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    decimal.Decimal: pa.decimal256(76, 38),
    datetime.date: pa.date32(),
    datetime.datetime: pa.timestamp("us"),
}
"""By the type of a column's values in Python. Drivers of ODBC state it in the description of the cursor."""


def rows_of(rows: Rows) -> Source:
    """The rows of a cursor, or of each cursor that a function returns."""
    if callable(rows):
        return lambda: _opened(_executed(rows))
    return list(_opened(rows).batches)


def _executed(query: Callable[[], Cursor]) -> Cursor:
    try:
        return query()
    except Exception as error:  # noqa: BLE001 - a driver has errors of its own, whose texts may have values
        raise SpecError(
            f"the query cannot be executed ({type(error).__name__})",
            remedy="Try it alone. It is executed again in another thread: open a connection in the function.",
        ) from None


def _opened(cursor: Cursor) -> Batches:
    if cursor.description is None:
        raise SpecError("the cursor has no rows", remedy="Execute a SELECT with it first.")
    names = [str(column[0]) for column in cursor.description]
    first = _fetched(cursor)
    columns = list(zip(*first, strict=True)) if first else [() for _ in names]
    stated = [column[1] if len(column) > 1 else None for column in cursor.description]
    schema = pa.schema([(name, _type(kind, values)) for name, kind, values in zip(names, stated, columns, strict=True)])
    return Batches(schema=schema, batches=_batches(cursor, first, schema))


def _batches(cursor: Cursor, first: Sequence[Sequence[Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
    row = 0
    for rows in chain((first,), iter(lambda: _fetched(cursor), [])):
        columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
        arrays = [_array(values, field, row) for values, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        row += len(rows)


def _fetched(cursor: Cursor) -> list[Sequence[Any]]:
    try:
        return list(cursor.fetchmany(_ROWS))
    except Exception as error:  # noqa: BLE001 - a driver has errors of its own, whose texts may have values
        raise SpecError(f"the driver gives no more rows ({type(error).__name__})") from None


def _type(stated: object, values: Iterable[Any]) -> pa.DataType:
    """By the first value, else by what the driver states of the column; text where nothing is known."""
    first = next((type(value) for value in values if value is not None), stated)
    known = first if isinstance(first, type) else None
    return _TYPES.get(known, pa.string()) if known is not None else pa.string()


def _array(values: Sequence[Any], field: pa.Field, first_row: int) -> pa.Array:
    if field.type == pa.binary():
        plain = [bytes(value) if isinstance(value, bytearray | memoryview) else value for value in values]
    elif field.type == pa.string():
        plain = [str(value) if isinstance(value, uuid.UUID) else value for value in values]
    else:
        plain = list(values)
    try:
        return pa.array(plain, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        index = next(at for at, value in enumerate(plain) if _unfit(value, field.type))
        raise ColumnTypeError(
            f"row {first_row + index}, column {field.name}: found a value of the type {type(plain[index]).__name__}, "
            f"wanted {field.type}, as in the rows before it",
            column=field.name,
            found=type(plain[index]).__name__,
            wanted=str(field.type),
            row=first_row + index,
            remedy="Cast the column in the query, so that all of its values have one type.",
        ) from None


def _unfit(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return True
    return False
