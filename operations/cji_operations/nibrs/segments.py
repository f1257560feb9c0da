"""The tables of one chunk of a submission, each built when a rule first reads it.

    reports            one row a report: a Group A incident, a Group B arrest, a zero report
    admin ... group_b  one row a segment of that level
    items, drugs ...   one row a slot in use of a group that repeats within a segment
    views and crosses  of views.csv

`within` is the table whose rows group this one: `any(items, ...)` looks at the items of one property segment in a
condition on that segment or on a part of it, else at those of the whole report.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints, Text
from cji_core.format.records.lines import matrix, slots
from cji_operations.nibrs.table import Table

MAX_PAIRED: Final = 10
"""A cross pairs a row with no more rows than this of its report: offenses beyond are an error anyway (263)."""

_HEADER: Final = 37
_FIRST_PRINTABLE, _LAST_PRINTABLE = np.uint8(0x20), np.uint8(0x7E)

Array = npt.NDArray[Any]


class Chunk:
    """The tables of some whole reports.

    `records` has the records of each table of segments; `text`, `facts` and `report` (the report of each) are those of
    all records. `first_report` is the first report of this chunk.
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
        """Whether the table has been made."""
        return name in self._tables

    def add_view(self, name: str, of: str, rows: Ints, within: str) -> Table:
        """Make a view of these rows; a condition has picked them."""
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
            made={"ordinal": partial(_ordinal, report), "printable": partial(_printable, lines)},
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
