"""Cells of a result on their way back into a table: by key, by form, and unread."""

import sqlite3

import pyarrow as pa

from cji_client.columns.back import CellRows
from cji_client.errors import ColumnError, SpecError
from tests.support.cells_of_form import TOKEN, cell, columns_file, unusable

FILE = columns_file(("SSN", "SOC"), rest=TOKEN)
TOKENS = [cell(n) if n % 3 else None for n in range(7)]
IDS = [f"p{n}" for n in range(7)]


def batches(tokens: object = TOKENS, kind: pa.DataType | None = None) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = pa.table({"record_id": IDS, "token": pa.array(tokens, kind)}).to_batches(3)
    return found


def test_rows_update_a_table_by_their_key() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE people (id TEXT PRIMARY KEY, Token BLOB)")
    database.executemany("INSERT INTO people (id) VALUES (?)", ((each,) for each in IDS))
    rows = CellRows(batches(), FILE, key="record_id")
    assert rows.names == ("Token",)
    database.executemany(f"UPDATE people SET {rows.names[0]} = ? WHERE id = ?", rows.parameters())
    assert database.execute("SELECT id, Token FROM people ORDER BY id").fetchall() == list(
        zip(IDS, TOKENS, strict=True)
    )
    assert list(CellRows(batches(), FILE, key="record_id")) == list(zip(IDS, TOKENS, strict=True))


def test_plain_values_are_not_written_as_cells() -> None:
    remedy = "so that the worker seals the column"
    with unusable(ColumnError, "result has token in plain text", remedy=remedy):
        list(CellRows(batches(["t"] * 7), FILE, key="record_id"))
    with unusable(ColumnError, "row 4 of result, column token: found 5 bytes", remedy=remedy):
        list(CellRows(batches([*TOKENS[:4], b"plain", *TOKENS[5:]], pa.binary()), FILE, key="record_id"))


def test_columns_that_are_not_there_are_named() -> None:
    with unusable(SpecError, "no column of clusters in [[results]]"):
        CellRows(batches(), FILE, key="record_id", output="clusters")
    with unusable(ColumnError, "result has no column SID", remedy="It has record_id, token."):
        list(CellRows(batches(), FILE, key="SID"))
