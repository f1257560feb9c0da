"""XML that is made to harm its reader: refused in bounded time and memory, before anything is sent and in the cell.

A time limit here is generous: what these files do to an unguarded reader takes minutes, or all memory.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.spec import InputSpec
from cji_core.format.records.nibrs.records import Unread
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_xml import HEAD, TAIL
from tests.support.nibrs_xml_tools import records, rows_of

DEEP: Final = 100_000
SECONDS: Final = 20
GROWTH_KIB: Final = 200 << 10

_LAUGHS: Final = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10))
_QUADRATIC: Final = f'<!ENTITY big "{"a" * 100_000}">'
_BODY: Final = rows_of(lines(REPORTS["robbery"]))[0].decode()

DOCUMENTS: Final = {
    "laughs": (f"<!DOCTYPE n [{_LAUGHS}]>", "<nibrs:Report>&l9;</nibrs:Report>", "a document type"),
    "quadratic": (
        f"<!DOCTYPE n [{_QUADRATIC}]>",
        f"<nibrs:Report>{'&big;' * 100_000}</nibrs:Report>",
        "a document type",
    ),
    "external": (
        '<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        "<nibrs:Report>&x;</nibrs:Report>",
        "document",
    ),
    "fetched": ('<!DOCTYPE n SYSTEM "http://127.0.0.1:1/n.dtd">', _BODY, "a document type"),
    "parameter": ('<!DOCTYPE n [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>', _BODY, "a document type"),
    "undefined": ("", "<nibrs:Report>&x;</nibrs:Report>", "an entity"),
    "deep": ("", f"<nibrs:Report>{'<a>' * DEEP}{'</a>' * DEEP}</nibrs:Report>", "nested deeper"),
    "deep outside": ("", f"{'<a>' * DEEP}{'</a>' * DEEP}{_BODY}", "nested deeper"),
    "never closed": ("", f"<nibrs:Report>{'<a>' * DEEP}", "well-formed|nested"),
    "large": ("", f"<nibrs:Report>{'<a>x</a>' * 1_000_000}</nibrs:Report>", "more than 4 MiB"),
}


def _document(name: str) -> bytes:
    prolog, body, _ = DOCUMENTS[name]
    return HEAD.replace("?>\n", f"?>\n{prolog}", 1).encode() + body.encode() + TAIL.encode()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_bomb_is_refused_before_anything_is_sent(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_bytes(_document(name))
    before, started = _peak(), time.monotonic()
    with pytest.raises(SpecError, match=DOCUMENTS[name][2]) as refused:
        read_file(path, InputSpec(schema="nibrs.xml/2019.1"))()
    assert time.monotonic() - started < SECONDS
    assert _peak() - before < GROWTH_KIB
    assert refused.value.remedy
    assert "root:" not in str(refused.value)


ROWS: Final = {
    "laughs": (f"<!DOCTYPE n [{_LAUGHS}]><nibrs:Report>&l9;</nibrs:Report>", Unread.MALFORMED),
    "laughs inside": (f"<nibrs:Report><!DOCTYPE n [{_LAUGHS}]>&l9;</nibrs:Report>", Unread.MALFORMED),
    "undefined": ("<nibrs:Report>&l9;</nibrs:Report>", Unread.FORBIDDEN),
    "deep": (f"<nibrs:Report>{'<a>' * DEEP}{'</a>' * DEEP}</nibrs:Report>", Unread.TOO_DEEP),
    "never closed": (f"<nibrs:Report>{'<a>' * DEEP}", Unread.TOO_DEEP),
    "marks": ("<" * 4_000_000, Unread.MALFORMED),
    "large": (f"<nibrs:Report>{'x' * (5 << 20)}&amp;</nibrs:Report>", Unread.TOO_LARGE),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_bomb_in_a_cell_is_one_row_that_is_not_usable(name: str) -> None:
    row, why = ROWS[name]
    before, started = _peak(), time.monotonic()
    found = records([row.encode(), _BODY.encode()])
    assert time.monotonic() - started < SECONDS
    assert _peak() - before < GROWTH_KIB
    assert found.unread.tolist() == [why]
    assert set(found.rows.tolist()) == {1}


def _hostile_values() -> Iterator[tuple[str, str]]:
    yield "blanks around a value", _BODY.replace(">120<", f">{' ' * 2_000_000}120<", 1)
    yield (
        "a thousand sexes",
        _BODY.replace("<j:PersonSexCode>F</j:PersonSexCode>", "<j:PersonSexCode>F</j:PersonSexCode>" * 9_999),
    )
    yield (
        "weapons",
        _BODY.replace(
            "<j:OffenseForce>",
            "<j:OffenseForce><j:ForceCategoryCode>12</j:ForceCategoryCode></j:OffenseForce>" * 9_999
            + "<j:OffenseForce>",
            1,
        ),
    )
    yield "objects", _BODY.replace("<j:Subject ", '<j:Subject s:id="x"></j:Subject>' * 50_000 + "<j:Subject ", 1)
    link = "j:OffenseVictimAssociation"
    link = f'<{link}><j:Offense s:ref="Offense1"/><j:Victim s:ref="Victim1"/></{link}>'
    yield "associations", _BODY.replace("</nibrs:Report>", link * 30_000 + "</nibrs:Report>")


@pytest.mark.parametrize(("name", "row"), [pytest.param(*one, id=one[0]) for one in _hostile_values()])
def test_time_grows_with_the_bytes_and_no_faster(name: str, row: str) -> None:
    assert len(row) < 5 << 20, name
    started = time.monotonic()
    records([row.encode()])
    assert time.monotonic() - started < SECONDS


def test_an_external_entity_reaches_neither_files_nor_network() -> None:
    """Under audit hooks: reading such a row opens nothing."""
    script = """
import sys
from cji_core.format.records.nibrs.xml_plain import plain
events = []
sys.addaudithook(lambda name, args: events.append(name) if name.startswith(("open", "socket")) else None)
row = b'<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]><nibrs:Report>&x;</nibrs:Report>'
assert not isinstance(plain(row), bytes)
assert not events, events
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
