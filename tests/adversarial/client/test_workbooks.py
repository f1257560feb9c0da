"""Hostile workbooks: each is refused in bounded time and memory, by name, before anything is sent.

Ids as in the pitfalls: E08 is expansion, E13 values, E14 rows that are dropped silently.
"""

import io
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import pytest

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.files.workbook import MOST_ROWS
from cji_client.sources import fit
from cji_client.spec import InputSpec
from tests.support.paths import ROOT
from tests.support.workbooks import MAIN, package, sheet_xml

HEAD = '<row r="1"><c r="A1" t="inlineStr"><is><t>last</t></is></c></row>'
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
STYLES = "xl/styles.xml"
MIB = 1 << 20


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    spec = InputSpec(schema="person/1")
    with pytest.raises(SpecError) as caught:
        list(fit(read_file(path, spec), spec).open().batches)
    assert "canary" not in str(caught.value)
    return str(caught.value)


def with_doctype(xml: str, doctype: str) -> str:
    return f'<?xml version="1.0"?>{doctype}{xml}'


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "canary">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("part", [SHEET, STRINGS, STYLES, "xl/workbook.xml", "[Content_Types].xml", "xl/media/a.png"])
@pytest.mark.parametrize("doctype", [LAUGHS, FILE, "<!DOCTYPE x>", '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">'])
def test_e08_document_types_and_entities(tmp_path: Path, part: str, doctype: str) -> None:
    """In every part, since the workbook says which of them is a sheet."""
    xml = with_doctype(sheet_xml('<row r="1"><c r="A1"><v>1</v></c></row>'), doctype)
    assert "has a document type" in refusal(tmp_path / "a.xlsx", package(parts={part: xml}))


def test_e08_entities_in_utf16(tmp_path: Path) -> None:
    xml = with_doctype(sheet_xml(HEAD), LAUGHS).replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16")
    assert "has a document type" in refusal(tmp_path / "a.xlsx", package(parts={SHEET: xml}))


@pytest.mark.parametrize("part", [SHEET, STRINGS, "xl/media/a.png"])
def test_e08_a_part_that_expands_a_thousandfold(tmp_path: Path, part: str) -> None:
    bomb = package(parts={part: f'<sst xmlns="{MAIN}">{" " * (64 * MIB)}</sst>'})
    assert len(bomb) < MIB
    assert "expands to far more than its size" in refusal(tmp_path / "a.xlsx", bomb)


def test_e08_sizes_that_lie(tmp_path: Path) -> None:
    """A part that is larger than the directory states ends at that size, with a wrong checksum."""
    content = bytearray(package(parts={STRINGS: f'<sst xmlns="{MAIN}">{" " * (64 * MIB)}</sst>'}))
    entry = content.rfind(STRINGS.encode()) - 46
    assert content[entry : entry + 4] == b"PK\1\2"
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    assert "damaged" in refusal(tmp_path / "a.xlsx", bytes(content))


def archive_of(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"xl/{number}", b"")
    return buffer.getvalue()


def test_e08_archives_of_many_parts(tmp_path: Path) -> None:
    assert "has more than 2048 parts" in refusal(tmp_path / "a.xlsx", archive_of(3000))
    large = bytearray(package())
    end = large.rfind(b"PK\5\6")
    locator = b"PK\6\7" + bytes(16)
    assert "has more than 2048 parts" in refusal(tmp_path / "b.xlsx", bytes(large[:end] + locator + large[end:]))


def test_e08_other_methods_and_passwords(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "another method than DEFLATE" in refusal(tmp_path / "a.xlsx", package(HEAD, method=method))
    locked = bytearray(package(HEAD))
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = locked.find(mark)
        while at >= 0:
            locked[at + flags] |= 1
            at = locked.find(mark, at + 4)
    assert "has a password" in refusal(tmp_path / "b.xlsx", bytes(locked))


def test_e14_two_parts_with_one_name(tmp_path: Path) -> None:
    buffer = io.BytesIO(package(HEAD))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(SHEET, sheet_xml(HEAD))
    assert "two parts with one name" in refusal(tmp_path / "a.xlsx", buffer.getvalue())


def noise(length: int) -> str:
    """Text that DEFLATE does not make much smaller."""
    return Random(length).randbytes(length // 2).hex()


@pytest.mark.parametrize(
    ("part", "xml", "says"),
    [
        (SHEET, sheet_xml("<a>" * 100_000 + "</a>" * 100_000), "too many elements in one place"),
        (SHEET, sheet_xml("".join(f"<a{i % 977}/>" for i in range(600_000))), "too many elements in one place"),
        (SHEET, sheet_xml(f'<row r="1" spans="{noise(200_000)}"/>'), "an attribute that is too long"),
        (
            SHEET,
            sheet_xml(f"<row r='1'><c r='A1' t='str'><v>{noise(400_000)}</v></c></row>"),
            "a text that is too long",
        ),
        (SHEET, sheet_xml("") + f"<!--{noise(20 * MIB)}-->", "too much in one place"),
        (STRINGS, f'<sst xmlns="{MAIN}"><si><t>{noise(400_000)}</t></si></sst>', "a text that is too long"),
        (STYLES, f'<styleSheet xmlns="{MAIN}"><numFmt formatCode="' + "[" * 300 + '"/></styleSheet>', "number format"),
        (
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}"><definedName>{noise(9000)}</definedName></workbook>',
            "too long",
        ),
        (SHEET, sheet_xml(HEAD) + "canary", "is not XML"),
        (SHEET, "canary", "is not XML"),
        (SHEET, '<?xml version="1.0" encoding="klingon"?>' + sheet_xml(HEAD), "is not XML"),
        (SHEET, '<?xml version="1.0" encoding="UTF-7"?>' + sheet_xml(HEAD), "is not XML"),
    ],
    ids=range(12),
)
def test_e08_parts_that_are_too_much(tmp_path: Path, part: str, xml: str, says: str) -> None:
    assert says in refusal(tmp_path / "a.xlsx", package(parts={part: xml}))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ('<row r="3"><c r="A3"><v>1</v></c></row><row r="2"><c r="A2"><v>2</v></c></row>', "rows out of order"),
        ('<row r="1"/>', "rows out of order"),
        (f'<row r="{MOST_ROWS + 1}"/>', "rows out of order, or more than"),
        ('<row r="99999999999999999999"/>', "rows out of order"),
        ('<row r="-1"/>', "rows out of order"),
        ('<row r="2.0"/>', "rows out of order"),
        ('<row r="2"><c r="B2"><v>1</v></c><c r="A2"><v>2</v></c></row>', "cells out of order in row 2"),
        ('<row r="2"><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>', "cells out of order in row 2"),
        ('<row r="2"><c r="XFE2"><v>1</v></c></row>', "cells out of order in row 2"),
        ('<row r="2"><c r="ZZZZ2"><v>1</v></c></row>', "cells without a place in row 2"),
        ('<row r="2"><c><v>1</v></c></row>', "cells without a place in row 2"),
        ('<row r="2"><c r="A2"><f>1+1</f></c></row>', "a formula without a computed value in row 2"),
    ],
)
def test_e14_what_a_reader_would_drop_silently(tmp_path: Path, rows: str, says: str) -> None:
    assert says in refusal(tmp_path / "a.xlsx", package(HEAD + rows))


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="2"><c r="A2" t="s"><v>7</v></c></row>',
        '<row r="2"><c r="A2" t="s"><v>canary</v></c></row>',
        '<row r="2"><c r="A2"><v>canary</v></c></row>',
        '<row r="2"><c r="A2"><v>' + "9" * 5000 + "</v></c></row>",
        '<row r="2"><c r="A2" s="99"><v>1</v></c></row>',
        '<row r="2"><c r="A2" t="d"><v>canary</v></c></row>',
        '<row r="2"><c r="A2" t="b"><v>canary</v></c></row>',
    ],
)
def test_e13_cells_that_contradict_their_workbook(tmp_path: Path, rows: str) -> None:
    assert "cannot be read as a workbook" in refusal(tmp_path / "a.xlsx", package(HEAD + rows))


@pytest.mark.parametrize("part", ["xl/_rels/workbook.xml.rels", "xl/workbook.xml", "[Content_Types].xml"])
def test_e13_parts_that_are_other_xml(tmp_path: Path, part: str) -> None:
    text = refusal(tmp_path / "a.xlsx", package(HEAD, parts={part: "<canary/>"}))
    assert text.startswith("a.xlsx ")


_CHILD = """
import resource, sys
from pathlib import Path
from random import Random
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    spec = InputSpec(schema="person/1")
    try:
        fit(read_file(Path(name), spec), spec)
    except SpecError:
        continue
    sys.exit(f"{name} was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_e08_bombs_cost_little_memory_and_time(tmp_path: Path) -> None:
    bombs = {
        "zip": package(parts={SHEET: sheet_xml(" " * (128 * MIB))}),
        "laughs": package(parts={STRINGS: with_doctype(f'<sst xmlns="{MAIN}"><si><t>&i;</t></si></sst>', LAUGHS)}),
        "deep": package(parts={SHEET: sheet_xml("<a>" * 200_000)}),
        "token": package(parts={SHEET: f'<worksheet a="{noise(24 * MIB)}"/>'}),
        "row": package('<row r="1">' + "".join(f"<c{i % 977}/>" for i in range(1_000_000)) + "</row>"),
        "parts": archive_of(20_000),
    }
    for name, content in bombs.items():
        (tmp_path / f"{name}.xlsx").write_bytes(content)
    files = [str(path) for path in tmp_path.iterdir()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, *files], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 200_000  # KiB
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20  # with all imports
