"""Kinds of files: recognised by their content, and refused where name and content disagree."""

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from cji_client.errors import SpecError
from cji_client.files import INPUT_SUFFIXES, read_file
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec

TABLE = pa.table({"record_id": ["007", None], "DOB": ["1982-02-XX", "19151111"]})
PERSON = InputSpec(schema="person/1")


def fitted(path: Path) -> FittedSource:
    return fit(read_file(path, PERSON), PERSON)


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "<a/>")
    return buffer.getvalue()


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
    source = fitted(path)
    for _ in range(2):
        opened = source.open()
        assert pa.Table.from_batches(opened.batches, schema=opened.schema).to_pydict() == TABLE.to_pydict()
    assert source.schema.metadata == {b"cji.schema": b"person/1"}


def test_the_rows_of_a_file_are_known_before_they_are_sent(tmp_path: Path) -> None:
    """Else a worker can show no per cent, and nobody would notice a file that ends early."""
    pyarrow.csv.write_csv(TABLE, tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text('record_id,DOB\n1,\n\n"",19150101\n3,""')
    pyarrow.parquet.write_table(TABLE, tmp_path / "c.parquet")
    with pa.ipc.new_file(tmp_path / "d.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=1)
    for name in ("a.csv", "b.csv", "c.parquet", "d.arrow"):
        source = fitted(tmp_path / name)
        assert source.rows == sum(batch.num_rows for batch in source.open().batches) > 1, name


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"PAR1canary", "is a Parquet file, not a text file"),
        ("a.csv", b"ARROW1\0\0canary", "is an Arrow file, not a text file"),
        ("a.parquet", b"last,first\n", "is a text file, not a Parquet file"),
        ("a.xlsx", b"last,first\n", r"is a text file, not an Excel workbook \(.xlsx\)"),
        ("a.arrow", b"PAR1canary", "is a Parquet file, not an Arrow file"),
        ("a.txt", b"PK\x03\x04canary", "is an Excel workbook"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1canary", r"old Excel workbook \(.xls\), or one with a password"),
        ("a.csv", b"%PDF-1.7", "is a PDF document"),
        ("a.csv", b"\x1f\x8bcanary", "compressed by gzip"),
        ("a.csv", b"\xef\xbb\xbf  <html>", "is a web page"),
        ("a.xml", b"<!DOCTYPE HTML><html>", "is a web page"),
        ("a.csv", b"<?xml version='1.0'?><canary/>", "is an XML file, not a text file"),
        ("a.xml", b"last,first\n", "is a text file, not an XML file"),
        ("a.csv", b'{"a": 1}', "is JSON"),
        ("a.txt", b'[{"a": 1}]', "is JSON"),
        ("a.csv", b"SQLite format 3\0", "is a SQLite database"),
        ("a.csv", b"\xff\xfe\0\0l\0\0\0", "UTF-32"),
        ("a.xls", b"canary", "a.xls is not one of .csv"),
        ("people", b"canary", "people is not one of .csv"),
        ("a.xlsx", archive("[Content_Types].xml", "word/document.xml"), "not an Excel workbook"),
        ("a.xlsx", archive("[Content_Types].xml", "xl/workbook.bin"), r"binary Excel workbook \(.xlsb\)"),
        ("a.xlsx", b"PK\x03\x04canary", "is not a whole ZIP archive"),
        ("a.parquet", b"PAR1canary", "cannot be read"),
        ("a.arrow", b"ARROW1\0\0canary", "cannot be read"),
        ("a.arrow", b"\xff\xff\xff\xffcanary", "cannot be read"),
    ],
)
def test_wrong_kinds_are_named_without_their_content(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SpecError, match=says) as caught:
        list(fitted(path).open().batches)
    assert "canary" not in str(caught.value) + caught.value.remedy


def test_a_renamed_file_is_found_by_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    pyarrow.parquet.write_table(TABLE, path)
    with pytest.raises(SpecError) as caught:
        fitted(path)
    assert "Rename it to people.parquet" in caught.value.remedy
    assert fitted(path.rename(tmp_path / "people.parquet")).rows == 2


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    for suffix in INPUT_SUFFIXES:
        with pytest.raises(SpecError, match=f"absent{suffix} cannot be read"):
            fitted(tmp_path / f"absent{suffix}")
