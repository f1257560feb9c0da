"""Rows of NIBRS XML, good, damaged and of any bytes: no exception, every row counted once, engine and twin agree."""

import copy
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.nibrs.records import Unread
from cji_core.format.records.nibrs.xml_plain import plain
from tests.reference.nibrs_xml import DECLARED
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_xml_tools import expected_lines, judged_xml, lines_of, records, rows_of

ROWS = [row for report in REPORTS.values() for row in rows_of(lines(report))]
_VALUES = (
    *(
        "",
        " ",
        "A",
        "7",
        "07",
        "007",
        "13A",
        "13AX",
        "X" * 60,
        "?",
        "NONE",
        "STOLEN",
        "BURNED",
        "RECOVERED",
        "0",
        "true",
    ),
    *(
        "2020-04-01",
        "2020-04-01T10:00:00",
        "2020-13-41",
        "2020-4-1",
        "2020-04",
        "1.5",
        "1.",
        ".5",
        "1.2345",
        "12345678901",
    ),
    *(
        "Acquaintance",
        "Ex_Relationship",
        "ANTIJEWISH",
        "NEWBORN",
        "UNKNOWN",
        "GROUP A INCIDENT REPORT",
        "ZERO REPORT",
        "D",
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good report with other values, elements lost, doubled or moved, and references to other objects."""
    root = ET.fromstring(_declared(draw(st.sampled_from(ROWS))))
    for _ in range(draw(st.integers(1, 5))):
        parents = [(parent, child) for parent in root.iter() for child in parent]
        if not parents:
            break
        parent, child = parents[draw(st.integers(0, len(parents) - 1))]
        match draw(st.sampled_from(("value", "value", "lose", "double", "move", "refer"))):
            case "value":
                if not len(child):
                    child.text = draw(st.sampled_from(_VALUES))
            case "lose":
                parent.remove(child)
            case "double":
                other = copy.deepcopy(child)
                if not len(other):
                    other.text = draw(st.sampled_from((other.text, *_VALUES)))
                parent.append(other)
            case "move":
                parent.remove(child)
                parent.insert(draw(st.integers(0, len(parent))), child)
            case _:
                for name in child.attrib:
                    child.set(name, draw(st.sampled_from(("Offense1", "Victim1", "Subject1", "PersonVictim1", "none"))))
    return _undeclared(ET.tostring(root))


def _declared(row: bytes) -> bytes:
    return row.replace(b"<nibrs:Report>", f"<nibrs:Report{DECLARED}>".encode(), 1)


def _undeclared(row: bytes) -> bytes:
    """With the prefixes of plain form again: ElementTree writes ns0, ns1 ..., and keeps them declared."""
    made = plain(row)
    assert isinstance(made, bytes)
    return made


@given(st.lists(damaged(), min_size=1, max_size=3))
def test_engine_and_twin_read_the_same_segments(rows: list[bytes]) -> None:
    assert lines_of(records(rows)) == expected_lines(rows)


@given(damaged())
def test_rows_that_need_expat_give_the_same_records(row: bytes) -> None:
    """A comment sends a row through expat; so does another order of what numpy does not read."""
    other = row.replace(b"</nibrs:ReportHeader>", b"<!-- < & > --></nibrs:ReportHeader><?x y?>")
    assert lines_of(records([other])) == lines_of(records([row]))


def check(rows: list[bytes]) -> None:
    found = judged_xml(rows)
    assert len(found.status.status) == len(rows)
    assert sum(found.status.counts()) == len(rows)
    read = records(rows)
    assert sorted({*read.rows.tolist(), *read.unread_rows.tolist()}) == list(range(len(rows)))
    assert not set(read.rows.tolist()) & set(read.unread_rows.tolist())


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_counted(rows: list[bytes]) -> None:
    check([*rows, ROWS[0]])


@given(
    st.lists(st.sampled_from(ROWS), min_size=1, max_size=3),
    st.data(),
)
def test_damaged_bytes_are_counted(rows: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    row = bytearray(rows[place])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(row) - 1))
        match data.draw(st.sampled_from(("set", "cut", "add"))):
            case "set":
                row[at] = data.draw(st.sampled_from(b"<>/=&\"' !?-[]ax\x00\x80\n:"))
            case "cut":
                del row[at : at + data.draw(st.integers(1, 30))]
            case _:
                row[at:at] = data.draw(
                    st.sampled_from((b"<!--", b"-->", b"<![CDATA[", b"]]>", b"&lt;", b"<a>", b"</a>"))
                )
        row = row or bytearray(b"<")
    check([*rows[:place], bytes(row), *rows[place + 1 :]])


@given(st.sampled_from(ROWS), st.data())
def test_what_expat_refuses_numpy_reads_at_most_as_it_stands(row: bytes, data: st.DataObject) -> None:
    """A row without any mark of XML changed is refused or read by both."""
    names = [name for name in (b"nc:Person>", b"j:Victim>", b"nc:Incident>", b"j:Offense>") if b"</" + name in row]
    if names:
        name = data.draw(st.sampled_from(names))
        broken = row.replace(b"</" + name, b"</" + name[:-2] + b"x>", 1)
        assert plain(broken) is Unread.MALFORMED
        assert records([broken]).unread.tolist() == [Unread.MALFORMED]


@pytest.mark.parametrize("row", ROWS)
def test_plain_form_of_a_report_reads_the_same(row: bytes) -> None:
    made = plain(row)
    assert isinstance(made, bytes)
    assert lines_of(records([made])) == lines_of(records([row]))
    assert plain(made) == made
