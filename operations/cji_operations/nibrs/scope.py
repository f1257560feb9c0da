"""The rows of a chunk that a condition is evaluated for, and the values that it may read of other rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_core.format.records.equal_rows import repeats
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.specification import View
from cji_operations.nibrs.table import Table, missing

Array = npt.NDArray[Any]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Run:
    """A chunk, the views of the rule set, and the answers that several rules share. `parts` makes views."""

    chunk: Chunk
    views: Mapping[str, View]
    parts: Mapping[str, "Condition"]
    constants: Mapping[str, int]
    unlisted: Callable[[npt.NDArray[np.bytes_]], Bools]
    answers: dict[tuple[str, ...], Array] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """A table of the chunk; a view is made of the rows that its condition means."""
        if name not in self.parts or self.chunk.has(name):
            return self.chunk.table(name)
        view = self.views[name]
        rows = np.flatnonzero(self.parts[name](Scope(self, self.chunk.table(view.of))))
        return self.chunk.add_view(name, view.of, rows, view.within)

    def partners(self, join: str) -> Ints:
        """For each row of the join's table its partner's row, or -1."""
        key = ("join", join)
        if key not in self.answers:
            view = self.views[join]
            self.answers[key] = self.chunk.partners(view.of, self.table(view.by), view.on, view.equals)
        return self.answers[key]

    def gathered(self, name: str, group: str, meant: "Condition | None", source: str, value: str) -> Array:
        """int64: for each row of table `group` how many rows of `name` are meant, or the total of their `value`."""
        key = ("gathered", name, group, source, value)
        if key not in self.answers:
            table = self.table(name)
            rows = None if meant is None else meant(Scope(self, table)).nonzero()[0]
            groups = table.climb(group) if rows is None else table.climb(group)[rows]
            weights = np.maximum(table.column(value, rows), 0) if value else None
            self.answers[key] = np.bincount(groups, weights, self.table(group).n).astype(np.int64, copy=False)
        return self.answers[key]

    def there(self, name: str, column: str) -> Array:
        """bool[reports, values]: which values a column of a table has in each report."""
        key = ("there", name, column)
        if key not in self.answers:
            table = self.table(name)
            values = table.column(column)
            usable = np.flatnonzero(values >= 0)
            there = np.zeros((self.table("reports").n, int(values.max(initial=0)) + 1), np.bool_)
            there[table.climb("reports")[usable], values[usable]] = True
            self.answers[key] = there
        return self.answers[key]


class Scope:
    """Rows (None: all) of a table in a run."""

    __slots__ = ("rows", "run", "table")

    def __init__(self, run: Run, table: Table, rows: Ints | None = None) -> None:
        self.run, self.table, self.rows = run, table, rows

    def narrowed(self, positions: Ints) -> "Scope":
        """Some of these rows."""
        return Scope(self.run, self.table, positions if self.rows is None else self.rows[positions])

    @property
    def n(self) -> int:
        """How many rows."""
        return self.table.n if self.rows is None else len(self.rows)

    def lowest(self, name: str) -> int:
        """A bound: no value of the column is lower, in these rows or others."""
        return self.table.lowest(name)

    def flaws(self, name: str) -> int:
        """All flaws that there are in a column of identifiers, in these rows or others."""
        return self.table.flaws(name)

    def column(self, name: str) -> Array:
        """The values of a field or fact of these rows."""
        return self.table.column(name, self.rows)

    def derived(self, name: str, what: str) -> Array:
        """The facts that reading the field `name` yields in addition to its values."""
        self.table.column(name, np.empty(0, np.int64))
        return self.table.column(f"{name}.{what}", self.rows)

    def text(self, name: str) -> npt.NDArray[np.bytes_]:
        """The bytes of a field of these rows."""
        return self.table.text(name, np.arange(self.table.n) if self.rows is None else self.rows)

    def rows_of(self, ancestor: str) -> Ints:
        """The rows of another table that these rows belong to."""
        position = self.table.climb(ancestor)
        return position if self.rows is None else position[self.rows]

    def of_other(self, name: str) -> Array:
        """In a cross, the values of a field of the second table."""
        table = self.table
        if table.other is None:
            raise KeyError(name)
        return table.other.column(name, table.other_up if self.rows is None else table.other_up[self.rows])

    def of_partner(self, join: str, name: str) -> Array:
        """The values of a field of the partners of these rows; BLANK_VALUE where there is none."""
        view = self.run.views[join]
        partners = self.run.partners(join)[self.rows_of(view.of)]
        return missing(partners, self.run.table(view.by).column(name))

    def gathered(self, name: str, meant: "Condition | None", source: str, value: str) -> Array:
        """`Run.gathered` for these rows: within their own `within`, or else within their report."""
        within = self.run.table(name).within
        group = within if self.table.belongs_to(within) else "reports"
        return self.run.gathered(name, group, meant, source, value)[self.rows_of(group)]

    def occurs(self, values: Array, name: str, column: str) -> Bools:
        """bool: whether some row of table `name` in the same report has each of `values` in `column`."""
        there = self.run.there(name, column)
        known = (values >= 0) & (values < there.shape[1])
        found: Bools = there[self.rows_of("reports"), values * known] & known
        return found

    def repeated(self, keys: "list[Number]", *, across: bool) -> Bools:
        """bool: an earlier row of the same `within` (`across`: of the same report) has the same keys."""
        whole = Scope(self.run, self.table)
        values = [key(whole) for key in keys]
        groups = whole.rows_of("reports" if across else self.table.within)
        found = repeats([groups, *values], values[0] >= 0)
        return found if self.rows is None else found[self.rows]


Condition = Callable[[Scope], Bools]
"""Which of the rows are meant: bool[rows]."""

Number = Callable[[Scope], Array]
"""A number for each row: integers, negative where there is none."""
