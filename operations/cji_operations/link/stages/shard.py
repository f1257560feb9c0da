"""The rows of one shard: those of its records, and its part of the side table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Model, Rule
from cji_core.operations.link.outputs import SIDE
from cji_core.operations.tables import Missing
from cji_operations.link.columns import read_ids
from cji_operations.link.linkage import bind, looked_at, rule_sets
from cji_operations.link.read import ReadRows, read_rows
from cji_operations.stages.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Bound:
    """The model, bound to the columns of the records: its rules over all sets, and the columns that it looks at."""

    model: Model
    sets: tuple[tuple[Rule, ...], ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, task: Task) -> "Bound":
        """Raises: Refusal(BAD_PARAMETERS) as `linkage.bind` does."""
        model = bind(task.parameters, task.schema, linking=SIDE in task.context.sides)
        return cls(model=model, sets=rule_sets(model), columns=looked_at(model, task.parameters))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Of all sets."""
        return tuple(rule for rules in self.sets for rule in rules)

    @property
    def numbers(self) -> tuple[range, ...]:
        """The numbers of the rules of each set."""
        ends = np.cumsum([0, *(len(rules) for rules in self.sets)]).tolist()
        return tuple(range(start, stop) for start, stop in pairwise(ends))


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of every shard, and of its part of the side table; None without one."""

    own: list[int]
    side: list[int] | None

    @classmethod
    def of(cls, shards: Sequence[Sequence[int | None]]) -> "Rows":
        """Of the rows of each shard and of its part of the side table."""
        own, side = [one[0] or 0 for one in shards], [one[1] for one in shards]
        return cls(own=own, side=None if None in side else [rows or 0 for rows in side])

    @property
    def n(self) -> int:
        """All rows."""
        return sum(self.own) + sum(self.side or ())

    @property
    def first_of_second(self) -> int | None:
        """The number of the first row of the side table."""
        return None if self.side is None else sum(self.own)

    def numbers(self, shard: int, local: Ints) -> Ints:
        """int64[k]: the numbers among all rows of rows of a shard; those of the side table come last."""
        own, before = self.own[shard], sum(self.own[:shard])
        of_side = sum(self.own) - own + sum((self.side or ())[:shard])
        return np.where(local < own, local + before, local + of_side)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Shard:
    """Task t of s tasks has shard t of the records and the t-th part of s of the side table; None without one."""

    records: Sequence[pa.RecordBatch]
    side: Sequence[pa.RecordBatch] | None
    missing: Missing

    @classmethod
    def of(cls, task: Task) -> "Shard":
        """Read the records, once."""
        needed = {*Bound.of(task).columns, *task.parameters.separators, "NAM", "last", "record_id"}
        names = [name for name in task.schema.names if name in needed]
        records = [copied(batch, names) for batch in task.records()]
        side, missing = task.context.sides.get(SIDE), task.context.tables.missing
        if side is None:
            return cls(records=records, side=None, missing=missing)
        whole = pa.Table.from_batches(side) if len(side) else None
        start, stop = side_rows(0 if whole is None else whole.num_rows, task)
        mine = [] if whole is None else whole.slice(start, stop - start).to_batches()
        return cls(records=records, side=mine, missing=missing)

    def read(self, columns: Sequence[str], parameters: Link) -> ReadRows:
        """Rows in their order, numbered from 0."""
        return read_rows(self.records, self.side, columns, parameters, self.missing)

    def ids(self) -> pa.Array:
        """The record ids of the rows."""
        return read_ids(self.records, self.side or (), linking=self.side is not None)


def side_rows(n: int, task: Task) -> tuple[int, int]:
    """(first, end) of the rows of the side table that are this shard's, of `n`."""
    shards = task.tasks["count"]
    return n * task.number // shards, n * (task.number + 1) // shards


def copied(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """These columns in memory of their own: the next batch may overwrite this one."""
    columns = [batch.column(batch.schema.names.index(name)) for name in names]
    arrays = [arrow.concat([column], column.type) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([batch.schema.field(name) for name in names]))
