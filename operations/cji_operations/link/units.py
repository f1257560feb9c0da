"""Units: what is compared. A unit is a record of one or several rows, or one for many records that are equal.

The rows of a record have one value in the column `record`, and one source; a row without that value is a record of its
own. Records are equal if they have the same value in every column that is looked at, that of the record among them.
They weigh the same with any other record, so of equal ones only EQUAL are compared, and the last of these stands for
all that follow: work, frequencies and training know EQUAL of them. Whether equal records are of one person is a matter
of what they have in common, as it is for any two records.

Of a record, at most MOST different rows are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_operations.kernels import hashing
from cji_operations.kernels.hashing import Hashes
from cji_operations.link.column import Column
from cji_operations.link.columns import Table

MOST: Final = 64
EQUAL: Final = 8
_Code: TypeAlias = npt.NDArray[Any]
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Units:
    """Rows and their units: first int64[u], ascending, is the first row of each unit.

    row, record, head, twin int64[m], by row, of all rows that are not the first of their unit: the row, the first row
    of its record, that of its unit, and that of the first unit of equal records.
    """

    first: Ints
    row: Ints
    record: Ints
    head: Ints
    twin: Ints

    @classmethod
    def each(cls, first: Ints) -> Self:
        """Every row is a unit."""
        return cls(first=first, row=_NONE, record=_NONE, head=_NONE, twin=_NONE)

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.first) + len(self.row)

    @property
    def of_row(self) -> Ints:
        """int64[n]: the unit of each row."""
        found = np.empty(self.n, np.int64)
        found[self.first] = np.arange(len(self.first))
        found[self.row] = found[self.head]
        return found

    @property
    def copies(self) -> Ints:
        """int64[u]: the records of each unit."""
        return self._counted(self.head[self.row == self.record])

    @property
    def sizes(self) -> Ints:
        """int64[u]: the rows of each unit."""
        return self._counted(self.head)

    @property
    def twins(self) -> tuple[Ints, Ints]:
        """(units that stand for several equal records, a unit that is equal to each)."""
        copies = np.flatnonzero(self.row == self.record)
        unit, first = np.unique(np.searchsorted(self.first, self.head[copies]), return_index=True)
        return unit, np.searchsorted(self.first, self.twin[copies[first]])

    def _counted(self, head: Ints) -> Ints:
        return 1 + np.bincount(np.searchsorted(self.first, head), minlength=len(self.first))

    def roots(self, root: Ints, together: Bools) -> Ints:
        """int64[n]: the first row of the cluster of each row, where root int64[u] is the first unit of each unit's.

        together bool[u]: the records of the unit are in one cluster; the others are one each.
        """
        found = np.empty(self.n, np.int64)
        found[self.first] = self.first[root]
        unit = np.searchsorted(self.first, self.head)
        found[self.row] = np.where(together[unit], self.first[root[unit]], self.record)
        return found

    def records(self) -> tuple[Ints, Ints]:
        """(int64[u]: where the records of each unit begin, int64[r]: the first rows of all records, unit by unit)."""
        others = np.flatnonzero(self.row == self.record)
        every = np.concatenate((self.first, self.row[others]))
        unit = np.concatenate((np.arange(len(self.first)), np.searchsorted(self.first, self.head[others])))
        copies = self.copies
        return np.cumsum(copies) - copies, every[np.argsort(unit, kind="stable")]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class United:
    """The table of units, whose numbers are their places in it, and the units.

    cut int64[c]: rows of records with more different rows than are looked at.
    """

    table: Table
    units: Units
    cut: Ints


def united(table: Table, row: Ints, names: Sequence[str], parameters: Link) -> United:
    """Of a table with all rows of its records; row int64[v], ascending: the row that each row of `table` is part of.

    `names` are the columns that are looked at.
    """
    hashes = row_hashes(table, names)
    codes: list[_Code] = [
        *(table.columns[name].code for name in names),
        *([] if table.second is None else [table.second]),
    ]
    several = bool(parameters.record) or not _ascending(row)
    record = _records(table, row, parameters) if several else row
    order = np.lexsort((row, record)) if parameters.record else np.arange(table.n)
    cut = _NONE
    if several:
        order, cut = _distinct(order, record, row, hashes, codes)
    twin = _leaders(hashes[order], [code[order] for code in codes], _alone(record[order]) if several else None)
    lead = None if twin is None else _led(twin)
    if lead is None and not several:
        return United(table=replace(table, rows=np.arange(table.n)), units=Units.each(row), cut=cut)
    plain = np.arange(len(order))
    twin, lead = plain if twin is None else twin, plain if lead is None else lead
    return _made(table, row, record, order, twin=twin, lead=lead, cut=cut)


def _ascending(row: Ints) -> bool:
    return bool((row[1:] > row[:-1]).all())


def row_hashes(table: Table, names: Sequence[str]) -> Hashes:
    """uint64[n]: equal for rows of one table that are equal in these columns, wherever they are."""
    found = np.zeros(table.n, np.uint64) if table.second is None else table.second.astype(np.uint64)
    for number, name in enumerate(names):
        found += value_hashes(table.columns[name], number)[table.columns[name].code]
    return found


def value_hashes(column: Column, salt: int) -> Hashes:
    """uint64[k + 1]: a hash of each value, 0 of no value."""
    return np.append(hashing.joined(hashing.of_bytes(column.words.data), np.full(1, salt, np.uint64)), np.uint64(0))


def homes(table: Table, row: Ints, names: Sequence[str], parameters: Link) -> Hashes:
    """uint64[n]: equal for rows of one unit, in whatever table."""
    found = row_hashes(table, names)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    if len(starts) < table.n:
        found = np.repeat(np.minimum.reduceat(found, starts), np.diff(starts, append=table.n))
    if not parameters.record:
        return found
    of_record = [name for name in (parameters.record, parameters.source) if name]
    return np.where(table.columns[parameters.record].code >= 0, row_hashes(table, of_record), found)


def _records(table: Table, row: Ints, parameters: Link) -> Ints:
    """int64[v]: the first row of the record of each row."""
    if not parameters.record:
        return row
    code = table.columns[parameters.record].code
    there = np.flatnonzero(code >= 0)
    key = code[there].astype(np.int64) * 2
    if table.second is not None:
        key += table.second[there]
    if parameters.source:
        source = table.columns[parameters.source].code
        key = key * (int(source.max(initial=0)) + 2) + source[there] + 1
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    found = row.copy()
    found[there] = row[there][first[which]]
    return found


def _distinct(order: Ints, record: Ints, row: Ints, hashes: Hashes, codes: Sequence[_Code]) -> tuple[Ints, Ints]:
    """(these rows, of equal ones of a record the first and no more than MOST of one; the rows that are too many)."""
    of = record[order]
    within = hashing.joined(hashes[order], of.astype(np.uint64))
    lead = _leaders(within, [of, *(code[order] for code in codes)], None)
    if lead is not None:
        order = order[lead == np.arange(len(lead))]
        of = record[order]
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    place = np.arange(len(of)) - np.repeat(starts, np.diff(starts, append=len(of)))
    return order[place < MOST], np.unique(row[order[place >= MOST]])


def _alone(record: Ints) -> Bools:
    """bool[v]: rows that are all of their record; those of a record lie side by side."""
    new = np.append(np.diff(record, prepend=-1) != 0, np.ones(min(len(record), 1), np.bool_))
    alone: Bools = new[:-1] & new[1:]
    return alone


def _leaders(hashes: Hashes, codes: Sequence[_Code], candidates: Bools | None) -> Ints | None:
    """int64[v]: the first row that is equal to each row, if both are candidates. None where no two are.

    Rows of one hash that differ from the first of them are taken to be equal to none.
    """
    falling = np.sort(hashes)
    if (falling[1:] != falling[:-1]).all():
        return None
    order = np.argsort(hashes, kind="stable")
    order = order if candidates is None else order[candidates[order]]
    starts = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]) != 0)
    lead = np.arange(len(hashes))
    lead[order] = np.repeat(order[starts], np.diff(starts, append=len(order)))
    others = np.flatnonzero(lead != np.arange(len(lead)))
    equal = np.ones(len(others), np.bool_)
    for code in codes:
        equal &= code[others] == code[lead[others]]
    lead[others[~equal]] = others[~equal]
    return lead if equal.any() else None


def _led(twin: Ints) -> Ints | None:
    """int64[v]: the row that each row counts as: itself, or behind EQUAL equal ones the last of these. None: itself.

    twin int64[v]: the first row that is equal to each.
    """
    order = np.argsort(twin, kind="stable")
    starts = np.flatnonzero(np.diff(twin[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    if sizes.max(initial=0) <= EQUAL:
        return None
    place = np.arange(len(order)) - np.repeat(starts, sizes)
    lead = np.empty(len(twin), np.int64)
    lead[order] = order[np.where(place < EQUAL, np.arange(len(order)), np.repeat(starts, sizes) + EQUAL - 1)]
    return lead


def _made(table: Table, row: Ints, record: Ints, order: Ints, *, twin: Ints, lead: Ints, cut: Ints) -> United:
    """The units of the rows `order`, where lead int64 is the place there of the row that each counts as."""
    kept = order[lead == np.arange(len(lead))]
    starts = np.flatnonzero(np.diff(record[kept], prepend=-1))
    first = record[kept][starts]
    unit = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(kept)))
    of = record[order]
    new = np.flatnonzero(np.diff(of, prepend=-1))
    rows = np.flatnonzero(np.diff(row, prepend=-1))
    at = new[np.searchsorted(of[new], record[rows])]
    head, twins = of[lead[at]], of[twin[at]]
    others = np.flatnonzero(row[rows] != head)
    rows = rows[others]
    made = replace(
        table,
        n=len(kept),
        rows=np.arange(len(first)),
        first_of_second=None if table.second is None else int(np.count_nonzero(~table.second[kept])),
        columns={name: _some(column, kept, unit) for name, column in table.columns.items()},
        not_dates={},
        placeholders={},
        keys={},
        unit=None if len(first) == len(kept) else unit,
    )
    units = Units(first=first, row=row[rows], record=record[rows], head=head[others], twin=twins[others])
    return United(table=made, units=units, cut=cut)


def recounted(column: Column) -> Column:
    """With the rows that have each value here."""
    return replace(column, counts=np.bincount(column.code + np.int32(1), minlength=len(column.words) + 1)[1:])


def _some(column: Column, rows: Ints, unit: Ints) -> Column:
    """The column of some rows; a value is counted once for each unit that has it."""
    code = column.code[rows]
    k = len(column.words)
    if len(unit) and unit[-1] + 1 < len(unit):
        of_unit = np.unique(unit * (k + 1) + code + 1)
        counts = np.bincount(of_unit % (k + 1), minlength=k + 1)[1:]
        return replace(column, code=code, counts=counts)
    return recounted(replace(column, code=code))
