"""Plain form: documents through expat, and what ends them."""

import pytest

from cji_core.format.records.nibrs.records import Unread
from cji_core.format.records.nibrs.xml_plain import XmlError, plain, plain_reports
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_xml import HEAD, TAIL, document
from tests.support.nibrs_xml_tools import rows_of

ROWS = [rows_of(lines(REPORTS[name]))[0] for name in ("robbery", "arrest", "zero")]
WHOLE = document([row.decode() for row in ROWS])


def _without_names(row: bytes) -> bytes:
    made = plain(row)
    assert isinstance(made, bytes)
    return made


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_reports_of_a_document_come_in_plain_form(size: int) -> None:
    chunks = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    assert list(plain_reports(chunks)) == [_without_names(row) for row in ROWS]


@pytest.mark.parametrize(
    ("prolog", "body", "why"),
    [
        ('<!DOCTYPE n [<!ENTITY a "b">]>', "<nibrs:Report>&a;</nibrs:Report>", Unread.FORBIDDEN),
        ("<!DOCTYPE n>", "", Unread.FORBIDDEN),
        ('<!DOCTYPE n SYSTEM "http://127.0.0.1:1/n.dtd">', "", Unread.FORBIDDEN),
        ("", "<nibrs:Report>&a;</nibrs:Report>", Unread.FORBIDDEN),
        ("", "<a>" * 20, Unread.TOO_DEEP),
        ("", "<nibrs:Report></nibrs:Submission>", Unread.MALFORMED),
        ("", f"<nibrs:Report>{'<a>b</a>' * 600_000}</nibrs:Report>", Unread.TOO_LARGE),
        ("", f"<nibrs:Report>{'b' * (5 << 20)}</nibrs:Report>", Unread.TOO_LARGE),
    ],
)
def test_a_document_ends_where_it_is_refused(prolog: str, body: str, why: Unread) -> None:
    data = HEAD.replace("?>\n", f"?>\n{prolog}", 1) + ROWS[0].decode() + body + TAIL
    found = []
    with pytest.raises(XmlError) as refused:
        found += list(plain_reports([data.encode()]))
    assert refused.value.why is why
    assert refused.value.line >= 2
    assert not found


def test_names_and_texts_that_no_report_has_stay_plain() -> None:
    row = ROWS[0].replace(b"<nc:Incident>", b'<nc:Incident><x y="&lt;">a<b/>c</x><' + b"n" * 99 + b"/>", 1)
    made = _without_names(row.replace(b">VT0010000<", b">VT&amp;&lt;&gt;<"))
    assert b">VT???<" in made
    assert b"<other:x><other:b></other:b></other:x><other:long></other:long>" in made
