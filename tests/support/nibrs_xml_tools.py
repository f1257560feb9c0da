"""What tests of NIBRS XML share: rows of reports, what the engine makes of them, and the twin's word for it."""

import csv
from collections.abc import Sequence
from importlib.resources import files

import pyarrow as pa

from cji_core.format.records.column import read
from cji_core.format.records.nibrs.records import Records
from cji_core.format.records.nibrs.xml_reports import read_reports
from cji_operations.validate import Findings, Options, load_rule_set, validate
from tests.reference import nibrs_xml as twin
from tests.support import nibrs_xml
from tests.support.nibrs_tools import AS_OF

__all__ = ["Key", "expected_lines", "judged_xml", "keys", "lines_of", "records", "rows_of"]

Key = tuple[int, bytes, int, bool, bytes]


def _codes() -> dict[str, dict[str, str]]:
    text = files("cji_core.format.records.nibrs.data").joinpath("xml_values.csv").read_text("utf-8")
    codes: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        codes.setdefault(row["form"], {})[row["text"]] = row["code"]
    return codes


_CODES = _codes()


def rows_of(lines: Sequence[bytes]) -> list[bytes]:
    """The reports of flat lines as rows of XML."""
    return [made.strip().encode() for made in nibrs_xml.reports(lines)]


def records(rows: Sequence[bytes]) -> Records:
    """What the engine reads."""
    return read_reports(read(pa.array(rows, pa.binary())))


def lines_of(found: Records) -> list[bytes]:
    """Its records as flat lines."""
    text = found.text
    return [
        text.data[start : start + length].tobytes()
        for start, length in zip(text.starts.tolist(), text.lengths.tolist(), strict=True)
    ]


def expected_lines(rows: Sequence[bytes]) -> list[bytes]:
    """What the twin reads in well-formed rows."""
    return twin.flat(list(rows), _CODES["bias"], _CODES["relationship"])


def judged_xml(rows: Sequence[bytes], rule_set: str = "nibrs/2019") -> Findings:
    """The findings of rows of XML."""
    return validate(records(rows), rules=load_rule_set(rule_set), options=Options(as_of=AS_OF))


def keys(found: Findings) -> list[Key]:
    """Findings without what depends on the order of segments."""
    columns = (found.rule, found.element, found.level, found.record == 0, found.value)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))
