"""The tables that rules judge, built from one chunk of a submission when a rule first asks for them.

    reports            one row a report: a Group A incident, a Group B arrest, a zero report
    admin ... group_b  one row a segment of that level
    items, drugs ...   one row a slot in use of a group that repeats within a segment
    views and crosses  of views.csv

Every table but `reports` has an owner, the table whose row a row of it belongs to; a name that a table does not
have is looked for in its owner. `within` is the table whose rows gather it: `any(items, ...)` asks about the items
of one property segment where the question comes from within that segment, else about those of the report.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.column import Bytes, Ints, Text
from worker.compute.kernels.lines import matrix, slots
from worker.compute.nibrs.code_tables import BLANK_VALUE
from worker.compute.nibrs.fields import (
    ages,
    dates,
    numbers,
    periods,
    quantities,
)
from worker.compute.nibrs.identifiers import identifiers, names
from worker.compute.nibrs.specification import FIRST_YEAR, Field, RuleSet

__all__ = ["MAX_PAIRED", "Chunk", "Table", "missing"]

MAX_PAIRED: Final = 10
"""A cross pairs a row with no more rows than this of its report: offenses beyond are an error anyway (263)."""

_HEADER: Final = 37
_FIRST_PRINTABLE, _LAST_PRINTABLE = np.uint8(0x20), np.uint8(0x7E)
_NONE: Final = np.empty(0, np.int64)

Array = npt.NDArray[Any]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Table:
    """Some rows and how to read them. Columns are read once and kept.

    `up[i]` is the owner's row of row i, `other_up[i]` that of the second table in a cross. `facts` are columns of all
    records, `records[i]` the record of row i. `fields` says where in `bytes` uint8[n, width] a field begins.
    """

    name: str
    n: int
    within: str
    rules: RuleSet
    owner: "Table | None" = None
    up: Ints = field(default_factory=lambda: _NONE)
    other: "Table | None" = None
    other_up: Ints = field(default_factory=lambda: _NONE)
    records: Ints = field(default_factory=lambda: _NONE)
    facts: Mapping[str, Array] = field(default_factory=dict)
    fields: Mapping[str, tuple[Field, int]] = field(default_factory=dict)
    bytes: Bytes = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    columns: dict[str, Array] = field(default_factory=dict)
    _lows: dict[str, int] = field(default_factory=dict)
    _flaws: dict[str, int] = field(default_factory=dict)
    _places: dict[str, Ints] = field(default_factory=dict)

    def line(self) -> "Iterator[Table]":
        """Itself, its owner, the owner's owner and so on."""
        table: Table | None = self
        while table is not None:
            yield table
            table = table.owner

    def belongs_to(self, name: str) -> bool:
        """Whether the table `name` is in its line."""
        return any(table.name == name for table in self.line())

    def climb(self, name: str) -> Ints:
        """For each row the row of the table `name` in its line. Raises: KeyError."""
        if name not in self._places:
            if self.name == name:
                self._places[name] = np.arange(self.n)
            elif self.owner is None:
                raise KeyError(name)
            else:
                self._places[name] = self.owner.climb(name)[self.up]
        return self._places[name]

    def column(self, name: str, rows: Ints | None = None) -> Array:
        """The values of a field or a fact, here or in an owner, for `rows` (None: all). Raises: KeyError."""
        table = self
        while name not in table.columns:
            if name in table.facts:
                facts = table.facts[name]  # of one value where all records have the same
                table.columns[name] = facts[table.records] if len(facts) > 1 else np.broadcast_to(facts, table.n)
            elif name in table.fields:
                table._read(*table.fields[name])
            elif table.owner is None:
                raise KeyError(name)
            else:
                rows = table.up if rows is None else table.up[rows]
                table = table.owner
        values = table.columns[name]
        if rows is None:
            return values
        return values[rows] if values.strides[0] else np.broadcast_to(values[:1], len(rows) * bool(table.n))

    def home(self, name: str) -> "Table":
        """The table in its line that has the column. Raises: KeyError."""
        for table in self.line():
            if name in table.facts or name in table.fields or name in table.columns:
                return table
        raise KeyError(name)

    def lowest(self, name: str) -> int:
        """The lowest value of the whole column, here or in an owner; 0 if there is none below."""
        if name not in self._lows:
            self._lows[name] = int(self.home(name).column(name).min(initial=0))
        return self._lows[name]

    def flaws(self, name: str) -> int:
        """The flaws of a whole column of identifiers, here or in an owner, together."""
        if name not in self._flaws:
            found = np.maximum(self.home(name).column(name), 0)
            self._flaws[name] = int(np.bitwise_or.reduce(found, initial=0))
        return self._flaws[name]

    def text(self, name: str, rows: Ints) -> npt.NDArray[np.bytes_]:
        """S[len(rows)]: the bytes of a field, here or in an owner. Raises: KeyError."""
        for table in self.line():
            if name in table.fields:
                spec, start = table.fields[name]
                found = table.bytes[self.climb(table.name)[rows], start : start + spec.width]
                return np.ascontiguousarray(found).view(f"S{spec.width}")[:, 0]
        raise KeyError(name)

    def _read(self, spec: Field, start: int) -> None:
        values, name = self.bytes[:, start : start + spec.width], spec.name
        match spec.type:
            case "code":
                self.columns[name] = self.rules.codes[spec.of].lookup(values)
            case "number":
                low, high = (int(bound) for bound in spec.of.split("-"))
                self.columns[name] = numbers(values, low, high)
            case "date":
                self.columns[name] = dates(values)
            case "period":
                self.columns[name] = periods(values, FIRST_YEAR)
            case "quantity":
                self.columns[name] = quantities(values)
            case "name":
                self.columns[name] = names(values)
            case "identifier":
                self.columns[name] = identifiers(values)
            case _:
                years, form, low_end, high_end = ages(values)
                self.columns |= {name: years, f"{name}.form": form, f"{name}.low": low_end, f"{name}.high": high_end}


class Chunk:
    """The tables of some whole reports.

    `records` has the records of each table of segments, `text` and `facts` are those of all records, and `report`
    says which report they belong to; `first_report` is the first one here.
    """

    def __init__(
        self,
        reports: Table,
        text: Text,
        records: Mapping[str, Ints],
        *,
        report: Ints,
        first_report: int,
        facts: Mapping[str, Array],
    ) -> None:
        self._rules = reports.rules
        self._text = text
        self._records = records
        self._report, self._first_report = report, first_report
        self._facts = facts
        self._tables = {"reports": reports}

    def table(self, name: str) -> Table:
        """The table of this name."""
        if name not in self._tables:
            self._tables[name] = self._make(name)
        return self._tables[name]

    def has(self, name: str) -> bool:
        """Whether the table was made already."""
        return name in self._tables

    def add_view(self, name: str, of: str, rows: Ints, within: str) -> Table:
        """Make a view, whose rows only a condition can tell."""
        owner = self.table(of)
        self._tables[name] = Table(name=name, n=len(rows), within=within, rules=self._rules, owner=owner, up=rows)
        return self._tables[name]

    def _make(self, name: str) -> Table:
        if name in self._records:
            return self._segments(name)
        if name in self._rules.views:
            return self._cross(name)
        return self._slots(name)

    def _segments(self, name: str) -> Table:
        records, reports = self._records[name], self._tables["reports"]
        report = self._report[records] - self._first_report
        lines = matrix(self._text, records, max(self._rules.lengths.get(name, (_HEADER,))))
        return Table(
            name=name,
            n=len(records),
            within="reports",
            rules=self._rules,
            owner=reports,
            up=report,
            records=records,
            facts=self._facts,
            fields={spec.name: (spec, spec.starts[0]) for spec in self._rules.fields[name]},
            bytes=lines,
            columns={"ordinal": _ordinal(report), "printable": _printable(lines)},
        )

    def _slots(self, name: str) -> Table:
        owner = self.table(str(self._rules.owner(name)))
        specs = self._rules.fields[name]
        base, count = min(spec.starts[0] for spec in specs), len(specs[0].starts)
        step = specs[0].starts[1] - specs[0].starts[0]
        rows, found = slots(owner.bytes, base, count, step)
        return Table(
            name=name,
            n=len(rows),
            within=owner.name,
            rules=self._rules,
            owner=owner,
            up=rows,
            fields={spec.name: (spec, spec.starts[0] - base) for spec in specs},
            bytes=found,
        )

    def _cross(self, name: str) -> Table:
        view = self._rules.views[name]
        left, right = self.table(view.of), self.table(view.by)
        shared = right.within if left.belongs_to(right.within) else "reports"
        of_left, of_right = left.climb(shared), right.climb(shared)
        counts = np.bincount(of_right, minlength=self.table(shared).n)
        firsts = np.cumsum(counts) - counts
        by_group = np.argsort(of_right, kind="stable")
        each = np.minimum(counts, MAX_PAIRED)[of_left]
        up = np.repeat(np.arange(left.n), each)
        position = np.arange(len(up)) - np.repeat(np.cumsum(each) - each, each)
        other_up = by_group[firsts[of_left][up] + position]
        if left is right:  # each two once
            once = other_up > up
            up, other_up = up[once], other_up[once]
        return Table(
            name=name,
            n=len(up),
            within=view.within,
            rules=self._rules,
            owner=left,
            up=up,
            other=right,
            other_up=other_up,
        )

    def partners(self, of: str, target: Table, on: str, equals: str) -> Ints:
        """For each row of `of` the first row of `target` in the same report, or -1; by value where `on` is named."""
        mine, theirs = self.table(of).climb("reports"), target.climb("reports")
        reports = self._tables["reports"].n
        if not on:
            found = np.full(reports, -1)
            found[theirs[::-1]] = np.arange(target.n)[::-1]
            return found[mine]
        key, wanted = target.column(equals), self.table(of).column(on)
        size = int(max(key.max(initial=0), wanted.max(initial=0))) + 1
        found = np.full(reports * size, -1)
        usable = np.flatnonzero(key >= 0)[::-1]
        found[theirs[usable] * size + key[usable]] = usable
        return np.where(wanted >= 0, found[mine * size + np.maximum(wanted, 0)], -1)


def _ordinal(group: Ints) -> Ints:
    """Which row of its group each row is, from 1; `group` ascends."""
    position = np.arange(len(group))
    begins = np.ones(len(group), np.bool_)
    begins[1:] = group[1:] != group[:-1]
    return position - np.maximum.accumulate(position * begins) + 1


def _printable(lines: Bytes) -> npt.NDArray[np.bool_]:
    """Whether each line has nothing but printable ASCII."""
    if lines.min(initial=_FIRST_PRINTABLE) >= _FIRST_PRINTABLE and lines.max(initial=0) <= _LAST_PRINTABLE:
        return np.ones(len(lines), np.bool_)
    good: npt.NDArray[np.bool_] = lines - _FIRST_PRINTABLE <= _LAST_PRINTABLE - _FIRST_PRINTABLE  # less wraps to more
    printable: npt.NDArray[np.bool_] = np.logical_and.reduce(good, axis=1)
    return printable


def missing(rows: Ints, values: Array) -> Array:
    """`values[rows]`, and BLANK_VALUE where the row is -1."""
    return np.where(rows >= 0, np.append(values, BLANK_VALUE)[rows], BLANK_VALUE)
