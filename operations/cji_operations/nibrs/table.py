"""A table that rules are checked against: some rows of a chunk, and their columns, each read when it is first needed.

Every table but `reports` has an owner, the table whose row a row of it belongs to; a name that a table does not
have is looked for in its owner.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints
from cji_core.format.records.nibrs.code_tables import BLANK_VALUE
from cji_core.format.records.nibrs.fields import ages, dates, numbers, periods, quantities
from cji_operations.nibrs.identifiers import identifiers, names
from cji_operations.nibrs.specification import FIRST_YEAR, Field, RuleSet

_NONE: Final = np.empty(0, np.int64)

Array = npt.NDArray[Any]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Table:
    """Some rows and how to read them. Columns are read once and kept.

    `up[i]` is the owner's row of row i, `other_up[i]` that of the second table in a cross. `facts` are columns of all
    records, `records[i]` the record of row i. `fields` maps a field to its start in `bytes` uint8[n, width]; `made` are
    columns of something else.
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
    made: Mapping[str, Callable[[], Array]] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)
    _lows: dict[str, int] = field(default_factory=dict)
    _flaws: dict[str, int] = field(default_factory=dict)
    _ancestors: dict[str, Ints] = field(default_factory=dict)

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
        if name not in self._ancestors:
            if self.name == name:
                self._ancestors[name] = np.arange(self.n)
            elif self.owner is None:
                raise KeyError(name)
            else:
                self._ancestors[name] = self.owner.climb(name)[self.up]
        return self._ancestors[name]

    def column(self, name: str, rows: Ints | None = None) -> Array:
        """The values of a field or a fact, here or in an owner, for `rows` (None: all). Raises: KeyError."""
        table = self
        while name not in table.columns:
            if name in table.facts:
                facts = table.facts[name]  # of one value where all records have the same
                table.columns[name] = facts[table.records] if len(facts) > 1 else np.broadcast_to(facts, table.n)
            elif name in table.fields:
                table._read(*table.fields[name])
            elif name in table.made:
                table.columns[name] = table.made[name]()
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
            if any(name in columns for columns in (table.facts, table.fields, table.made, table.columns)):
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


def missing(rows: Ints, values: Array) -> Array:
    """`values[rows]`, and BLANK_VALUE where the row is -1."""
    return np.where(rows >= 0, np.append(values, BLANK_VALUE)[rows], BLANK_VALUE)
