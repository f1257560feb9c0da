"""Cells of encrypted columns on their way into a job: taken as they lie, refused by their form, never read."""

import base64
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from cji_client.errors import ColumnError, ColumnTypeError, SpecError
from cji_client.files import read_file
from cji_client.sources import FittedSource, Source, fit
from cji_client.spec import InputSpec
from tests.support.cells_of_form import cell, columns_toml, unusable, written

CELLS = [cell(1), None, cell(2, blocks=4), cell(3, blocks=2)]
SSN = ("SSN", "SOC")
BORN = ("Born", "DOB")


def fitted(source: Source, columns: Path, schema: str = "person/1", **fields: object) -> FittedSource:
    return fit(source, InputSpec(schema=schema, columns=columns, **fields))  # type: ignore[arg-type]


def cells_of(source: FittedSource, name: str = "SOC") -> list[bytes | None]:
    found: list[bytes | None] = pa.Table.from_batches(source.open().batches)[name].to_pylist()
    return found


def test_a_column_without_a_cell_is_named(tmp_path: Path) -> None:
    """As of a path that no document of Cosmos DB has: nothing else shows that its name is wrong."""
    for cells, said in (([None, None], True), ([None, CELLS[0]], False), ([CELLS[0], None], False)):
        table = pa.table({"id": ["a", "b"], "SSN": pa.array(cells, pa.binary())})
        found = fitted(table, written(tmp_path, SSN), rename={"id": "record_id"})
        assert ("SSN: no cell was found: every row that was read is null" in found.notes) is said


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_binary_cells_are_sent_as_they_lie(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"id": list("abcd"), "SSN": pa.array(CELLS, kind)})
    found = fitted(table, written(tmp_path, SSN, BORN), rename={"id": "record_id"})
    assert (found.schema.names, found.schema.field("SOC").type) == (["record_id", "SOC"], pa.binary())
    assert cells_of(found) == CELLS
    assert found.sealed == ("SOC",)
    assert found.notes == ("SSN: encrypted cells, sent as SOC without being opened",)
    plain = InputSpec(schema="person/1", rename={"id": "record_id"})
    with unusable(ColumnError, "unknown: SSN", remedy="need `columns` there"):
        fit(table, plain)


def test_cells_of_pandas_are_bytes_objects(tmp_path: Path) -> None:
    frame = pd.DataFrame({"SSN": CELLS, "record_id": list("abcd")})
    assert cells_of(fitted(frame, written(tmp_path, SSN))) == CELLS


@pytest.mark.parametrize(
    ("write", "coding"),
    [
        (lambda data: "0x" + data.hex().upper(), "hexadecimal"),
        (lambda data: data.hex(), "hexadecimal"),
        (lambda data: base64.b64encode(data).decode(), "base64"),
    ],
    ids=["0x", "hex", "base64"],
)
def test_cells_in_csv_are_hexadecimal_or_base64(tmp_path: Path, write: Callable[[bytes], str], coding: str) -> None:
    (tmp_path / "people.csv").write_text(
        "id,SSN\n" + "".join(f"{at},{'' if data is None else write(data)}\n" for at, data in enumerate(CELLS))
    )
    spec = InputSpec(schema="person/1", columns=written(tmp_path, SSN), rename={"id": "record_id"})
    found = fit(read_file(tmp_path / "people.csv", spec), spec)
    assert cells_of(found) == CELLS
    assert found.notes[-1] == f"SSN: encrypted cells, sent as SOC without being opened, from {coding}"


def test_cells_come_from_parquet_and_arrow_files(tmp_path: Path) -> None:
    table = pa.table({"SSN": pa.array(CELLS, pa.binary())})
    pyarrow.parquet.write_table(table, tmp_path / "people.parquet")
    with pa.ipc.new_file(tmp_path / "people.arrow", table.schema) as writer:
        writer.write_table(table)
    spec = InputSpec(schema="person/1", columns=written(tmp_path, SSN))
    for name in ("people.parquet", "people.arrow"):
        assert cells_of(fit(read_file(tmp_path / name, spec), spec)) == CELLS


def test_a_workbook_of_cells_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "people.xlsx").write_bytes(b"PK\x03\x04")
    with unusable(SpecError, "not a file that columns could apply to", remedy="Parquet, Arrow or CSV"):
        read_file(tmp_path / "people.xlsx", InputSpec(schema="person/1", columns=written(tmp_path, SSN)))


CANARY = "4815-16-2342"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (CANARY.encode(), "12 bytes, which no cell has"),
        (cell(1)[:-1], "64 bytes, which no cell has"),
        (cell(1) + b"\0", "66 bytes, which no cell has"),
        (cell(1)[:49], "49 bytes, which no cell has"),
        (b"", "0 bytes, which no cell has"),
        (b"\x02" + cell(1)[1:], "65 bytes that do not begin with 0x01"),
        (CANARY.ljust(65).encode(), "65 bytes that do not begin with 0x01"),
    ],
    ids=["plain", "cut", "longer", "no-block", "empty", "version", "plain-65"],
)
def test_a_value_without_the_form_of_a_cell_is_refused(tmp_path: Path, value: bytes, found: str) -> None:
    table = pa.table({"SSN": pa.array([*CELLS, *CELLS, value, b"?"], pa.binary())})
    with unusable(
        ColumnTypeError, f"row 8, column SSN (SOC): found {found}", remedy="without column encryption"
    ) as error:
        fitted(table, written(tmp_path, SSN))
    assert CANARY not in str(error.value)
    assert (error.value.row, error.value.columns) == (8, ("SOC",))


@pytest.mark.parametrize("value", [CANARY, "0x0", "0xzz", "01 02", "A", "AQ", "\u00e9", cell(1).hex()[:-1]])
def test_text_that_is_no_cell_is_refused_by_row(tmp_path: Path, value: str) -> None:
    texts = [None if each is None else each.hex() for each in CELLS]
    with unusable(ColumnTypeError, "row 4, column SSN (SOC): found", remedy="without column encryption") as error:
        fitted(pa.table({"SSN": [*texts, value]}), written(tmp_path, SSN))
    assert CANARY not in str(error.value)


def test_the_first_row_that_is_no_cell_is_the_one_named(tmp_path: Path) -> None:
    with unusable(ColumnTypeError, "row 1, column SSN (SOC): found 3 bytes"):
        fitted(pa.table({"SSN": [cell(1).hex(), "012345", "plain"]}), written(tmp_path, SSN))


@pytest.mark.parametrize("values", [[1], [1.5], [True], [[b"a"]]])
def test_a_column_of_another_type_is_refused(tmp_path: Path, values: list[object]) -> None:
    with unusable(ColumnTypeError, "wanted cells: the column is encrypted by columns.toml", remedy="as ciphertext"):
        fitted(pa.table({"SSN": values}), written(tmp_path, SSN))


def test_dates_and_flags_that_are_sealed_are_not_read(tmp_path: Path) -> None:
    table = pa.table({"Born": pa.array(CELLS, pa.binary())})
    found = fitted(table, written(tmp_path, BORN), date_format="MM/DD/YYYY")
    assert cells_of(found, "DOB") == CELLS
    flags = fitted(
        pa.table({"Closed": pa.array(CELLS, pa.binary())}),
        written(tmp_path, ("Closed", "sealed"), schema="chri_event/1"),
        schema="chri_event/1",
    )
    assert cells_of(flags, "sealed") == CELLS
    with unusable(ColumnTypeError, "wanted bool"):
        fit(pa.table({"sealed": pa.array(CELLS, pa.binary())}), InputSpec(schema="chri_event/1"))


@pytest.mark.parametrize("marker", [2, 3, 4, 5])
def test_cells_of_cosmos_db_have_a_marker(tmp_path: Path, marker: int) -> None:
    columns = written(tmp_path, ("/ssn", "SOC"), form="cosmos_db")
    marked = [cell(1, marker=marker), None]
    assert cells_of(fitted(pa.table({"/ssn": pa.array(marked, pa.binary())}), columns)) == marked
    for bad in (cell(1), cell(1, marker=1), cell(1, marker=6), bytes([marker]) + cell(1)[:-1]):
        with unusable(ColumnTypeError, "row 0, column /ssn (SOC): found"):
            fitted(pa.table({"/ssn": pa.array([bad], pa.binary())}), columns)


def test_a_plain_column_with_the_name_of_a_sealed_one_is_refused(tmp_path: Path) -> None:
    with unusable(ColumnTypeError, "row 0, column SOC: found"):
        fitted(pa.table({"SOC": ["078-05-1120"]}), written(tmp_path, SSN))


def test_columns_toml_has_to_fit_the_input(tmp_path: Path) -> None:
    columns = written(tmp_path, SSN)
    cells = pa.array(CELLS, pa.binary())
    with unusable(SpecError, "columns.toml describes person/1, and the input has the schema hotfile/1"):
        fitted(pa.table({"SSN": cells}), columns, schema="hotfile/1")
    with unusable(SpecError, "columns.toml and rename both name the column SSN"):
        fitted(pa.table({"SSN": cells}), columns, rename={"SSN": "SOC"})
    with unusable(ColumnError, "none of the encrypted columns of cjis.dbo.Persons"):
        fitted(pa.table({"last": ["a"]}), columns)
    with unusable(SpecError, "two columns of the input have one name: SOC"):
        fitted(pa.table({"SSN": cells, "SOC": cells}), columns)
    columns.write_text(columns_toml(SSN, rights='"seal"'))
    with unusable(ColumnError, "no job may open SSN", remedy="add the right"):
        fitted(pa.table({"SSN": cells}), columns)


def test_an_input_read_once_is_checked_while_it_is_sent(tmp_path: Path) -> None:
    good = pa.record_batch({"SSN": pa.array(CELLS, pa.binary())})
    bad = pa.record_batch({"SSN": pa.array([b"plain"], pa.binary())})
    source = fitted(iter([good, bad]), written(tmp_path, SSN))
    with unusable(ColumnTypeError, "row 4, column SSN (SOC)"):
        list(source.open().batches)
