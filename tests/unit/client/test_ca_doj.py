"""Extracts of the California Department of Justice, with and without names, as events of criminal histories."""

from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.ca_doj import COLUMNS, events, open_extract
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec

ROW = {
    "SUBJECT_ID": "1",
    "PRI_DOB": "19700102",
    "CYC_ORDER": "1",
    "FE_NUM_CRT_CASE": "04CR0001",
    "CNT_ORDER": "001002001",
    "STP_EVENT_DATE": "20040315",
    "STP_TYPE_DESCR": "COURT ACTION",
    "STP_ORI_CODE": "CA0000000",
    "STP_ORI_CNTY_NAME": "EXAMPLE",
    "OFFENSE_CODE": "35036",
    "OFFENSE_DESCR": "11358 HS-CULTIVATE, PLANT",
    "OFFENSE_TOC": "M",
    "DISP_DATE": "20040401",
    "DISP_DESCR": "CONVICTED",
    "CONV_STAT_DESCR": "FELONY",
    "SENT_LOC_DESCR": "JAIL",
    "SENT_LENGTH": "012",
    "SENT_TIME_CODE": "M",
    "COMMENT_TEXT": " a comment ",
}
EVENT = {
    "subject": b"1",
    "ORI": b"CA0000000",
    "DOB": b"19700102",
    "cycle": b"1",
    "case": b"04CR0001",
    "count": b"001002001",
    "event": b"COURT ACTION",
    "date": b"20040315",
    "county": b"EXAMPLE",
    "offense_code": b"35036",
    "offense": b"11358 HS-CULTIVATE, PLANT",
    "level": b"FELONY",
    "disposition": b"CONVICTED",
    "disposition_date": b"20040401",
    "sentence": b"JAIL",
    "sentence_length": b"012M",
    "comment": b"a comment",
    "deceased": False,
}


def line(row: dict[str, str], separator: str = ",", more: tuple[str, ...] = ()) -> str:
    values = [row.get(name, "") for name in COLUMNS]
    quoted = [f'"{value}"' if separator in value else value for value in (*values, *more)]
    return separator.join(quoted)


def read(path: Path) -> list[dict[str, object]]:
    schema, batches = open_extract(path)
    found: list[dict[str, object]] = pa.Table.from_batches(list(batches), schema=schema).to_pylist()
    return found


def test_the_layout_has_95_columns() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 95
    assert (COLUMNS[0], COLUMNS[14], COLUMNS[40], COLUMNS[54], COLUMNS[80], COLUMNS[93]) == (
        "RECORD_ID",
        "PRI_DOB",
        "STP_EVENT_DATE",
        "OFFENSE_DESCR",
        "DISP_DESCR",
        "COMMENT_TEXT",
    )


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("more", [(), ("",)])
def test_a_file_is_read_with_and_without_names(
    tmp_path: Path, separator: str, named: bool, more: tuple[str, ...]
) -> None:
    head = separator.join((*COLUMNS, *(("last",) if more else ()))) + "\r\n" if named else ""
    path = tmp_path / "extract.dat"
    path.write_text(head + line(ROW, separator, more) + "\r\n", newline="")
    assert read(path) == [EVENT]


def test_names_may_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "extract.csv"
    names = sorted(COLUMNS)
    path.write_text("\ufeff" + ",".join(names) + "\n" + ",".join(f'"{ROW.get(name, "")}"' for name in names) + "\n")
    assert read(path) == [EVENT]


def test_levels_lengths_and_deaths_are_made(tmp_path: Path) -> None:
    rows = [
        ROW | {"CONV_STAT_DESCR": ""},
        ROW | {"CONV_STAT_DESCR": " ", "OFFENSE_TOC": ""},
        ROW | {"SENT_LENGTH": "", "SENT_TIME_CODE": ""},
        ROW | {"SENT_LENGTH": "", "SENT_TIME_CODE": "", "SENT_LOC_DESCR": "FINE"},
        ROW | {"STP_TYPE_DESCR": "DECEASED", "DISP_DESCR": ""},
    ]
    path = tmp_path / "extract.csv"
    path.write_bytes("\n".join(map(line, rows)).encode() + b"\n")
    found = read(path)
    assert [row["level"] for row in found[:3]] == [b"M", None, b"FELONY"]
    assert [row["sentence_length"] for row in found] == [b"012M", b"012M", None, b"0D", b"012M"]
    assert [row["deceased"] for row in found] == [False, False, False, False, True]
    assert found[4]["disposition"] is None


def test_an_offense_that_was_changed_at_conviction(tmp_path: Path) -> None:
    """What was charged is not what the person was convicted of: code, section and level are those of the conviction."""
    new = {"CONV_OFFENSE_CODE": "35029", "CONV_OFFENSE_DESCR": "11357(A) HS-POSSESS", "CONV_OFFENSE_TOC": "M"}
    rows = [
        ROW | new,
        ROW | new | {"CONV_STAT_DESCR": "", "OFFENSE_TOC": "F"},
        ROW | {"CONV_OFFENSE_DESCR": "459 PC", "CONV_STAT_DESCR": "", "OFFENSE_TOC": "F"},
        ROW | {"CONV_OFFENSE_TOC": "M", "CONV_STAT_DESCR": "", "OFFENSE_TOC": "F"},
    ]
    path = tmp_path / "extract.csv"
    path.write_text("\n".join(map(line, rows)) + "\n")
    assert [[row[name] for name in ("offense_code", "offense", "level")] for row in read(path)] == [
        [b"35029", b"11357(A) HS-POSSESS", b"FELONY"],
        [b"35029", b"11357(A) HS-POSSESS", b"M"],
        [None, b"459 PC", None],
        [b"35036", b"11358 HS-CULTIVATE, PLANT", b"F"],
    ]


def test_bytes_of_another_encoding_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "extract.csv"
    path.write_bytes(line(ROW | {"COMMENT_TEXT": "PEÑA"}).encode("latin-1") + b"\n")
    assert read(path)[0]["comment"] == "PEÑA".encode("latin-1")


def test_a_table_in_memory_is_read_by_names() -> None:
    table = pa.table({name: [ROW.get(name)] for name in (*COLUMNS, "expected")})
    assert events(table).to_pylist() == [EVENT]
    with pytest.raises(SpecError, match="no column PRI_DOB"):
        events(table.drop_columns(["PRI_DOB"]))


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "SUBJECT_ID,SUBJECT_ID\n", ",".join(COLUMNS[:-2]) + "\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "extract.csv"
    path.write_text(text)
    with pytest.raises(SpecError):
        open_extract(path)


def test_an_extract_is_a_source_of_events(tmp_path: Path) -> None:
    path = tmp_path / "extract.dat"
    path.write_text(line(ROW) + "\n")
    spec = InputSpec(schema="chri_event/2", layout="ca_doj")
    source = read_file(path, spec)
    assert [batch.num_rows for batch in fit(source, spec).open().batches] == [1]
    path.write_text(line(ROW) + "\n" + "short,row\n")
    with pytest.raises(SpecError, match=r"extract\.dat cannot be read"):
        fit(source, spec)


@pytest.mark.parametrize(
    "fields",
    [
        {"schema": "person/1"},
        {"schema": "chri_event/2", "rename": {"a": "b"}},
        {"schema": "chri_event/2", "drop": ("a",)},
    ],
)
def test_a_layout_makes_events_and_nothing_else(fields: dict[str, object]) -> None:
    InputSpec(schema="chri_event/2", layout="ca_doj")
    with pytest.raises(ValueError, match="layout ca_doj"):
        InputSpec(layout="ca_doj", **fields)  # type: ignore[arg-type]
