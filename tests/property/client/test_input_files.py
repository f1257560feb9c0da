"""Files of records: what was written is read, in every format; any bytes are read or refused, never anything else."""

import csv
import io
import string
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final, get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_client.date_formats import CANDIDATES, DateFormat
from cji_client.errors import SpecError
from cji_client.files import INPUT_SUFFIXES, read_file
from cji_client.sources import fit
from cji_client.spec import Encoding, InputSpec
from tests.support.workbooks import package, workbook

NAMES: Final = ("record_id", "last", "first")
VISIBLE: Final = st.text(st.characters(codec="windows-1252", exclude_categories=["Cc", "Cs", "Zs"]), max_size=8)
RAW: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


def records(path: Path, spec: InputSpec) -> list[tuple[str | None, ...]]:
    source = fit(read_file(path, spec), spec)
    table = pa.Table.from_batches(source.open().batches, schema=source.schema)
    assert source.rows == table.num_rows
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def expected(rows: Sequence[Sequence[str]]) -> list[tuple[str | None, ...]]:
    return [tuple(value or None for value in row) for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("input")


def rows_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, ...]]]:
    return st.lists(st.tuples(st.just("r"), values, values), max_size=20)


@given(rows=rows_of(RAW), delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]))
def test_text_with_delimiters(folder: Path, rows: list[tuple[str, ...]], delimiter: str, end: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([NAMES, *rows])
    (folder / "a.csv").write_bytes(text.getvalue().encode())
    spec = InputSpec(schema="person/1", delimiter=delimiter)
    assert records(folder / "a.csv", spec) == expected(rows)


@given(rows=rows_of(VISIBLE), encoding=st.sampled_from(get_args(Encoding)))
def test_every_encoding(folder: Path, rows: list[tuple[str, ...]], encoding: str) -> None:
    with suppress(UnicodeEncodeError):
        content = "\n".join(
            ["\t".join(NAMES), *("\t".join(f'"{v.replace(chr(34), chr(39))}"' for v in row) for row in rows)]
        )
        (folder / "b.csv").write_bytes(content.encode(encoding))
        spec = InputSpec(schema="person/1", delimiter="\t", encoding=encoding)  # type: ignore[arg-type]
        wanted = [tuple(v.replace('"', "'") for v in row) for row in rows]
        assert records(folder / "b.csv", spec) == expected(wanted)


@given(rows=rows_of(VISIBLE.map(lambda v: v.replace("\x1f", ""))), gap=st.integers(0, 3))
def test_fixed_positions(folder: Path, rows: list[tuple[str, ...]], gap: int) -> None:
    widths = {name: (1 + at * (8 + gap), 8 + at * (8 + gap)) for at, name in enumerate(NAMES)}
    lines = [(" " * gap).join(value.ljust(8) for value in row).rstrip(" ") for row in rows]
    (folder / "c.txt").write_text("".join(f"{line}\n" for line in ["x".ljust(8), *lines]))
    found = records(folder / "c.txt", InputSpec(schema="person/1", fixed_width=widths))
    assert found == [("x", None, None), *expected(rows)]


@settings(max_examples=30)
@given(rows=rows_of(st.text(string.printable.strip() + "é", max_size=6).filter(lambda v: not v.startswith("="))))
def test_workbooks(folder: Path, rows: list[tuple[str, ...]]) -> None:
    path = workbook(folder / "d.xlsx", {"People": [NAMES, *rows]})
    assert records(path, InputSpec(schema="person/1")) == expected(rows)


@given(rows=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=20))
def test_lines(folder: Path, rows: list[bytes]) -> None:
    (folder / "e.txt").write_bytes(b"0\n" + b"\n".join(rows))
    found: Sequence[object] = records(folder / "e.txt", InputSpec(schema="nibrs.flat/3.1"))
    whole = rows[:-1] if rows and not rows[-1] else rows
    assert found == [(b"0",), *((row,) for row in whole)]


@given(data=st.binary(max_size=200), suffix=st.sampled_from(INPUT_SUFFIXES), fixed=st.booleans())
def test_any_bytes_are_read_or_refused(folder: Path, data: bytes, suffix: str, fixed: bool) -> None:
    path = folder / f"f{suffix}"
    for content in (data, b"PK\x03\x04" + data, b"PAR1" + data, b"ARROW1\0\0" + data, b"last,DOB\n" + data):
        path.write_bytes(content)
        for schema in ("person/1", "nibrs.flat/3.1"):
            with suppress(SpecError):
                records(path, InputSpec(schema=schema, fixed_width={"last": (2, 4)} if fixed else {}))


@given(rows=st.text(max_size=100))
def test_any_rows_of_a_sheet_are_read_or_refused(folder: Path, rows: str) -> None:
    (folder / "g.xlsx").write_bytes(package(rows.encode("utf-8", "replace").decode()))
    with suppress(SpecError):
        records(folder / "g.xlsx", InputSpec(schema="person/1"))


DAYS: Final = st.lists(st.dates(date(1800, 1, 1), date(9999, 12, 31)), min_size=1, max_size=20)


@given(days=DAYS, form=st.sampled_from(CANDIDATES))
def test_dates_in_a_stated_format_are_read(days: list[date], form: DateFormat) -> None:
    table = pa.table({"DOB": [written(day, form.text) for day in days]})
    source = fit(table, InputSpec(schema="person/1", date_format=form.text))
    assert pa.Table.from_batches(source.open().batches)["DOB"].to_pylist() in (
        [f"{day:%Y%m%d}" for day in days],
        [f"{day:%Y-%m-%d}" for day in days] if form.text == "YYYY-MM-DD" else None,
    )


@given(days=DAYS, form=st.sampled_from(CANDIDATES))
def test_found_formats_are_right_or_refused(days: list[date], form: DateFormat) -> None:
    """A day is never read as another one: where month and day could be exchanged, the column is refused."""
    table = pa.table({"DOB": [written(day, form.text) for day in days]})
    with suppress(SpecError):
        found = pa.Table.from_batches(fit(table, InputSpec(schema="person/1")).open().batches)["DOB"].to_pylist()
        read = {
            value.replace("-", "") for value, raw in zip(found, table["DOB"].to_pylist(), strict=True) if value != raw
        }
        assert read <= {f"{day:%Y%m%d}" for day in days}


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=20))
def test_any_text_in_a_column_of_dates(values: list[str | None]) -> None:
    """Read, sent as it is, or refused: no value is lost."""
    table = pa.table({"DOB": pa.array(values, pa.string())})
    with suppress(SpecError):
        found = (
            pa.Table.from_batches(fit(table, InputSpec(schema="person/1")).open().batches, schema=None)[
                "DOB"
            ].to_pylist()
            if values
            else []
        )
        assert [value is None for value in found] == [value is None for value in values]


def written(day: date, text: str) -> str:
    months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    parts = {"YYYY": f"{day.year:04d}", "MON": months[day.month - 1], "MM": f"{day.month:02d}", "DD": f"{day.day:02d}"}
    for name, value in parts.items():
        text = text.replace(name, value, 1)
    return text
