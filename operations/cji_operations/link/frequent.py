"""Dates of birth and identifiers that far too many persons have: they say nothing about a person, as placeholders do.

Such a value is FACTOR times as frequent as the most frequent hundredth of its column's values, a date also as that day
in any of the YEARS years before and after it; and its rows have STRANGERS different surnames at least, none of which
half of them have, and those of an identifier as many dates of birth. So a person with many rows is none, nor is
1 January where it stands for the year, nor the last four digits of a number. A column of a hundred different values has
none.

Looked at is a sample of at most SAMPLE rows, by surname and date of birth, so that any parts of the rows find the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_operations.kernels import hashing
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import Words
from cji_operations.link.columns import DATES, IDENTIFIERS, Table
from cji_operations.link.units import value_hashes

SAMPLE: Final = 1 << 17
STRANGERS: Final = 30
FACTOR: Final = 10
YEARS: Final = 10
_COLUMNS: Final = (*sorted(DATES), *sorted(IDENTIFIERS))
_USUAL: Final = 0.99
_YEAR: Final = 10_000  # between dates as numbers of eight digits

Frequent = dict[str, list[int]]
"""By column: the keys of its values that are too frequent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sample:
    """The values of a sample of rows: column int64[v], key uint64[v], and surname, birth uint64[v] of the row."""

    column: Ints
    key: Hashes
    surname: Hashes
    birth: Hashes


def sampled(table: Table, rows: int, parameters: Link) -> Sample:
    """Of a table that has some or all of the job's `rows` rows."""
    if not {"last", "DOB"} <= table.columns.keys():
        return gathered([])
    surname, birth = (value_hashes(column, 0)[column.code] for column in (table.columns["last"], table.columns["DOB"]))
    there = (surname != 0) & (birth != 0)
    if bits := (rows // SAMPLE).bit_length():
        there &= hashing.joined(surname, birth) >> np.uint64(64 - bits) == 0
    found = list[Sample]()
    for number, name in enumerate(_COLUMNS):
        if name not in table.columns or name in {parameters.record, parameters.source}:
            continue
        column = table.columns[name]
        some = np.flatnonzero(there & (column.code >= 0))
        key = _keys(name, column.words)[column.code[some]]
        found.append(Sample(column=np.full(len(some), number), key=key, surname=surname[some], birth=birth[some]))
    return gathered(found)


def gathered(samples: Sequence[Sample]) -> Sample:
    """Of several parts of the rows."""
    none = np.empty(0, np.uint64)
    return Sample(
        column=np.concatenate([np.empty(0, np.int64), *(one.column for one in samples)]),
        key=np.concatenate([none, *(one.key for one in samples)]),
        surname=np.concatenate([none, *(one.surname for one in samples)]),
        birth=np.concatenate([none, *(one.birth for one in samples)]),
    )


def too_frequent(sample: Sample) -> Frequent:
    """The values that are, of the sample of all rows."""
    found, birth = Frequent(), sample.birth
    for number, name in enumerate(_COLUMNS):
        some = sample.column == number
        if not some.any():
            continue
        key, which, rows = np.unique(sample.key[some], return_inverse=True, return_counts=True)
        usual = np.full(len(key), np.quantile(rows, _USUAL, method="higher"))
        if name in DATES:
            usual = np.maximum(usual, _that_day(key, rows))
        persons = [sample.surname[some], *([] if name in DATES else [birth[some]])]
        for value in np.flatnonzero((rows >= FACTOR * usual) & (rows >= STRANGERS)):
            if all(_are_many(of_row[which == value]) for of_row in persons):
                found.setdefault(name, []).append(int(key[value]))
        if name in DATES and name in found:  # such a date is as good as any other, and a surname is at hand
            wrong = np.unique(birth[some][np.isin(which, np.searchsorted(key, np.array(found[name], np.uint64)))])
            birth = np.where(np.isin(birth, wrong), sample.surname, birth)
    return found


def _are_many(values: Hashes) -> bool:
    """Whether rows with these values are of different persons."""
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) >= STRANGERS and 2 * int(counts.max()) < len(values)


def without(table: Table, frequent: Frequent) -> Table:
    """The table in which these values are missing."""
    columns = dict(table.columns)
    for name in frequent:
        column, which = columns[name], among(name, columns[name].words, frequent)
        code = np.where(np.append(which, False)[column.code], np.int32(-1), column.code)
        columns[name] = replace(column, code=code, counts=np.where(which, 0, column.counts))
    return replace(table, columns=columns, keys={}) if frequent else table


def rows_with(table: Table, frequent: Frequent) -> Mapping[str, Bools]:
    """bool[n] by column: the row has such a value."""
    return {
        name: np.append(among(name, table.columns[name].words, frequent), False)[table.columns[name].code]
        for name in frequent
    }


def among(name: str, words: Words, frequent: Frequent) -> Bools:
    """bool[k]: the value is too frequent."""
    return np.isin(_keys(name, words), np.array(frequent.get(name, []), np.uint64))


def _keys(name: str, words: Words) -> Hashes:
    """uint64[k]: the digits of dates, and hashes of other values."""
    if name not in DATES or not len(words):
        return hashing.of_bytes(words.data)
    return np.ascontiguousarray(words.data).view(np.uint64)[:, 0]


def _that_day(key: Hashes, rows: Ints) -> Ints:
    """int64[k]: the rows with that day in the other one of the YEARS years around it that has most.

    For a date with unknown digits, more than there are.
    """
    digits = key[:, None].view(np.uint8)
    known = np.flatnonzero(((digits >= ord("0")) & (digits <= ord("9"))).all(axis=1))
    date = (digits[known] - ord("0")).astype(np.int64) @ 10 ** np.arange(7, -1, -1)
    order = np.argsort(date)
    date, rows_of = date[order], rows[known[order]]
    most = np.zeros(len(date), np.int64)
    for years in (*range(-YEARS, 0), *range(1, YEARS + 1)):
        at = np.minimum(np.searchsorted(date, date + years * _YEAR), max(len(date) - 1, 0))
        most = np.maximum(most, np.where(date[at] == date + years * _YEAR, rows_of[at], 0))
    found = np.full(len(key), rows.sum())
    found[known[order]] = most
    return found
