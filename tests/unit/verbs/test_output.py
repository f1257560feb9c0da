"""Results on disk: all of them or none, private, and never over something that is there."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from cji_client.errors import SpecError
from cji_client.files.excel import read_excel
from cji_client.spec import InputSpec
from cji_core.command import workbook
from cji_core.command.output import Target, write_batches

TABLE = pa.table(
    {
        "row": pa.array([0, 1, 2], pa.uint64()),
        "codes": pa.array([[], [101, 105], None], pa.list_(pa.uint16())),
    }
)


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """As the SDK gives them: the schema first, as a batch of 0 rows."""
    yield pa.RecordBatch.from_pylist([], schema=table.schema)
    yield from table.to_batches(max_chunksize=2)


def test_a_folder_appears_at_once_or_not_at_all(tmp_path: Path) -> None:
    target = Target(tmp_path / "out", suffix=".csv")
    with target.writing() as folder:
        (folder / "result.csv").write_text("x")
        assert not (tmp_path / "out").exists()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with contextlib.suppress(KeyboardInterrupt), Target(tmp_path / "other", suffix=".csv").writing() as folder:
        (folder / "result.csv").write_text("x")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with Target(tmp_path / "out", suffix=".csv").writing() as folder:
        (folder / "result.csv").write_text("x")
    assert (tmp_path / "out" / "result.csv").read_text() == "x"


def test_files_take_the_stem_of_the_result(tmp_path: Path) -> None:
    with Target(tmp_path / "t.parquet", suffix=".csv").writing() as folder:
        for name in ("result.parquet", "row_status.parquet", "receipt.jws"):
            (folder / name).write_text(name)
    assert {p.name for p in tmp_path.iterdir()} == {"t.parquet", "t.row_status.parquet", "t.receipt.jws"}
    assert (tmp_path / "t.parquet").read_text() == "result.parquet"


@pytest.mark.parametrize("out", ["full", "file", "t.csv", "absent/out"])
def test_nothing_is_overwritten(tmp_path: Path, out: str) -> None:
    (tmp_path / "full").mkdir()
    for name in ("full/x", "file", "t.receipt.jws"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(SpecError):
        Target(tmp_path / out, suffix=".csv")
    assert (tmp_path / "full" / "x").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No space left"), Target(tmp_path / "out", suffix=".csv").writing():
        Path("/dev/full").write_text("x" * 10000)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(SpecError, match="/proc cannot be written"), Target(Path("/proc/out"), suffix=".csv").writing():
        pytest.fail("there is nowhere to write to")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
@pytest.mark.parametrize("rows", [0, 3])
def test_tables_are_written_batch_by_batch(tmp_path: Path, suffix: str, rows: int) -> None:
    path, table = tmp_path / f"t{suffix}", TABLE.slice(0, rows)
    write_batches(path, batches(table))
    assert path.stat().st_mode & 0o777 == 0o600
    match suffix:
        case ".csv":
            lines = path.read_text().splitlines()
            assert lines == ['"row","codes"', '0,""', '1,"101 105"', "2,"][: rows + 1]
        case ".parquet":
            assert pyarrow.parquet.read_table(path).to_pydict() == table.to_pydict()
        case _:
            assert pa.ipc.open_file(path).read_all().to_pydict() == table.to_pydict()


FORMULAS = pa.table(
    {
        "=name": ["=1+1", "007", None, "-12.5", "a<b>&\"'", " x "],
        "k": pa.array([0, 1, 2, 3, 4, 2**60], pa.uint64()),
    }
)


def test_safe_csv_guards_texts_and_names_of_columns(tmp_path: Path) -> None:
    write_batches(tmp_path / "t.csv", batches(FORMULAS), guard=True)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[:5] == ['"\'=name","k"', '"\'=1+1",0', '"007",1', ",2", '"-12.5",3']
    write_batches(tmp_path / "u.csv", batches(FORMULAS))
    assert (tmp_path / "u.csv").read_text().splitlines()[:2] == ['"=name","k"', '"=1+1",0']


def test_all_cells_of_a_workbook_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    write_batches(path, batches(FORMULAS))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["t.xlsx"]
    cells = [cell for row in openpyxl.load_workbook(path).worksheets[0].iter_rows() for cell in row if cell.value]
    assert {cell.data_type for cell in cells} == {"s"}
    assert {cell.number_format for cell in cells} == {"@"}
    read = pa.Table.from_batches(read_excel(path, InputSpec(schema="x/1")).batches)
    assert read.to_pydict() == {"=name": FORMULAS["=name"].to_pylist(), "k": ["0", "1", "2", "3", "4", str(2**60)]}


@pytest.mark.parametrize("rows", [0, 4, 5])
def test_a_long_table_goes_on_in_a_further_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    write_batches(tmp_path / "t.xlsx", batches(FORMULAS.slice(0, rows)))
    sheets = openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets
    found = [[cell.value for cell in sheet["B"]] for sheet in sheets]
    assert (
        found
        == {0: [["k"]], 4: [["k", "0", "1"], ["k", "2", "3"]], 5: [["k", "0", "1"], ["k", "2", "3"], ["k", "4"]]}[rows]
    )


def test_what_a_workbook_cannot_hold_is_refused(tmp_path: Path) -> None:
    long = pa.table({"a": ["x" * 32_768]})
    with pytest.raises(SpecError, match="column a has more than 32767 characters"):
        write_batches(tmp_path / "t.xlsx", batches(long))
    wide = pa.table({f"c{n}": ["x"] for n in range(16_385)})
    with pytest.raises(SpecError, match="more than 16384 columns"):
        write_batches(tmp_path / "u.xlsx", batches(wide))


def test_characters_that_xml_has_not_are_escaped(tmp_path: Path) -> None:
    write_batches(tmp_path / "t.xlsx", batches(pa.table({"a": ["\x00\x1f\r\n\t\ufffe", "_x0041_"]})))
    cells = [cell.value for cell in openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[0]["A"]]
    assert cells == ["a", "_x0000__x001F__x000D_\n\t_xFFFE_", "_x005F_x0041_"]


def test_a_workbook_that_the_disk_does_not_take_ends(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, before[1]))
    try:
        with (
            pytest.raises(SpecError, match="File too large"),
            Target(tmp_path / "out", suffix=".xlsx").writing() as folder,
        ):
            write_batches(folder / "result.xlsx", batches(FORMULAS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
