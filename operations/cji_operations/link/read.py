"""The rows of a job as a table, and what is known of each row for its status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa

from cji_core.format.records import RowStatus, Status
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Code, Link
from cji_core.operations.status_codes import ValueCode
from cji_core.operations.tables.missing import Missing, shipped
from cji_operations.link.columns import Table, read_table
from cji_operations.link.frequent import Frequent, rows_with
from cji_operations.link.variants import parted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RowFacts:
    """Of the records' `n` rows: not_dates, placeholders by column, int64: rows with a value that is one.

    cut int64: rows of which not all values are looked at.
    """

    n: int
    not_dates: dict[str, Ints]
    placeholders: dict[str, Ints]
    cut: Ints

    def arrays(self) -> tuple[list[list[str]], list[Ints]]:
        """(names of columns, arrays): what `of` reads."""
        names = [list(self.not_dates), list(self.placeholders)]
        return names, [*self.not_dates.values(), *self.placeholders.values(), self.cut]

    @classmethod
    def of(cls, n: int, names: Sequence[Sequence[str]], arrays: Sequence[Ints]) -> "RowFacts":
        """Of `n` rows and what `arrays` gave."""
        rest = iter(arrays)
        not_dates, placeholders = ({name: next(rest) for name in some} for some in names)
        return cls(n=n, not_dates=not_dates, placeholders=placeholders, cut=next(rest))

    def with_cut(self, more: Ints) -> "RowFacts":
        """And these rows, of any table."""
        return replace(self, cut=np.union1d(self.cut, more[more < self.n]))

    def status(self, keyed: Bools, schema: pa.Schema) -> RowStatus:
        """Rows of records without a key for any rule are not usable; keyed bool[n]: those that have one.

        Rows with a value that is not a date, a placeholder, or more values than are looked at, are partly used.
        """
        status = RowStatus.all_ok(self.n)
        rows = np.flatnonzero(~keyed)
        status = status.found(rows, status=Status.NOT_USABLE, code=Code.NO_BLOCKING_KEY)
        faults = ((self.not_dates, ValueCode.NOT_A_DATE), (self.placeholders, ValueCode.PLACEHOLDER))
        for name, rows, code in ((name, rows, code) for by_name, code in faults for name, rows in by_name.items()):
            source = name if name in schema.names else "NAM"
            column = schema.names.index(source) if source in schema.names else -1
            status = status.found(rows, status=Status.PARTLY_USED, code=code, column=column)
        return status.found(self.cut, status=Status.PARTLY_USED, code=Code.TOO_MANY_VALUES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ReadRows:
    """A table in which a row with several values in a cell is several rows; row int64[v]: which one each is part of."""

    table: Table
    row: Ints
    facts: RowFacts

    def with_frequent(self, frequent: Frequent) -> RowFacts:
        """The facts in which values that are too frequent are placeholders."""
        found = dict(self.facts.placeholders)
        for name, rows in _rows(rows_with(self.table, frequent), self.row, self.facts.n).items():
            found[name] = np.union1d(found.get(name, rows), rows)
        return replace(self.facts, placeholders=dict(sorted(found.items())))


def read_rows(
    records: Sequence[pa.RecordBatch],
    side: Sequence[pa.RecordBatch] | None,
    names: Sequence[str],
    parameters: Link,
    missing: Missing | None,
) -> ReadRows:
    """The named columns of records and, where two tables are linked, of the side table below them.

    `missing` is the shipped table by default; the job's own placeholders are added to it.
    """
    missing = _with_own(missing or shipped(), parameters.placeholders)
    n = sum(batch.num_rows for batch in records)
    own, other, row, cut = records, side or (), None, np.empty(0, np.int64)
    if parameters.separators:
        ours, theirs = (parted(batches, parameters.separators) for batches in (own, other))
        own, other, cut, row = ours.batches, theirs.batches, ours.cut, np.concatenate((ours.row, n + theirs.row))
    table = read_table(own, other, frozenset(names), linking=side is not None, missing=missing)
    table, row = replace(table, apart=parameters.apart), table.rows if row is None else row
    not_dates, placeholders = (_rows(found, row, n) for found in (table.not_dates, table.placeholders))
    facts = RowFacts(n=n, not_dates=not_dates, placeholders=placeholders, cut=cut)
    return ReadRows(table=table, row=row, facts=facts)


def _with_own(table: Missing, own: Mapping[str, tuple[str, ...]]) -> Missing:
    """The table with the job's own placeholders."""
    both = {name: (*table.placeholders.get(name, ()), *values) for name, values in own.items()}
    return msgspec.structs.replace(table, placeholders=table.placeholders | both)


def _rows(found: Mapping[str, Bools], row: Ints, n: int) -> dict[str, Ints]:
    """By column: the records' rows with such a value."""
    return {name: rows[rows < n] for name, one in found.items() for rows in [np.unique(row[np.flatnonzero(one)])]}
