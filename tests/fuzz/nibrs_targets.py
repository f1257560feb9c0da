"""The readers of NIBRS XML: rows that reach a cell, and files that a client reads."""

import tempfile
from pathlib import Path
from typing import Final

from cji_client.errors import SpecError
from cji_client.nibrs_xml import read_xml
from cji_core.format.records.nibrs.records import Records
from cji_core.format.records.nibrs.xml_plain import plain
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, IN_PLACE, TEXT
from tests.support import nibrs_xml
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_xml_tools import expected_lines, lines_of, records, rows_of

__all__ = ["NIBRS"]

_ROWS: Final = tuple(row for name in ("robbery", "drugs", "arrest", "zero") for row in rows_of(lines(REPORTS[name])))


class NotReadError(Exception):
    """The row has no record; it is counted with its reason."""


def _read(data: bytes) -> Records:
    found = records([data])
    if len(found.unread_rows):
        raise NotReadError(str(found.unread[0]))
    return found


def _as_the_twin_does(data: bytes, found: object) -> bool:
    """Where all of XML allows the row, numpy reads what ElementTree reads."""
    made = plain(data)
    return not isinstance(made, bytes) or not isinstance(found, Records) or lines_of(found) == expected_lines([made])


def _read_file(data: bytes) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.xml")
        path.write_bytes(data)
        rows, batches = read_xml(path)
        found = [row for batch in batches for row in batch.column(0).to_pylist()]
    assert len(found) == rows
    return found


def _documents() -> tuple[bytes, ...]:
    made = [row.decode() for row in _ROWS]
    plain_one = nibrs_xml.document(made)
    return plain_one, plain_one.replace(b"nibrs:", b"n:").replace(b"xmlns:nibrs", b"xmlns:n")


NIBRS: Final = (
    target(
        "nibrs-xml-row",
        lambda: _ROWS,
        _read,
        refusals=(NotReadError,),
        fair=_as_the_twin_does,
        mutators=(*BYTES, *TEXT, *IN_PLACE * 2),
        weight=6,
    ),
    target(
        "nibrs-xml-file", _documents, _read_file, refusals=(SpecError,), fair=lambda *_: True, mutators=TEXT, weight=4
    ),
)
