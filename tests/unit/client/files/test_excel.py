"""Excel workbooks: the values that a person sees, one sheet, nothing lost silently."""

import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec
from tests.support.workbooks import package, sheet_xml, workbook


def fitted(path: Path, **fields: object) -> FittedSource:
    spec = InputSpec(**{"schema": "person/1", **fields})  # type: ignore[arg-type]
    return fit(read_file(path, spec), spec)


def records(path: Path, **fields: object) -> dict[str, list[object]]:
    source = fitted(path, **fields)
    table = pa.Table.from_batches(source.open().batches, schema=source.schema)
    assert table.num_rows == source.rows
    found: dict[str, list[object]] = table.to_pydict()
    return found


def crafted(path: Path, rows: str) -> Path:
    path.write_bytes(package(rows))
    return path


HEAD = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>last</t></is></c><c r="B1" t="inlineStr"><is><t>SOC</t></is></c></row>'
)


def test_values_are_those_that_a_person_sees(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["record_id", "SOC", "postcode", "DOB", "last", "first"],
        [7, 1234567, 501, datetime.datetime(1982, 2, 14), "O'Neil ", True],
        ["007", 123456789.0, 94110, "02/14/1982", None, 1.5],
        [None, None, None, None, None, None],
        [9, "XXX-XX-1234", None, datetime.date(1999, 12, 31), "Müller", -5],
    ]
    formats = {"B2": r"000\-00\-0000", "C2": "00000"}
    path = workbook(tmp_path / "a.xlsx", {"People": rows}, formats)
    assert records(path) == {
        "record_id": ["7", "007", "9"],
        "SOC": ["001234567", "123456789", "XXX-XX-1234"],
        "postcode": ["00501", "94110", None],
        "DOB": ["19820214", "19820214", "19991231"],
        "last": ["O'Neil ", None, "Müller"],
        "first": ["true", "1.5", "-5"],
    }
    assert fitted(path).notes == ("a.xlsx: sheet People, 6 columns", "DOB: dates in MM/DD/YYYY")


def test_dates_since_1904_and_times_of_day(tmp_path: Path) -> None:
    rows: list[list[object]] = [["DOB", "last"], [datetime.datetime(1982, 2, 14, 13, 30), datetime.time(8, 15)]]
    assert records(workbook(tmp_path / "a.xlsx", {"People": rows})) == {"DOB": ["19820214"], "last": ["08:15:00"]}


def test_the_sheet_has_to_be_named_if_there_are_several(tmp_path: Path) -> None:
    rows = [["last"], ["neumann"]]
    path = workbook(tmp_path / "a.xlsx", {"Notes": [], "People": rows, "Empty": []})
    assert records(path) == {"last": ["neumann"]}
    two = workbook(tmp_path / "b.xlsx", {"A": rows, "B": [["last"], ["painter"]]})
    for fields, says in (({}, "has 2 sheets with rows"), ({"sheet": "C"}, "has no sheet C")):
        with pytest.raises(SpecError, match=says) as caught:
            fitted(two, **fields)
        assert "one of: A, B" in caught.value.remedy
    assert records(two, sheet="B") == {"last": ["painter"]}


def test_rows_are_those_that_a_person_sees(tmp_path: Path) -> None:
    rows: list[list[object]] = [[], ["last", "DOB"], [], ["a", "19820214"], [], ["b", "x"], ["c", "x"]]
    path = workbook(tmp_path / "a.xlsx", {"A": rows})
    with pytest.raises(SpecError, match="cannot be read as dates; row 6 of sheet A: found A"):
        fitted(path)
    found = fitted(workbook(tmp_path / "b.xlsx", {"A": [[], ["last"], [], ["a"]]}))
    assert (found.place(0), found.place(7)) == ("row 4 of sheet A", "row 7")


def test_the_header_is_the_first_row_with_values(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"A": [[], [], [" last ", "first", None], ["a", "b"], [], ["c"]]})
    assert records(path) == {"last": ["a", "c"], "first": ["b", None]}
    for header, found in ((["last", "last"], "columns 1 and 2 have the same"), (["a", None, "b"], "column 2 has none")):
        path = workbook(tmp_path / "b.xlsx", {"A": [header]})
        with pytest.raises(SpecError, match=f"row 1 of sheet A must have distinct column names: {found}"):
            fitted(path)
    wide = workbook(tmp_path / "c.xlsx", {"A": [["last"], ["a"], ["b", "canary"]]})
    with pytest.raises(SpecError, match="row 3 of the sheet has a value beyond its 1 columns"):
        fitted(wide)


def test_errors_in_cells_are_missing_and_counted(tmp_path: Path) -> None:
    rows = HEAD + '<row r="2"><c r="A2" t="e"><v>#N/A</v></c><c r="B2"><v>5</v></c></row>'
    source = fitted(crafted(tmp_path / "a.xlsx", rows))
    assert source.notes[-1] == "a.xlsx: 1 cells with an error, such as #N/A, are sent as missing"
    assert pa.Table.from_batches(source.open().batches).to_pydict() == {"last": [None], "SOC": ["5"]}


def test_a_wrong_size_in_the_file_does_not_cut_the_sheet(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    sheet = sheet_xml(HEAD + '<row r="9"><c r="B9"><v>9</v></c></row>')
    sized = sheet.replace("<sheetData>", '<dimension ref="A1:A2"/><sheetData>')
    path.write_bytes(package(parts={"xl/worksheets/sheet1.xml": sized}))
    assert records(path) == {"last": [None], "SOC": ["9"]}


def test_a_large_sheet_streams(tmp_path: Path) -> None:
    rows = "".join(f'<row r="{r}"><c r="A{r}"><v>{r}</v></c></row>' for r in range(2, 12_002))
    source = fitted(crafted(tmp_path / "a.xlsx", HEAD + rows))
    sizes = [batch.num_rows for batch in source.open().batches]
    assert (source.rows, sum(sizes), len(sizes)) == (12_000, 12_000, 3)
