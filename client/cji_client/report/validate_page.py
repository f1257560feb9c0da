"""The page of `validate`: findings by rule with examples, and error rates by agency or by column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_client.report.job import Job
from cji_client.report.sample import Least, Row, column
from cji_core.operations.validate import Validate
from cji_core.page.charts import share
from cji_core.page.markup import MOST_ROWS, Part, element, facts, number, section, table, value

MOST_EXAMPLES: Final = 3
_MOST_KINDS: Final = 4096
"""Kinds of findings that are kept apart: a rule set has fewer."""

_NIBRS: Final = ("rule", "message", "warning")
_COLUMNS: Final = ("column", "finding", "warning")


@dataclass(slots=True, kw_only=True, eq=False)
class Kind:
    """The findings of one rule with one message, or of one column with one code."""

    findings: int = 0
    examples: list[Row] = field(default_factory=list)


def sections(job: Job, parameters: Validate) -> Iterable[Element]:
    """The sections of a job's page."""
    names = _NIBRS if parameters.is_nibrs else _COLUMNS
    kinds = _kinds(job.read("result"), names)
    errors = sum(kind.findings for key, kind in kinds.items() if not key[2])
    warnings = sum(kind.findings for key, kind in kinds.items() if key[2])
    summary: dict[str, Part] = {
        "rule set": value(parameters.rule_set),
        "rows": number(job.rows),
        "errors": number(errors),
        "warnings": number(warnings),
    }
    rates: list[Element] = []
    if parameters.is_nibrs:
        reports, rejected = _reports(job)
        summary |= {"reports": number(reports), "rejected": number(rejected)}
        rates = [section("Error rates", element("p", "Rejected reports of each agency, the worst first."), _rates(job))]
    yield section("Validate", facts(summary))
    yield from rates
    words = f"The most frequent first, each with up to {MOST_EXAMPLES} examples. Rows count from 0."
    yield section("Findings by rule", element("p", words), _table(kinds, job, nibrs=parameters.is_nibrs))


def _kinds(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> dict[tuple[Any, ...], Kind]:
    """By the values of `names`; the most frequent first, then by the values."""
    found = dict[tuple[Any, ...], Kind]()
    for batch in batches:
        if not batch.num_rows:
            continue
        code = np.zeros(batch.num_rows, np.int64)
        for name in names:
            codes = pc.dictionary_encode(batch.column(name))
            code = code * (len(codes.dictionary) + 1) + codes.indices.fill_null(len(codes.dictionary)).to_numpy()
        _, firsts, which, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
        for i, row in enumerate(batch.take(pa.array(firsts)).to_pylist()):
            key = tuple(row[name] for name in names)
            if key not in found and len(found) == _MOST_KINDS:
                continue
            kind = found.setdefault(key, Kind())
            kind.findings += int(counts[i])
            if len(kind.examples) < MOST_EXAMPLES:
                here = np.flatnonzero(which == i)[: MOST_EXAMPLES - len(kind.examples)]
                kind.examples += batch.take(pa.array(here)).to_pylist()
    return dict(sorted(found.items(), key=lambda each: (-each[1].findings, str(each[0]))))


def _table(kinds: Mapping[tuple[Any, ...], Kind], job: Job, *, nibrs: bool) -> Element:
    most = max((kind.findings for kind in kinds.values()), default=0)
    heads = ("rule" if nibrs else "column", "meaning", "kind", "findings", "per 1000 rows", "", "examples")
    rows: list[Sequence[Part]] = [
        (
            value(name),
            value(meaning),
            "warning" if warning else "error",
            number(kind.findings),
            number(1000 * kind.findings / job.rows if job.rows else None, 1),
            share(kind.findings, most),
            element("div", *(_example(row, nibrs=nibrs) for row in kind.examples)),
        )
        for (name, meaning, warning), kind in kinds.items()
    ]
    return table(heads, rows) if rows else element("p", "There are none.", class_="more")


def _example(row: Row, *, nibrs: bool) -> Element:
    if not nibrs:
        place = element("span", f"row {row['row']}", class_="row")
        sent = (", transmit ", value(row["transmit"])) if row["transmit"] is not None else ()
        return element("div", value(row["value"]), *sent, " ", place)
    place = element("span", f"row {row['row']}, level {row['level']}, element ", class_="row")
    place.append(value(row["element"]))
    if row["path"]:
        place.append(element("span", " at ", value(row["path"])))
    return element("div", value(row["value"]), " in ", value(row["number"]), " of ", value(row["ori"]), " ", place)


def _reports(job: Job) -> tuple[int, int]:
    reports = accepted = 0
    for batch in job.read("incidents"):
        reports += batch.num_rows
        accepted += int(column(batch, "accepted").sum())
    return reports, reports - accepted


def _rates(job: Job) -> Element:
    worst = Least(MOST_ROWS, lambda batch: -column(batch, "rejected_per_10000").astype(np.float64))
    for batch in job.read("rates"):
        worst.add(batch)
    rows: list[Sequence[Part]] = [
        (
            value(row["ori"]),
            value(row["rule_set"]),
            *(number(row[name]) for name in ("reports", "rejected", "errors")),
            number(row["rejected_per_10000"] / 100, 2),
            share(row["rejected_per_10000"], 10_000),
        )
        for row in worst.rows
    ]
    return table(("agency", "rule set", "reports", "rejected", "errors", "rejected in %", ""), rows, total=worst.total)
