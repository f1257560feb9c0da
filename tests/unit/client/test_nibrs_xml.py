"""Files of NIBRS XML become rows: cut out where they are plain, else through expat, and the same either way."""

from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from cji_client import nibrs_xml
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec
from tests.support import nibrs_xml as made
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_xml_tools import lines_of, records, rows_of

ROWS: Final = [row.decode() for report in REPORTS.values() for row in rows_of(lines(report))]
SPEC: Final = InputSpec(schema="nibrs.xml/2019.1")
PLAIN: Final = made.document(ROWS)


def read(path: Path, data: bytes) -> list[bytes]:
    path.write_bytes(data)
    source = fit(read_file(path, SPEC), SPEC)
    table = pa.Table.from_batches(source.open().batches, schema=source.schema)
    assert table.num_rows == source.rows
    rows: list[bytes] = table["report"].to_pylist()
    return rows


def test_reports_of_a_plain_file_are_cut_out_of_it(tmp_path: Path) -> None:
    assert read(tmp_path / "a.xml", PLAIN) == [row.encode() for row in ROWS]


FORMS: Final = {
    "comments": PLAIN.replace(b"<nc:Incident>", b"<!-- <nibrs:Report> & </nibrs:Report> --><nc:Incident>"),
    "indented": PLAIN.replace(b"><", b">\n\t<"),
    "other prefixes": PLAIN.replace(b"nc:", b"core:").replace(b"xmlns:nc=", b"xmlns:core="),
    "a default namespace": PLAIN.replace(b"nibrs:", b"").replace(b"xmlns:nibrs=", b"xmlns="),
    "declared again": PLAIN.replace(b"<nc:Incident>", b'<nc:Incident xmlns:x="urn:x">'),
    "sections": PLAIN.replace(b">VT0010000<", b"><![CDATA[VT0010000]]><"),
    "references": PLAIN.replace(b">VT0010000<", b">VT00&#49;0000<"),
    "instructions": PLAIN.replace(b"<nc:Incident>", b"<?x <nibrs:Report>?><nc:Incident>"),
    "single quotes": PLAIN.replace(b'"', b"'"),
    "attributes": PLAIN.replace(b"<nc:Incident>", b'<nc:Incident xsi:type="nc:IncidentType" a="&lt;">'),
    "utf-16": PLAIN.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "latin 1": PLAIN.replace(b"UTF-8", b"ISO-8859-1").replace(b"<nibrs:Report>", b"<!-- \xe9 --><nibrs:Report>"),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_document_gives_the_same_records(name: str, tmp_path: Path) -> None:
    assert FORMS[name] != PLAIN
    expected = lines_of(records([row.encode() for row in ROWS]))
    assert lines_of(records(read(tmp_path / "a.xml", FORMS[name]))) == expected


def test_blocks_of_the_file_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (7, 1000):
        monkeypatch.setattr(nibrs_xml, "_BLOCK", size)
        for data in (PLAIN, FORMS["comments"], FORMS["other prefixes"]):
            assert len(read(tmp_path / "a.xml", data)) == len(ROWS)


def test_batches_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nibrs_xml, "_BATCH_BYTES", 5_000)
    path = tmp_path / "a.xml"
    path.write_bytes(PLAIN)
    _, batches = nibrs_xml.read_xml(path)
    sizes = [batch.nbytes for batch in batches]
    assert len(sizes) > 5
    assert max(sizes) < 6_000


NOT_READ: Final = {
    "no XML": (b"0087I012020", "not well-formed XML .line 1, column 1."),
    "empty": (b"", "not well-formed"),
    "cut off": (PLAIN[:-30], "not well-formed XML .line"),
    "no report": (made.document([]), "has no nibrs:Report"),
    "another document": (b"<a><b/></a>", "has no nibrs:Report"),
    "an encoding that is none": (PLAIN.replace(b"UTF-8", b"klingon"), "not well-formed"),
    "an encoding that expat has not": (PLAIN.replace(b"UTF-8", b"UTF-7"), "not well-formed"),
    "a document type": (PLAIN.replace(b"?>", b"?><!DOCTYPE a>", 1), "document type or an entity"),
    "bad bytes": (PLAIN.replace(b">20-12345<", b">20-\xff<"), "not well-formed XML .line"),
    "another namespace": (PLAIN.replace(b"cjis/nibrs/2019", b"cjis/nibrs/4.0"), "has no nibrs:Report"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_file_that_cannot_be_used_is_refused_by_line(name: str, tmp_path: Path) -> None:
    data, message = NOT_READ[name]
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    with pytest.raises(SpecError, match=message) as refused:
        nibrs_xml.read_xml(path)
    assert refused.value.remedy


@pytest.mark.parametrize("empty", ["<nibrs:Report/>", "<nibrs:Report />", "<nibrs:Report></nibrs:Report>"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_empty_report_is_a_row_too(empty: str, place: int, tmp_path: Path) -> None:
    rows = read(tmp_path / "a.xml", made.document([*ROWS[:place], empty, *ROWS[place:2]]))
    assert len(rows) == 3
    assert records(rows).unread_rows.tolist() == [place]
