"""Rule sets: the layout, code tables and rules of a NIBRS specification, read from the CSV files in `data`.

    rule_sets.csv the rule sets, the first period of submission that each is the default for, and its source
    segments.csv  the segment levels, the lengths that each may have, and the tables of its segments: those that
                  delete a report have their own, because hardly any rule applies to them (4.6.2)
    layout.csv    every data element in use: level, positions (from 1), type. `slots` names a group that repeats
    codes.csv     the code tables, one code a line, with the class that rules sort it into
    sets.csv      named sets of codes of a table;  pairs.csv  named relations between the codes of two tables
    views.csv     further tables that rules look at: parts (view), pairings (cross) and partners (join) of others
    rules.csv     one line a rule: its number, its table, and the condition for a finding; `reads` names the side
                  tables that it needs, `omitted` gives the reason why a rule is in no rule set
    messages.csv  the FBI's words for each rule
    unsourced.csv what a rule set leaves open, because no source for it was seen

Lines of codes.csv and messages.csv name the rule sets that they belong to; none: all of them. The files are read once,
when this module is imported, because a cell cannot open files.

Source: FBI, National Incident-Based Reporting System Technical Specification 3.1 (UCR-DOC-04521-3.1, 2017-01-15).
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.nibrs.code_tables import CodeTable
from cji_core.format.records.nibrs.data import read_data

FIRST_YEAR: Final = 1991
"""NIBRS data begin: 3.3.1, "Year of Submission"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A data element: its position (`starts` from 0, one for each slot), its type, and the values it may hold."""

    level: str
    slots: str
    name: str
    element: str
    width: int
    starts: tuple[int, ...]
    type: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A table made of others: a part of one (`view`), pairs of two (`cross`), or partners by value (`join`)."""

    name: str
    kind: str
    of: str
    by: str
    on: str
    equals: str
    within: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule on one table: there is a finding for each row of table `on` where `when` holds.

    `value` is the field whose text the finding shows, `at` where the finding is: `segment`, `report` (no record number
    in the Error Data Set), or the name of a join. With a `final` finding, a report has no others. `when` is None for a
    rule that is not implemented; then `omitted` gives the reason.
    """

    number: int
    rule_sets: frozenset[str]
    on: str
    element: str
    value: str
    at: str
    warning: bool
    final: bool
    when: ast.expr | None
    message: str
    omitted: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleSet:
    """Everything that `validate` needs from one specification.

    `rules` are those of all rule sets; `in_force` picks from them. `words` are the FBI's for each of them, where
    `{value}` and `{agency_start}` stand for those of a finding.
    """

    name: str
    short: str
    first_period: int
    specification: str
    source: str
    lengths: Mapping[str, tuple[int, ...]]
    levels: Mapping[str, int]
    fields: Mapping[str, tuple[Field, ...]]
    codes: Mapping[str, CodeTable]
    classes: Mapping[str, npt.NDArray[np.int16]]
    sets: Mapping[str, tuple[str, ...]]
    pairs: Mapping[str, frozenset[tuple[str, str]]]
    views: Mapping[str, View]
    rules: tuple[Rule, ...]
    words: tuple[str, ...]

    def owner(self, table: str) -> str | None:
        """The table whose rows have the rows of `table`; None for reports. Raises: ValueError for no table."""
        if table == "reports":
            return None
        if table in self.views and self.views[table].kind != "join":
            return self.views[table].of
        if table not in self.fields:
            raise ValueError(f"no table: {table}")
        slots = self.fields[table][0].slots
        return (
            next(name for name, level in self.levels.items() if str(level) == self.fields[table][0].level)
            if slots
            else "reports"
        )

    def in_force(self, *, without: frozenset[int], also: frozenset[int]) -> tuple[int, ...]:
        """The lines of `rules` in force: those of this set except `without`, and those of any set in `also`."""
        return tuple(
            line
            for line, rule in enumerate(self.rules)
            if rule.when is not None
            and rule.number not in without
            and (self.short in rule.rule_sets or rule.number in also)
        )


def load_rule_set(name: str) -> RuleSet:
    """The rule set of this name. Raises: KeyError."""
    return RULE_SETS[name]


def rule_set_of(period: int) -> RuleSet:
    """The rule set for submissions of a month, YYYYMM; the newest one for none."""
    fitting = [found for found in RULE_SETS.values() if period < 0 or found.first_period <= period]
    return max(fitting, key=lambda found: found.first_period)


def _layout(levels: Mapping[str, int]) -> Mapping[str, tuple[Field, ...]]:
    """The fields of each table: of reports, of each level with its header, and of each group of slots."""
    segments = ("unreadable", *levels)
    found: dict[str, list[Field]] = {name: [] for name in ("reports", *segments)}
    for row in read_data("layout.csv"):
        spec = Field(
            level=row["level"],
            slots=row["slots"],
            name=row["field"],
            element=row["element"],
            width=int(row["width"]),
            starts=tuple(int(start) - 1 for start in row["starts"].split()),
            type=row["type"],
            of=row["of"],
        )
        if spec.slots:
            tables = [spec.slots]
        elif spec.level != "*":
            tables = [name for name, level in levels.items() if str(level) == spec.level]
        else:  # the segments of a report have ORI and number in common
            tables = ["reports"] if spec.name in ("ori", "number") else list(segments)
        for table in tables:
            found.setdefault(table, []).append(spec)
    return MappingProxyType({name: tuple(fields) for name, fields in found.items()})


@cache
def _rules() -> tuple[Rule, ...]:
    """A line may hold one rule for several tables, with as many numbers as tables, or one number."""
    rules = []
    for row in read_data("rules.csv"):
        numbers, tables = row["rule"].split(), row["on"].split() or [""]
        if len(numbers) == 1:
            numbers *= len(tables)
        for number, table in zip(numbers, tables, strict=True):
            rules.append(
                Rule(
                    number=int(number),
                    rule_sets=frozenset(row["rule_sets"].split()),
                    on=table,
                    element=row["element"],
                    value=row["value"],
                    at=row["at"] or "segment",
                    warning=row["severity"] == "warning",
                    final=row["severity"] == "final",
                    when=ast.parse(row["when"], mode="eval").body if row["when"] else None,
                    message=row["message"],
                    omitted=row["omitted"],
                )
            )
    return tuple(rules)


def _view(row: Mapping[str, str]) -> View:
    return View(**{name: value for name, value in row.items() if name != "note"})


def _lines(name: str, short: str) -> list[Mapping[str, str]]:
    """The lines of a data file that belong to a rule set, in their order."""
    return [row for row in read_data(name) if not row["rule_sets"] or short in row["rule_sets"].split()]


def _words(rules: tuple[Rule, ...], short: str) -> tuple[str, ...]:
    """The FBI's words for each rule, where it has some; a later line of messages.csv replaces one for all sets."""
    words = {int(row["rule"]): row["message"] for row in _lines("messages.csv", short)}
    return tuple(words.get(rule.number, rule.message) for rule in rules)


def _read_rule_set(row: Mapping[str, str]) -> RuleSet:
    short, rules = row["short"], _rules()
    levels: dict[str, int] = {}
    lengths: dict[str, tuple[int, ...]] = {}
    for line in read_data("segments.csv"):
        for table in line["tables"].split():
            levels[table] = int(line["level"])
            lengths[table] = (*lengths.get(table, ()), int(line["length"]))
    codes: dict[str, dict[str, str]] = {}
    for line in _lines("codes.csv", short):
        codes.setdefault(line["table"], {})[line["code"]] = line["class"]
    classes = {
        table: np.array([sorted(set(entries.values())).index(kind) for kind in entries.values()], np.int16)
        for table, entries in codes.items()
    }
    pairs: dict[str, set[tuple[str, str]]] = {}
    for line in read_data("pairs.csv"):
        both = {(left, right) for left in line["left"].split() for right in line["right"].split()}
        pairs.setdefault(line["pairs"], set()).update(both)
    return RuleSet(
        name=row["rule_set"],
        short=short,
        first_period=int(row["first_period"]),
        specification=row["specification"],
        source=row["source"],
        lengths=MappingProxyType(lengths),
        levels=MappingProxyType(levels),
        fields=_layout(levels),
        codes=MappingProxyType({table: CodeTable(tuple(entries)) for table, entries in codes.items()}),
        classes=MappingProxyType(classes),
        sets=MappingProxyType({line["set"]: tuple(line["codes"].split()) for line in read_data("sets.csv")}),
        pairs=MappingProxyType({name: frozenset(both) for name, both in pairs.items()}),
        views=MappingProxyType({line["name"]: _view(line) for line in read_data("views.csv")}),
        rules=rules,
        words=_words(rules, short),
    )


RULE_SETS: Final = MappingProxyType({row["rule_set"]: _read_rule_set(row) for row in read_data("rule_sets.csv")})
"""The rule sets by name."""
