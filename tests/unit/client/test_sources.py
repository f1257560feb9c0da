"""Records on their way in: what a worker takes, from whatever the submitter has."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from worker.client.errors import SpecError
from worker.client.sources import Source, open_source, read_file
from worker.job import LIMITS

TABLE = pa.table({"record_id": ["007", None], "DOB": ["1982-02-XX", "19151111"]})


def read(source: Source, schema: str = "person/1") -> pa.Table:
    opened = open_source(source, schema)
    return pa.Table.from_batches(opened.batches, schema=opened.schema)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".CSV"])
def test_files_keep_their_text_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"people{suffix}"
    match suffix.lower():
        case ".csv":
            pyarrow.csv.write_csv(TABLE, path)
        case ".parquet":
            pyarrow.parquet.write_table(TABLE, path)
        case _:
            with pa.ipc.new_stream(path, TABLE.schema) as writer:
                writer.write_table(TABLE)
    source = read_file(path, rename={"DOB": "DOB"})
    for _ in range(2):
        assert read(source).to_pydict() == TABLE.to_pydict()
    assert read(source).schema.metadata == {b"cji.schema": b"person/1"}


def test_the_rows_of_a_file_are_known_before_they_are_read(tmp_path: Path) -> None:
    """Else a worker can tell no per cent, and nobody would notice a file that ends early."""
    pyarrow.csv.write_csv(TABLE, tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text('record_id,DOB\n1,\n\n"",19150101\n3,""')
    pyarrow.parquet.write_table(TABLE, tmp_path / "c.parquet")
    with pa.ipc.new_file(tmp_path / "d.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=1)
    (tmp_path / "e.txt").write_bytes(b"one\ntwo")
    for name in ("a.csv", "b.csv", "c.parquet", "d.arrow", "e.txt"):
        schema = "nibrs.flat/3.1" if name == "e.txt" else "person/1"
        opened = open_source(read_file(tmp_path / name, rename={}), schema)
        assert opened.rows == sum(batch.num_rows for batch in opened.batches) > 1, name


def test_a_value_may_have_lines_across_blocks_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("record_id,last\n" + "".join(f'{i},"a\n{i}"\n' for i in range(200_000)))
    table = read(read_file(path, rename={}))
    assert table["last"].to_pylist() == [f"a\n{i}" for i in range(200_000)]


def test_columns_are_renamed(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("id,born\n7,1915\n")
    assert read(read_file(path, rename={"id": "record_id", "born": "DOB"})).column_names == ["record_id", "DOB"]
    with pytest.raises(SpecError, match="no column absent"):
        read(read_file(path, rename={"absent": "DOB"}))


def test_every_form_of_source(tmp_path: Path) -> None:
    batches = TABLE.to_batches()
    for source in (
        TABLE,
        batches[0],
        batches,
        iter(batches),
        pa.RecordBatchReader.from_batches(TABLE.schema, batches),
        TABLE.to_reader(),
    ):
        assert read(source).to_pydict() == TABLE.to_pydict()
    with pytest.raises(SpecError, match="without batches"):
        read([])
    assert read(TABLE.slice(0, 0)).num_rows == 0


def test_encodings_that_workers_refuse_are_undone() -> None:
    for column in (
        pa.array(["a", None]).dictionary_encode(),
        pa.array(["a", None], pa.large_string()),
        pa.array(["a", None], pa.string_view()),
    ):
        table = pa.table({"record_id": column})
        assert read(table).schema.field("record_id").type == pa.string()
        assert read(table)["record_id"].to_pylist() == ["a", None]
    assert read(pa.table({"record_id": pa.array([b"a"], pa.large_binary())})).schema.types == [pa.binary()]
    assert read(pa.table({"record_id": pa.nulls(2)})).schema.types == [pa.string()]


def test_batches_have_at_most_the_rows_that_workers_take() -> None:
    rows = 2 * LIMITS.batch_rows + 1
    opened = open_source(pa.table({"record_id": ["x"] * rows}).combine_chunks(), "person/1")
    sizes = [batch.num_rows for batch in opened.batches]
    assert sum(sizes) == rows
    assert len(sizes) > 2
    assert max(sizes) <= LIMITS.batch_rows
    assert opened.rows == rows


@pytest.mark.parametrize(
    ("table", "schema", "says"),
    [
        (pa.table({"colour": ["red"]}), "person/1", "colour"),
        (pa.table({"DOB": [1.5]}), "person/1", "DOB"),
        (pa.table({"record_id": ["a"]}), "person/2", "the schemas are"),
        (pa.table({"record_id": ["a"]}), "nibrs.flat/3.1", "missing: segment"),
    ],
)
def test_what_does_not_fit_is_named(table: pa.Table, schema: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        open_source(table, schema)


def test_batches_must_agree() -> None:
    one, other = pa.table({"record_id": ["a"]}), pa.table({"DOB": ["a"]})
    with pytest.raises(SpecError, match="columns"):
        read([*one.to_batches(), *other.to_batches()])


def test_broken_files_are_told_without_their_content(tmp_path: Path) -> None:
    for name, content in {
        "a.csv": b"",
        "b.csv": b"record_id,record_id\n1,2\n",
        "c.csv": b"record_id\n\xff\xfecanary\n",
        "d.csv": b"record_id,DOB\ncanary\n",
        "e.parquet": b"canary",
        "f.arrow": b"canary",
        "g.arrow": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SpecError, match=name) as caught:
            read(read_file(path, rename={}))
        assert "canary" not in str(caught.value)
    with pytest.raises(SpecError, match="not one of"):
        read_file(tmp_path / "people.xlsx", rename={})
    with pytest.raises(SpecError, match="absent"):
        read(read_file(tmp_path / "absent.csv", rename={}))
