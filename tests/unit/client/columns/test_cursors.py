"""Rows that drivers fetch: a cursor of sqlite3 is a real peer, whose BLOBs stand for the varbinary of SQL Server."""

import datetime
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cji_client.columns.cursors import rows_of
from cji_client.errors import ColumnTypeError, SpecError
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec
from tests.support.cells_of_form import cell, unusable, written

ROWS = 9_000
QUERY = "SELECT id, SSN, n FROM people ORDER BY n"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (id TEXT, SSN BLOB, n INTEGER)")
    rows = ((f"p{n}", None if n % 5 == 0 else cell(n % 7), n) for n in range(ROWS))
    connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
    yield connection
    connection.close()


@pytest.fixture
def spec(tmp_path: Path) -> InputSpec:
    return InputSpec(
        schema="person/1", columns=written(tmp_path, ("SSN", "SOC")), rename={"id": "record_id"}, drop=("n",)
    )


def read(source: FittedSource) -> pa.Table:
    return pa.Table.from_batches(source.open().batches, source.schema)


def test_a_query_is_read_twice_and_counted(database: sqlite3.Connection, spec: InputSpec) -> None:
    found = fit(rows_of(lambda: database.execute(QUERY)), spec)
    assert (found.rows, found.sealed) == (ROWS, ("SOC",))
    table = read(found)
    assert table["SOC"].to_pylist() == [None if n % 5 == 0 else cell(n % 7) for n in range(ROWS)]
    assert table["record_id"].to_pylist() == [f"p{n}" for n in range(ROWS)]


def test_a_cursor_is_read_at_once(database: sqlite3.Connection, spec: InputSpec) -> None:
    source = rows_of(database.execute(QUERY))
    database.execute("DELETE FROM people")
    found = fit(source, spec)
    assert found.rows == ROWS
    assert read(found).num_rows == read(found).num_rows == ROWS


def test_a_plain_value_is_refused_by_its_row(database: sqlite3.Connection, spec: InputSpec) -> None:
    database.execute("UPDATE people SET SSN = '078-05-1120' WHERE n = 8123")
    with unusable(ColumnTypeError, "row 8123, column SSN (SOC): found 11 bytes", remedy="as ciphertext"):
        fit(rows_of(lambda: database.execute(QUERY)), spec)
    with unusable(ColumnTypeError, "row 8123, column SSN (SOC): found 11 bytes"):
        fit(rows_of(database.execute(QUERY)), spec)


def test_no_rows_and_no_query(database: sqlite3.Connection, spec: InputSpec) -> None:
    none = fit(rows_of(lambda: database.execute(f"SELECT * FROM ({QUERY}) WHERE n < 0")), spec)
    assert (none.rows, read(none).num_rows) == (0, 0)
    with unusable(SpecError, "the cursor has no rows", remedy="Execute a SELECT"):
        fit(rows_of(database.cursor), spec)
    with unusable(SpecError, "the query cannot be executed (OperationalError)", remedy="open a connection"):
        fit(rows_of(lambda: database.execute("SELECT secret FROM people")), spec)


def test_values_of_two_types_are_refused_by_row(database: sqlite3.Connection, spec: InputSpec) -> None:
    database.execute("UPDATE people SET n = 'x' WHERE n = 5000")  # text comes after all numbers
    with unusable(ColumnTypeError, "row 8999, column n: found a value of the type str", remedy="Cast the column"):
        fit(rows_of(lambda: database.execute(QUERY)), spec)


def test_a_driver_that_fails_shows_no_value(database: sqlite3.Connection, spec: InputSpec) -> None:
    def broken(value: str) -> str:
        if value == "p5000":
            raise ValueError(value)
        return value

    database.create_function("broken", 1, broken)
    with unusable(SpecError, "the driver gives no more rows (OperationalError)"):
        fit(rows_of(lambda: database.execute("SELECT broken(id) AS id, SSN, n FROM people")), spec)


class Driver:
    """A cursor whose rows have the types of drivers for ODBC: description with types, bytearray, UUID, date."""

    def __init__(self, description: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]) -> None:
        self.description, self._rows = description, iter([rows, []])

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]:
        return next(self._rows)[:size]


def test_types_that_drivers_give_fit_the_schema(tmp_path: Path) -> None:
    name = uuid.UUID("01234567-89AB-CDEF-0123-456789ABCDEF")
    columns = (("SSN", bytearray), ("record_id", uuid.UUID), ("DOB", datetime.date), ("SID", Decimal), ("FBI", str))
    rows = [
        (bytearray(cell(1)), name, datetime.date(1982, 2, 14), Decimal("7.00"), None),
        (memoryview(cell(2)), None, None, None, None),
    ]
    spec = InputSpec(schema="person/1", columns=written(tmp_path, ("SSN", "SOC")))
    table = read(fit(rows_of(Driver(columns, rows)), spec))
    assert table.to_pylist() == [
        {"SOC": cell(1), "record_id": str(name), "DOB": "19820214", "SID": "7", "FBI": None},
        {"SOC": cell(2), "record_id": None, "DOB": None, "SID": None, "FBI": None},
    ]
    nothing = [(None, "a", None, None, None)]
    assert read(fit(rows_of(Driver(columns, nothing)), spec))["SOC"].to_pylist() == [None]
