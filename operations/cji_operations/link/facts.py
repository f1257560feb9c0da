"""Facts about all rows, for training and weights: whole numbers, which add up over any parts of the rows."""

from collections.abc import Iterable

import msgspec

from cji_core.operations.link.model import Model
from cji_operations.link.columns import Table


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`n` rows, of which those from `first_of_second` on are the second table's, if there is one.

    By column: rows that are `filled`, and of columns with a term frequency, the sum of `squares` of how many rows have
    each value.
    """

    n: int
    first_of_second: int | None
    filled: dict[str, int]
    squares: dict[str, int]

    @property
    def all_pairs(self) -> int:
        """How many pairs of rows there are: of different rows, or of one of each table."""
        if self.first_of_second is None:
            return self.n * (self.n - 1) // 2
        return self.first_of_second * (self.n - self.first_of_second)

    def share(self, column: str) -> float:
        """The share of rows that have a value."""
        return self.filled[column] / self.n if self.n else 0.0


def facts_of(table: Table, model: Model) -> Facts:
    """Of a table with all rows."""
    counts = {name: column.counts for name, column in table.columns.items()}
    return Facts(
        n=table.n,
        first_of_second=table.first_of_second,
        filled={name: int(of_value.sum()) for name, of_value in counts.items()},
        squares={name: int(counts[name] @ counts[name]) for name in frequency_columns(model)},
    )


def frequency_columns(model: Model) -> tuple[str, ...]:
    """The columns with a term frequency, in order."""
    named: Iterable[str] = (
        level.tf_adjustment_column for one in model.comparisons for level in one.levels if level.tf_adjustment_column
    )
    return tuple(sorted(set(named)))
