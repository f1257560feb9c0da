"""`validate`: the full rule set over a real NIBRS submission, against a slow twin and against reading alone.

docs/benchmarks.md defines what is inside the clock.
"""

import gzip
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.records.column import Text
from cji_core.format.records.lines import matrix, split
from cji_core.format.records.nibrs.records import Records
from cji_core.format.records.nibrs.xml_reports import read_reports
from cji_operations.validate import Options, RuleSet, load_rule_set, validate
from tests.reference import nibrs as nibrs_twin
from tests.support import nibrs_xml

__all__ = ["run", "submission"]

_FILE: Final = "cji/nibrs/vt_2020_04_deid.txt.gz"
_AS_OF: Final = date(2020, 5, 5)
_NUMBER: Final = slice(25, 29)  # of a segment: the first characters of its incident or transaction number

Bytes = npt.NDArray[np.uint8]


def submission(copies: int) -> Bytes:
    """The monthly submission of a state, de-identified, so many times over; the reports of each copy have new numbers.

    Raises: UsageError where CJI_VECTORS does not name the folder of real data.
    """
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        raise click.UsageError("CJI_VECTORS must name the folder of real data")
    with gzip.open(Path(folder) / _FILE) as file:
        once = np.frombuffer(file.read().rstrip(b"\r\n") + b"\r\n", np.uint8)
    starts = split(once).starts[:, None]
    parts = []
    for copy in range(copies):
        part = once.copy()
        part[starts + np.arange(_NUMBER.start, _NUMBER.stop)] = np.frombuffer(f"{copy:04d}".encode(), np.uint8)
        parts.append(part)
    return np.concatenate(parts)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute or two, most of it the twin's."""
    machine, copies, pairs = facts(), 8 if quick else 31, 3 if quick else 9
    report.heading("validate", machine)
    rules = load_rule_set("nibrs/3.1")
    data = submission(copies)
    with report.doing(f"all rules beside reading, {pairs} pairs"):
        floor = paired(
            _rate(data, lambda part: _judge(part, rules)), _rate(data, lambda p: _read(p, rules)), pairs=pairs
        )
    with report.doing("all rules beside the twin, 3 pairs"):
        twin = paired(_rate(data, lambda part: _judge(part, rules), times=8), _rate(data, _twin), pairs=3)
    rows, reports = _reports(data)
    with report.doing(f"XML beside flat, {pairs} pairs"):
        xml = paired(
            _rate(data, lambda _: _judge_xml(reports, rules)),
            _rate(data, lambda part: _judge(part, rules)),
            pairs=pairs,
        )
    segments = len(split(data).starts)
    report.table(
        f"Thousand segments a second, one core, {segments} segments ({len(data) / 1e6:.0f} MB)",
        ("", "all rules", "peer", "ratio"),
        [
            ("beside reading every field", *_cells(floor)),
            ("beside the slow twin", *_cells(twin)),
            (f"XML ({len(reports.data) / 1e6:.0f} MB, {rows} reports) beside flat", *_cells(xml)),
        ],
    )
    report.note(f"checking costs {1 / floor.ratio.middle:.1f} times as much as reading every field")
    return Result(
        name="validate",
        machine=machine,
        figures={
            "segments_per_s": floor.subject.middle,
            "floor_segments_per_s": floor.peer.middle,
            "twin_segments_per_s": twin.peer.middle,
            "xml_segments_per_s": xml.subject.middle,
        },
        ratios={
            "twin": twin.ratio.middle,
            "floor": floor.ratio.middle,
            "xml": xml.ratio.middle,
            "xml_bytes": xml.ratio.middle * len(reports.data) / len(data),
        },
    )


def _rate(data: Bytes, work: Callable[[Bytes], object], *, times: int = 1) -> Callable[[], float]:
    """Segments per second; repeated `times`, so that a busy moment weighs as little here as in a slow peer."""

    def every() -> None:
        for _ in range(times):
            work(data)

    return rate(len(split(data).starts) * times, every)


def _judge(data: Bytes, rules: RuleSet) -> object:
    return validate(Records.of_lines(split(data)), rules=rules, options=Options(as_of=_AS_OF))


def _reports(data: Bytes) -> tuple[int, Text]:
    """The same submission as NIBRS XML, a report a row, without what surrounds reports in a document."""
    reports = [made.strip().encode() for made in nibrs_xml.reports(data.tobytes().split(b"\r\n"))]
    lengths = np.array([len(report) for report in reports])
    joined = np.frombuffer(b"".join(reports), np.uint8)
    return len(reports), Text(data=joined, starts=np.cumsum(lengths) - lengths, lengths=lengths)


def _judge_xml(reports: Text, rules: RuleSet) -> object:
    return validate(read_reports(reports), rules=rules, options=Options(as_of=_AS_OF))


def _read(data: Bytes, rules: RuleSet) -> object:
    """The minimum that any check of the file must do: find the lines and gather every field at each level."""
    text = split(data)
    known = text.lengths > 4
    level = np.where(known, text.data[text.starts + 4 * known] - ord("0"), 99)
    gathered = []
    for table, of in rules.levels.items():
        if table.startswith("deleted"):
            continue
        rows = np.flatnonzero(level == of)
        lines = matrix(text, rows, max(rules.lengths[table]))
        groups = [
            table,
            *(name for name, of_name in rules.fields.items() if of_name[0].slots and rules.owner(name) == table),
        ]
        for spec in (spec for name in (*groups, "reports") for spec in rules.fields[name]):
            gathered += [np.ascontiguousarray(lines[:, start : start + spec.width]) for start in spec.starts]
    return gathered


def _twin(data: Bytes) -> object:
    lines = data.tobytes().split(b"\n")[:-1]
    return nibrs_twin.whole(lines, rule_set="nibrs/3.1", today=_AS_OF.year * 10_000 + _AS_OF.month * 100 + _AS_OF.day)


def _cells(found: Paired) -> tuple[str, str, str]:
    return (
        f"{found.subject.middle / 1e3:.0f}",
        f"{found.peer.middle / 1e3:.1f}",
        found.ratio.text(places=3 if found.ratio.middle < 1 else 0),
    )
