"""The page of `clear`: what was decided, a list for the clerk by case, and a letter for each petition.

The letters are the only place where a petition is written: on the page of a recipient who has opened the result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element

import pyarrow as pa
import pyarrow.compute as pc

from cji_client.report.job import Job
from cji_client.report.sample import Row, rows_at
from cji_core.operations.clear import Clear, Rule, Rules
from cji_core.operations.clear.rules import NONE
from cji_core.operations.parameters import known
from cji_core.page.charts import share
from cji_core.page.markup import MOST_ROWS, Part, element, facts, number, section, table, value

MOST_LETTERS: Final = 100
"""Subjects with a letter of their own; the others are in the determinations."""

_CHARGE: Final = ("case", "county", "date", "offense", "level")


def sections(job: Job, parameters: Clear) -> Iterable[Element]:
    """The sections of a job's page."""
    rules = known(parameters.table)
    decided, undecided = Found(), Found()
    work, petitions = list[Row](), list[Row]()
    for batch in job.read("determinations"):
        decided.add(batch, "relief")
        relieved = batch.filter(pc.not_equal(batch["relief"], NONE))
        work += relieved.slice(0, MOST_ROWS - len(work)).to_pylist()
        petitions += _petitions(relieved, rules, MOST_LETTERS * MOST_ROWS - len(petitions))
    for batch in job.read("not_decided"):
        undecided.add(batch, "cause")
        work += batch.slice(0, max(0, 2 * MOST_ROWS - len(work))).to_pylist()
    letters = _by_subject(petitions)
    wanted = {row["row"] for rows in (work, *letters.values()) for row in rows}
    charges = rows_at(job.read("result"), wanted) if len(job.operations) == 1 else {}
    yield section("Clear", facts(_summary(rules, parameters, decided, undecided)), *_tables(rules, decided, undecided))
    yield _work_list(work, charges, decided.relieved + undecided.total)
    if letters:
        yield _introduced(len(letters), len({row["subject"] for row in petitions}))
        yield from (_letter(subject, rows, charges, parameters) for subject, rows in letters.items())


class Found:
    """Numbers of rows by the values of a column."""

    def __init__(self) -> None:
        self.counts = dict[str, int]()

    def add(self, batch: pa.RecordBatch, name: str) -> None:
        """Count the rows of a batch."""
        for each in pc.value_counts(batch[name]).to_pylist():
            self.counts[each["values"]] = self.counts.get(each["values"], 0) + each["counts"]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.counts.values())

    @property
    def relieved(self) -> int:
        """Rows with a relief."""
        return self.total - self.counts.get(NONE, 0)


def _petitions(batch: pa.RecordBatch, rules: Rules, most: int) -> list[Row]:
    asked = batch.filter(pc.is_in(batch["relief"], value_set=pa.array(rules.petitions, pa.utf8())))
    found: list[Row] = asked.slice(0, max(0, most)).to_pylist()
    return found


def _by_subject(rows: Iterable[Row]) -> Mapping[object, list[Row]]:
    """The rows of the first subjects, each with all of its own."""
    found = dict[object, list[Row]]()
    for row in rows:
        if row["subject"] in found or len(found) < MOST_LETTERS:
            found.setdefault(row["subject"], []).append(row)
    return found


def _summary(rules: Rules, parameters: Clear, decided: Found, undecided: Found) -> dict[str, Part]:
    return {
        "rules": value(f"{rules.state}: {rules.title}"),
        "decided on": value(f"{known(parameters.as_of):%Y-%m-%d}"),
        "charges with a relief": number(decided.relieved),
        "not eligible": number(decided.counts.get(NONE, 0)),
        "not decided for want of a fact": number(undecided.total),
    }


def _tables(rules: Rules, decided: Found, undecided: Found) -> Iterator[Element]:
    if rules.notice:
        yield element("p", rules.notice)
    for head, found in (("relief", decided), ("what is missing", undecided)):
        if found.total:
            rows = sorted(found.counts.items(), key=lambda each: (-each[1], each[0]))
            yield table((head, "charges", ""), [(_words(n), number(c), share(c, found.total)) for n, c in rows])


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _work_list(rows: Iterable[Row], charges: Mapping[int, Row], total: int) -> Element:
    """A clerk's tasks, case by case: reliefs to enter or to ask for, and facts to look up."""
    ordered = sorted(rows, key=lambda row: (*_case(charges.get(row["row"], {})), row["row"]))
    lines: list[Sequence[Part]] = [
        (
            *(value(charges.get(row["row"], {}).get(name)) for name in ("county", "case")),
            value(row["subject"]),
            *(value(charges.get(row["row"], {}).get(name)) for name in ("date", "offense", "level")),
            _words(row.get("relief") or "look up the fact"),
            row.get("reason") or row["words"],
        )
        for row in ordered
    ]
    heads = ("county", "case", "subject", "date", "offense", "level", "next", "why")
    words = (
        "Case by case: the reliefs that were found, and the charges that need a fact. Those not eligible are left out."
    )
    if not lines:
        return section("List for the clerk", element("p", "There is nothing to do.", class_="more"))
    return section("List for the clerk", element("p", words), table(heads, lines, total=total))


def _case(charge: Row) -> tuple[str, str]:
    return _text(charge.get("county")), _text(charge.get("case"))


def _text(found: object) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found or "")


# ---------------------------------------------------------------- letters


def _introduced(shown: int, total: int) -> Element:
    words = "A letter for each subject with a relief that has to be asked for, each on a sheet of its own when printed."
    more = f"{total - shown} more subjects are in determinations." if total > shown else ""
    return section("Petitions", element("p", words), *([element("p", more, class_="more")] if more else []))


def _letter(subject: object, rows: Sequence[Row], charges: Mapping[int, Row], parameters: Clear) -> Element:
    rules = known(parameters.table)
    by_id = {rule.id: rule for rule in rules.rules}
    first = charges.get(rows[0]["row"], {})
    person: dict[str, Part] = {"subject": value(subject)}
    if first.get("DOB") is not None:
        person["born"] = value(first["DOB"])
    lines: list[Sequence[Part]] = [_asked(row, charges.get(row["row"], {}), by_id[row["rule"]]) for row in rows]
    heads = ("county", "case", "date", "offense", "level", "relief", "law", "reason")
    several = "charges" if len(rows) > 1 else "charge"
    return element(
        "section",
        element("h2", "Petition for ", value(subject)),
        facts(person),
        element("p", "To the court:"),
        element("p", f"I ask for relief from the {several} below, which the law of {rules.state} lets me ask for."),
        table(heads, lines),
        element(
            "p",
            f"The {several} and the days are those of my criminal history, by which this was prepared on "
            f"{known(parameters.as_of):%Y-%m-%d}. A court decides. This is not legal advice.",
        ),
        facts({"name": "", "address": "", "date": "", "signature": ""}),
        class_="letter",
    )


def _asked(row: Row, charge: Row, rule: Rule) -> Sequence[Part]:
    seen = [value(charge.get(name)) for name in _CHARGE]
    order = [seen[1], seen[0], *seen[2:]]
    return (*order, _words(row["relief"]), rule.source, row["reason"])
