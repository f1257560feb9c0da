"""Results on disk: all of them or none, private, and never over something that is there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from cji_client.errors import SpecError
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
