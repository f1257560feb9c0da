"""The page of `aggregate`: a table of each grouping, or the lines of the FBI's forms and the accounting of reports."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from cji_client.report.job import Job
from cji_client.report.sample import NOT_WANTED, Least, Row, column, first_rows
from cji_core.operations.aggregate import Aggregate
from cji_core.page.charts import share
from cji_core.page.markup import MOST_ROWS, Part, element, facts, number, section, table, value

MOST_SHEETS: Final = 24
"""Sheets of forms; a form, an agency and a month are one."""

_LINES: Final = 120
"""A sheet has fewer lines."""
_TITLES: Final = {"srs_leoka": "Officers killed or assaulted", "srs_shr": "Supplementary Homicide Report"}
_WITHHELD: Final = "withheld"


def sections(job: Job, parameters: Aggregate) -> Iterable[Element]:
    """The sections of a job's page."""
    if parameters.preset is None:
        yield from _cells(job, parameters)
    else:
        yield from _forms(job, parameters)


def _cells(job: Job, parameters: Aggregate) -> Iterable[Element]:
    keys = [*parameters.keys]
    samples = [_grouping(mask) for mask in range(1 << len(keys))]
    hidden = quiet = 0
    for batch in job.read("result"):
        gone = column(batch, "hidden")
        hidden += int(gone.sum())
        quiet += batch.column("persons").null_count - int(gone.sum()) if _counts_persons(parameters) else 0
        for sample in samples:
            sample.add(batch)
    total = samples[-1].rows
    yield section(
        "Aggregate",
        facts(
            {
                "rows": _shown(total[0], "rows") if total else number(0),
                "cells": number(sum(sample.total for sample in samples)),
                "cells withheld": number(hidden),
                **({"totals of persons withheld besides": number(quiet)} if _counts_persons(parameters) else {}),
                "fewest that are shown": number(parameters.hides_below),
                "rounded to multiples of": number(parameters.base),
            }
            | _privacy(parameters)
        ),
        *(element("p", sentence) for sentence in _reasons(parameters, sum(sample.total for sample in samples), quiet)),
    )
    for mask, sample in enumerate(samples):
        kept = [i for i in range(len(keys)) if not mask >> i & 1]
        title = "By " + " and ".join(keys[i] for i in kept) if kept else "All together"
        yield section(title, _grouped(sample, kept, keys, parameters))


def _counts_persons(parameters: Aggregate) -> bool:
    return parameters.person != "" and parameters.privacy is None


def _privacy(parameters: Aggregate) -> dict[str, Part]:
    privacy = parameters.privacy
    if privacy is None:
        return {}
    return {
        "epsilon of this table": f"{privacy.epsilon_thousandths / 1000:g}",
        "rows of a person that count at most": number(privacy.rows_per_person),
        "budget": "advisory: nothing adds up the epsilon of different tables",
    }


def _reasons(parameters: Aggregate, cells: int, quiet: int) -> Iterable[str]:
    """Why numbers are withheld."""
    if parameters.privacy is not None:
        yield "Every number has noise, so it is near the number of rows, and below 0 it is shown as 0."
        return
    if parameters.withholds:
        yield "A cell of few persons is withheld, and others with it, so that it cannot be worked out."
    if quiet:
        yield (
            "Persons of a total are withheld where they, with all that is shown, would tell of withheld cells. "
            "Its rows are shown."
        )
    if parameters.withholds and cells == 1:
        yield "There are too few rows to list a cell without telling of persons, so nothing but the total is shown."


def _grouping(mask: int) -> Least:
    return Least(MOST_ROWS, lambda batch: np.where(column(batch, "grouping") == mask, 0.0, NOT_WANTED))


def _grouped(sample: Least, kept: Sequence[int], keys: Sequence[str], parameters: Aggregate) -> Element:
    numbers = {"rows": "rows"} | ({"persons": "persons"} if _counts_persons(parameters) else {})
    numbers |= {f"sum_{i + 1}": f"sum of {name}" for i, name in enumerate(parameters.sums)}
    most = max((row["rows"] or 0 for row in sample.rows), default=0)
    rows: list[Sequence[Part]] = [
        (
            *(_category(row, i) for i in kept),
            *(_shown(row, name) for name in numbers),
            "" if row["hidden"] else share(row["rows"], most),
        )
        for row in sample.rows
    ]
    return table((*(keys[i] for i in kept), *numbers.values(), ""), rows, total=sample.total)


def _category(row: Row, key: int) -> Element:
    if row["unclassifiable"] >> key & 1:
        return element("span", "not classifiable", class_="missing")
    return value(row[f"key_{key + 1}"])


def _shown(row: Row, name: str) -> Part:
    """A number; nothing where a form does not have it."""
    if row[name] is None and (row["hidden"] or name == "persons"):
        return element("span", _WITHHELD, class_="missing")
    return "" if row[name] is None else number(row[name])


def _forms(job: Job, parameters: Aggregate) -> Iterable[Element]:
    outcomes, _ = first_rows(job.read("accounting"), MOST_ROWS)
    yield section(
        _TITLES.get(str(parameters.preset), "Return A"),
        facts({"reports": f"{parameters.reports}", "rows": number(job.rows)}),
        table(("reports", "number"), [(value(row["outcome"]), _reports(row)) for row in outcomes]),
    )
    if parameters.preset == "srs_shr":
        rows, total = first_rows(job.read("result"), MOST_ROWS)
        yield section("Victims and offenders", _listing(rows, total))
        return
    sheets, more = _sheets(job)
    for (form, ori, month), lines in sheets.items():
        yield section(_title(form, ori, month), _sheet(lines))
    if more:
        yield element("p", f"{more} more lines, of other sheets, are in the result.", class_="more")


def _reports(row: Row) -> Part:
    return element("span", _WITHHELD, class_="missing") if row["reports"] is None else number(row["reports"])


def _listing(rows: Sequence[Row], total: int) -> Element:
    names = tuple(rows[0]) if rows else ("ori", "month", "incident")
    return table(names, [tuple(value(row[name]) for name in names) for row in rows], total=total)


def _sheets(job: Job) -> tuple[Mapping[tuple[object, ...], list[Row]], int]:
    """The first sheets, and the number of lines of the others. The lines of a sheet follow each other."""
    lines, total = first_rows(job.read("result"), MOST_SHEETS * _LINES)
    sheets = dict[tuple[object, ...], list[Row]]()
    for line in lines:
        sheets.setdefault((line["form"], line["ori"], line["month"]), []).append(line)
    if len(lines) < total:
        sheets.popitem()  # it may be cut off
    shown = dict([*sheets.items()][:MOST_SHEETS])
    return shown, total - sum(len(each) for each in shown.values())


def _title(form: object, ori: object, month: object) -> str:
    form, ori, month = (_word(each) for each in (form, ori, month))
    return f"{form}, {ori}, {month[:4]}-{month[4:]}" if month else f"{form}, {ori}, month not readable"


def _word(found: object) -> str:
    return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else ""


def _sheet(lines: Sequence[Row]) -> Element:
    most = max((line["actual"] or 0 for line in lines), default=0)
    rows: list[Sequence[Part]] = [
        (
            value(line["line"]),
            value(line["title"]),
            *(_shown(line, name) for name in ("actual", "cleared", "cleared_under_18")),
            "" if line["hidden"] else share(line["actual"], most),
        )
        for line in lines
    ]
    return table(("line", "title", "actual", "cleared", "of them under 18", ""), rows)
