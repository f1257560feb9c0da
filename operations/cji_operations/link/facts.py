"""Facts about all rows, for training and weights: whole numbers, which add up over any parts of the rows."""

from collections.abc import Iterable

import msgspec
import numpy as np

from cji_core.operations.link.model import Model
from cji_operations.link.columns import Table
from cji_operations.link.units import value_hashes


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`n` units, of which those from `first_of_second` on are the second table's, if there is one.

    By column: units that have a value (`filled`), and of columns with a term frequency, the sum of `squares` of the
    units that have each. `apart`: pairs of units of one source that has no duplicates.
    """

    n: int
    first_of_second: int | None
    filled: dict[str, int]
    squares: dict[str, int]
    apart: int = 0

    @property
    def all_pairs(self) -> int:
        """How many pairs there are that can be of one person."""
        return self.drawn - self.apart

    @property
    def drawn(self) -> int:
        """How many pairs of units there are: of different ones, or of one of each table."""
        if self.first_of_second is None:
            return self.n * (self.n - 1) // 2
        return self.first_of_second * (self.n - self.first_of_second)

    def share(self, column: str) -> float:
        """The share of rows that have a value."""
        return self.filled[column] / self.n if self.n else 0.0


def facts_of(table: Table, model: Model) -> Facts:
    """Of a table with all rows."""
    counts = {name: column.counts for name, column in table.columns.items()}
    sizes = np.array(list(sources_of(table).values()), np.int64)
    return Facts(
        n=table.units,
        first_of_second=None if table.second is None else second_units(table),
        filled=filled_of(table),
        squares={name: int(counts[name] @ counts[name]) for name in frequency_columns(model)},
        apart=int((sizes * (sizes - 1) // 2).sum()),
    )


def second_units(table: Table) -> int:
    """The place of the first unit of the second table."""
    first = table.first_of_second or 0
    return table.units if first == table.n else int(table.units_of(np.array([first]))[0])


def filled_of(table: Table) -> dict[str, int]:
    """By column: the units that have a value."""
    if table.unit is None:
        return {name: int(column.counts.sum()) for name, column in table.columns.items()}
    return {
        name: int(np.logical_or.reduceat(column.code >= 0, table.starts[:-1]).sum())
        for name, column in table.columns.items()
    }


def sources_of(table: Table) -> dict[int, int]:
    """Units of each source, by the hash of its name; empty unless sources have no duplicates."""
    if not table.apart:
        return {}
    column = table.columns[table.apart]
    hashes = value_hashes(column, 0)[column.code[table.starts[:-1]]]
    distinct, counts = np.unique(hashes[hashes != 0], return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def frequency_columns(model: Model) -> tuple[str, ...]:
    """The columns with a term frequency, in order."""
    named: Iterable[str] = (
        level.tf_adjustment_column for one in model.comparisons for level in one.levels if level.tf_adjustment_column
    )
    return tuple(sorted(set(named)))
