"""The rows of one shard: those of its records, and its part of the side table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link.model import Model, Rule
from cji_core.operations.link.outputs import SIDE
from cji_core.operations.tables import Missing
from cji_operations.link.columns import Table, read_ids, read_table
from cji_operations.link.linkage import bind, columns_of, rule_sets
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
        model = bind(task.parameters, task.schema)
        return cls(model=model, sets=rule_sets(model), columns=tuple(sorted(columns_of(model))))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Of all sets."""
        return tuple(rule for rules in self.sets for rule in rules)

    @property
    def numbers(self) -> tuple[range, ...]:
        """The numbers of the rules of each set."""
        ends = np.cumsum([0, *(len(rules) for rules in self.sets)]).tolist()
        return tuple(range(start, stop) for start, stop in pairwise(ends))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Shard:
    """Task t of s tasks has shard t of the records and the t-th part of s of the side table; None without one."""

    records: Sequence[pa.RecordBatch]
    side: Sequence[pa.RecordBatch] | None
    missing: Missing

    @classmethod
    def of(cls, task: Task) -> "Shard":
        """Read the records, once."""
        needed = {*Bound.of(task).columns, "NAM", "record_id"}
        names = [name for name in task.schema.names if name in needed]
        records = [copied(batch, names) for batch in task.records()]
        side, missing = task.context.sides.get(SIDE), task.context.tables.missing
        if side is None:
            return cls(records=records, side=None, missing=missing)
        whole = pa.Table.from_batches(side) if len(side) else None
        start, stop = side_rows(0 if whole is None else whole.num_rows, task)
        mine = [] if whole is None else whole.slice(start, stop - start).to_batches()
        return cls(records=records, side=mine, missing=missing)

    def table(self, columns: Sequence[str]) -> Table:
        """Rows in their order, numbered from 0."""
        linking = self.side is not None
        return read_table(self.records, self.side or (), frozenset(columns), linking=linking, missing=self.missing)

    def ids(self) -> pa.Array:
        """The record ids of the rows."""
        return read_ids(self.records, self.side or (), linking=self.side is not None)


def side_rows(n: int, task: Task) -> tuple[int, int]:
    """(first, end) of the rows of the side table that are this shard's, of `n`."""
    shards = task.tasks["count"]
    return n * task.number // shards, n * (task.number + 1) // shards


def numbers(task: Task, shards: Sequence[int], n: int) -> Ints:
    """int64[k]: the numbers of this shard's rows among all `n`; those of the side table come last.

    `shards`: the rows of every shard of the records.
    """
    before, records = sum(shards[: task.number]), sum(shards)
    start, stop = side_rows(n - records, task)
    return np.concatenate((np.arange(before, before + shards[task.number]), records + np.arange(start, stop)))


def copied(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """These columns in memory of their own: the next batch may overwrite this one."""
    columns = [batch.column(batch.schema.names.index(name)) for name in names]
    arrays = [arrow.concat([column], column.type) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([batch.schema.field(name) for name in names]))
