"""Text files of records: delimiters, encodings, fixed positions, lines; each fault named by row and column."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec

WIDTHS = {"record_id": (1, 3), "last": (4, 11), "DOB": (13, 20)}


def fitted(path: Path, content: bytes | str, **fields: object) -> FittedSource:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    spec = InputSpec(**{"schema": "person/1", **fields})  # type: ignore[arg-type]
    return fit(read_file(path, spec), spec)


def records(path: Path, content: bytes | str, **fields: object) -> dict[str, list[object]]:
    source = fitted(path, content, **fields)
    table = pa.Table.from_batches(source.open().batches, schema=source.schema)
    assert table.num_rows == source.rows
    found: dict[str, list[object]] = table.to_pydict()
    return found


def refusal(path: Path, content: bytes | str, **fields: object) -> str:
    with pytest.raises(SpecError) as caught:
        list(fitted(path, content, **fields).open().batches)
    assert "canary" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~"])
def test_delimiters_are_guessed_and_reported(tmp_path: Path, delimiter: str) -> None:
    text = 'record_id,last,DOB\n007,"O,Neil",1982-02-14\n8,,\n'.replace(",", delimiter)
    path = tmp_path / "a.csv"
    assert records(path, text) == {
        "record_id": ["007", "8"],
        "last": [f"O{delimiter}Neil", None],
        "DOB": ["1982-02-14", None],
    }
    names = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
    assert fitted(path, text).notes[0] == f"a.csv: utf-8, 3 columns, delimiter {names.get(delimiter, delimiter)}"
    assert records(path, text, delimiter=delimiter) == records(path, text)


def test_a_delimiter_that_does_not_decide_has_to_be_stated(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert "could be split by a comma or a semicolon" in refusal(path, "last;x,first\na;b,c\n")
    assert records(path, "last;x,first\na;b,c\n", delimiter=",", rename={"last;x": "last"}) == {
        "last": ["a;b"],
        "first": ["c"],
    }
    assert "split by a comma, line 3 has 3 fields, wanted 2" in refusal(path, "last,first\na,b\nc,d,e\n")
    assert records(path, "last\nneumann\n\npainter\n") == {"last": ["neumann", "painter"]}


def test_the_sample_may_end_within_a_row(tmp_path: Path) -> None:
    rows = "".join(f'{i},"a\n{i}, b"\n' for i in range(20_000))
    found = records(tmp_path / "a.csv", f"record_id,last\n{rows}")
    assert found["last"] == [f"a\n{i}, b" for i in range(20_000)]


def test_rows_of_another_width_are_named(tmp_path: Path) -> None:
    text = "record_id,last\n" + "1,a\n" * 50_000 + "canary\n" + "2,b\n"
    assert refusal(tmp_path / "a.csv", text) == "a.csv: line 50002 has 1 fields, wanted 2"


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("windows-1252", "Müller €".encode("cp1252")),
        ("iso-8859-1", "Müller".encode("latin-1")),
        ("iso-8859-15", "Müller €".encode("iso-8859-15")),
        ("cp437", "Müller".encode("cp437")),
        ("cp850", "Müller".encode("cp850")),
        ("utf-16-le", "Müller".encode("utf-16-le")),
        ("utf-16-be", "Müller".encode("utf-16-be")),
        ("cp037", "Müller".encode("cp037")),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, data: bytes) -> None:
    head = "last,first\n".encode(encoding)
    content = head + data + ",x\n".encode(encoding)
    assert records(tmp_path / "a.csv", content, encoding=encoding)["last"] == [data.decode(encoding)]
    assert encoding in fitted(tmp_path / "a.csv", content, encoding=encoding).notes[0]


def test_marks_of_encodings_are_followed(tmp_path: Path) -> None:
    path, text = tmp_path / "a.csv", "last\nMüller\n"
    for codec, name in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16")):
        assert records(path, text.encode(codec)) == {"last": ["Müller"]}
        assert records(path, text.encode(codec), encoding=name) == {"last": ["Müller"]}
        assert "begins with the mark" in refusal(path, text.encode(codec), encoding="windows-1252")
    assert "NUL bytes" in refusal(path, text.encode("utf-16-le"))


def test_bytes_of_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = b"".join(b'%d,"x\ny"\n' % i for i in range(30_000))
    found = refusal(path, b"record_id,last\n" + rows + b"\n4,M\xfcller canary\n")
    assert found == "a.csv: line 60003, column last: found a byte that is not utf-8, wanted utf-8 text"
    assert "line 2, column last: found a byte that is not windows-1252" in refusal(
        path, b"last,first\n\x81,b\n", encoding="windows-1252"
    )
    assert "line 3, column last" in refusal(
        path, "last\na\n".encode("utf-16-le") + b"\x00\xd8\x41\x00", encoding="utf-16-le"
    )
    assert "names of columns: found a byte that is not utf-8" in refusal(path, b"l\xe9st,first\na,b\n")
    wide = refusal(tmp_path / "b.txt", b"001M\xfcller  \n", fixed_width={"record_id": (1, 3), "last": (4, 11)})
    assert wide == "b.txt: line 1, column last: found a byte that is not utf-8, wanted utf-8 text"


def test_headers_must_have_distinct_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text, found in {
        "\n\n": "; it has blank lines only",
        "last,last\na,b\n": ": columns 1 and 2 have the same",
        "last,\na,b\n": ": column 2 has none",
        "\nMaster name index,,\nlast,first,DOB\n": ": column 2 has none",
        "DOB,last, last \na,b,c\n": ": columns 2 and 3 have the same",
    }.items():
        assert refusal(path, text).endswith(f"distinct column names{found}")
    assert refusal(path, ",".join(f"c{n}" for n in range(4097))).endswith("has 4097 columns; 4096 can be read")
    for text in ("last,first", "last,first\n", "\n last ,first\n\n"):
        assert records(path, text) == {"last": [], "first": []}


def test_lines_are_those_of_an_editor(tmp_path: Path) -> None:
    """The header, blank lines and the lines of a quoted value count."""
    for end in ("\n", "\r\n", "\r"):
        text = end.join(("", "record_id,last,DOB", '1,"a', 'b",19820214', "", "2,b,x", ""))
        assert "values cannot be read as dates; line 6: found" in refusal(tmp_path / "a.csv", text + "3,c,x")
    assert fitted(tmp_path / "b.csv", 'record_id,last\n1,"a\n"\n2,b\n').place(1) == "line 4"
    assert (
        fitted(tmp_path / "c.dat", "001x\n\n002y\n", fixed_width={"record_id": (1, 3), "last": (4, 4)}).place(1)
        == "line 3"
    )


def test_a_row_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text in (f"last,first\n{'x' * (3 << 20)},b\n", 'last,first\n"' + "a,b\n" * (1 << 19)):
        assert "longer than 1048576 bytes, or its quote is not closed" in refusal(path, text)
    assert "line 2 is longer than 65536 bytes" in refusal(
        tmp_path / "a.txt", "a\n" + "x" * 100_000, schema="nibrs.flat/3.1"
    )


def test_fixed_width(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    text = "007neumann  19820214\n008\n\n009 o neil  02/14/82\r\n   Müller   19991231  \n"
    assert records(path, text.replace("02/14/82", "19870501"), fixed_width=WIDTHS) == {
        "record_id": ["007", "008", "009", None],
        "last": ["neumann", None, "o neil", "Müller"],
        "DOB": ["19820214", None, "19870501", "19991231"],
    }
    assert fitted(path, "007neumann", fixed_width=WIDTHS).notes == ("a.txt: utf-8, 3 columns of fixed width",)
    assert records(path, "007neumann  19820214".encode("cp037"), fixed_width=WIDTHS, encoding="cp037")["last"] == [
        "neumann"
    ]


def test_no_part_of_a_fixed_width_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    assert refusal(path, "007\n009neumann X19820214", fixed_width=WIDTHS) == (
        "a.dat: line 2 has characters in positions 12 to 12, which belong to no column"
    )
    assert refusal(path, "007neumann  19820214F", fixed_width=WIDTHS) == (
        "a.dat: line 1 has characters after position 20, which belong to no column"
    )
    more = {**WIDTHS, "flag": (12, 12), "rest": (21, 99)}
    assert records(path, "007neumann X19820214F", fixed_width=more, drop=("flag", "rest"))["DOB"] == ["19820214"]


@pytest.mark.parametrize(
    "widths", [{"last": (2, 1)}, {"last": (1, 3), "first": (3, 5)}, {"last": (1, 9), "first": (2, 3)}]
)
def test_tables_of_positions_do_not_overlap(widths: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="do not overlap"):
        InputSpec(schema="person/1", fixed_width=widths)
    with pytest.raises(ValueError, match="either a delimiter or fixed_width"):
        InputSpec(schema="person/1", fixed_width={"last": (1, 2)}, delimiter=",")


def test_lines_of_a_submission_are_not_changed(tmp_path: Path) -> None:
    content = b"00871I\xff  \r\n\n\x00x"
    for name in ("a.txt", "a.dat"):
        assert records(tmp_path / name, content, schema="nibrs.flat/3.1") == {
            "segment": [b"00871I\xff  \r", b"", b"\x00x"]
        }
    many = b"".join(b"%d\n" % i for i in range(40_000))
    assert records(tmp_path / "b.txt", many, schema="nibrs.flat/3.1")["segment"] == many.splitlines()
    assert records(tmp_path / "c.csv", "segment\n0087\n", schema="nibrs.flat/3.1") == {"segment": [b"0087"]}


def test_fields_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    for name, fields in (
        ("a.csv", {"sheet": "x"}),
        ("a.txt", {"schema": "nibrs.flat/3.1", "encoding": "utf-8"}),
        ("a.txt", {"schema": "nibrs.flat/3.1", "delimiter": ";"}),
        ("a.txt", {"fixed_width": WIDTHS, "sheet": "x"}),
    ):
        assert "is not a file that" in refusal(tmp_path / name, "last,first\na,b\n", **fields)


def test_a_file_that_changes_between_its_readings_is_refused(tmp_path: Path) -> None:
    source = fitted(tmp_path / "a.csv", "last\na\nb\n")
    (tmp_path / "a.csv").write_text("last\na\n")
    with pytest.raises(SpecError, match="changed while it was read: 2 rows, then 1"):
        list(source.open().batches)
