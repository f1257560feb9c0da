"""Which records an inquiry has to be compared with: ranges of the index, counted before any of them is expanded.

A search uses several ranges. Those by identifier, and by sound and day, hold only the records sought; the others hold
more, and a filter picks from them:

    COMMON_YEAR   28 February and 1 March, for an inquiry of 29 February: only in years that have no 29 February
    DIGITS        all days of a sound, where one of the two dates has unknown digits: those whose known digits agree
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.operations.tables.screening import Rules
from cji_operations.kernels.ranges import cuts, expand, within
from cji_operations.screen.descriptors import NO_SOUND, People
from cji_operations.screen.index import Index, all_days, day_key
from cji_operations.screen.rules import Equivalence

CHUNK: Final = 50_000
"""Pairs that are compared at once: their columns stay in the L2 cache."""

_X: Final = np.uint8(ord("X"))
_ZERO: Final = np.uint8(ord("0"))
_LEAP_DAY: Final = 229  # month and day, as one number
_BESIDE: Final = (228, 301)
_LAST_YEAR: Final = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Records for one inquiry (1 000 000 take 200 MB to compare), and pairs for a batch of them (minutes)."""

    candidates: int = 1_000_000
    comparisons: int = 500_000_000


class RangeFilter(enum.IntEnum):
    """How the records sought are picked from a range."""

    ANYTHING = 0
    COMMON_YEAR = 1
    DIGITS = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Ranges:
    """row int64[r]: whose range it is; first, count int64[r]; range_filter: of all."""

    row: Ints
    first: Ints
    count: Ints
    range_filter: RangeFilter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Candidates:
    """Pairs int64[m] of inquiry and position in the index; of a chunk of a plan, by inquiry."""

    row: Ints
    position: Ints

    def take(self, which: Ints) -> "Candidates":
        """Some of them."""
        return Candidates(row=self.row[which], position=self.position[which])

    def once(self, records: int) -> "Candidates":
        """Each pair once, by inquiry, then position, which is below `records`."""
        bits = records.bit_length()
        pair = np.unique(self.row << bits | self.position)
        return Candidates(row=pair >> bits, position=pair & ((1 << bits) - 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Plan:
    """The records to compare with each of n inquiries.

    searched bool[n]: there is something to search the inquiry by; too_many bool[n]: but in more than
    `Limits.candidates` records, so it is not searched after all. values: for each kind of identifier int64[n], which
    of the index's values the inquiry has, -1 for none of them; sought: the same of those that it is searched by.
    row, first, count int64[r], range_filter uint8[r]: the ranges, by inquiry.
    """

    inquiries: People
    index: Index
    rules: Rules
    sex: Equivalence
    race: Equivalence
    searched: Bools
    too_many: Bools
    values: Mapping[str, Ints]
    sought: Mapping[str, Ints]
    row: Ints
    first: Ints
    count: Ints
    range_filter: Bytes

    def chunks(self) -> Iterator[Candidates]:
        """The candidates, CHUNK at once or those of one inquiry; an inquiry is never in two chunks."""
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))
        if not len(starts):
            return
        bounds = np.append(starts, len(self.row))
        for low, high in cuts(np.add.reduceat(self.count, starts), CHUNK):
            yield self._expanded(slice(bounds[low], bounds[high]))

    def _expanded(self, ranges: slice) -> Candidates:
        range_filter, rows, index = self.range_filter[ranges], self.row[ranges], self.index
        which, entry = expand(self.first[ranges], self.count[ranges])
        position = index.positions(entry)
        found = Candidates(row=rows[which], position=position)
        for sort, agrees in ((RangeFilter.COMMON_YEAR, self._common_year), (RangeFilter.DIGITS, self._digits)):
            filtered = range_filter == sort
            if filtered.any():
                kept = ~filtered[which]
                some = np.flatnonzero(~kept)
                kept[some] = agrees(found.row[some], found.position[some])
                which, found = which[kept], found.take(np.flatnonzero(kept))
        return found

    def listed(self, found: Candidates) -> Bools:
        """bool[m]: the record has one of the identifiers that the inquiry is searched by."""
        same = np.zeros(len(found.row), np.bool_)
        for name, value in self.sought.items():
            some = np.flatnonzero((value >= 0)[found.row])
            recorded = self.index.people.identifiers[name].code[found.position[some]]
            same[some] |= value[found.row[some]] == recorded
        return same

    def confined(self, found: Candidates) -> Ints:
        """Those where sex and race of the record are among the ones that the search of the inquiry allows."""
        ours, theirs = self.inquiries, self.index.people
        which = np.arange(len(found.row))
        for table, asked, recorded in ((self.sex, ours.sex, theirs.sex), (self.race, ours.race, theirs.race)):
            allowed = table.searched[:, table.number]  # by number of the one and code of the other
            begins = table.number[asked] * np.int64(allowed.shape[1])
            at = begins[found.row[which]]
            at += recorded[found.position[which]]
            which = which[allowed.ravel()[at]]
        return which

    def _common_year(self, _row: Ints, position: Ints) -> Bools:
        return _is_common(self.index.people.date[position] // 10_000)

    def _digits(self, row: Ints, position: Ints) -> Bools:
        return digits_agree(self.inquiries.digits[row], self.index.people.digits[position], self.rules.years)


def digits_agree(a: Bytes, b: Bytes, years: int) -> Bools:
    """bool[n]: months and days uint8[n, 8] agree wherever both are known, years can be at most `years` apart."""
    agree: Bools = ((a == b) | (a == _X) | (b == _X))[:, 4:].all(axis=1)
    low_a, high_a = _years(a)
    low_b, high_b = _years(b)
    return agree & (low_a - high_b <= years) & (low_b - high_a <= years)


def leap_days_meet(day_a: Ints, year_a: Ints, day_b: Ints, year_b: Ints) -> Bools:
    """bool[n]: one is 29 February, and the other 28 February or 1 March of a year that has none."""
    meet: Bools = ((day_a == _LEAP_DAY) & _beside(day_b, year_b)) | ((day_b == _LEAP_DAY) & _beside(day_a, year_a))
    return meet


def _beside(day: Ints, year: Ints) -> Bools:
    beside: Bools = np.isin(day, _BESIDE) & _is_common(year)
    return beside


def _is_common(year: Ints) -> Bools:
    common: Bools = (year % 4 != 0) | ((year % 100 == 0) & (year % 400 != 0))
    return common


def plan(inquiries: People, index: Index, rules: Rules, limits: Limits) -> Plan:
    """The ranges of every inquiry. Raises: Refusal(LIMIT_EXCEEDED) where they hold more than `limits.comparisons`."""
    n, values = len(inquiries), index.values(inquiries)
    searched, ranges, sought = np.zeros(n, np.bool_), list[_Ranges](), dict[str, Ints]()
    for name in rules.identifiers:
        if not len(inquiries.identifiers[name].words):
            continue
        whole = inquiries.identifiers[name].usable()
        searched |= whole
        sought[name] = np.where(whole, values[name], -1)
        ranges.append(_by_identifier(index, name, sought[name]))
    by_name = inquiries.dated() & ~(searched & rules.identifiers_alone)
    for sound in [inquiries.last.sounds(), *([inquiries.first.sounds()] if rules.names_exchanged else [])]:
        usable = by_name & (sound != NO_SOUND)
        searched |= usable
        ranges.extend(_by_name(inquiries, index, rules, sound, usable))
    row, first, count, range_filter = _joined(ranges)
    total = np.zeros(n, np.int64)
    np.add.at(total, row, count)
    too_many = total > limits.candidates
    order = np.argsort(row, kind="stable")
    order = order[~too_many[row[order]]]
    if int(count[order].sum()) > limits.comparisons:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    return Plan(
        inquiries=inquiries,
        index=index,
        rules=rules,
        sex=Equivalence.of(rules.sex),
        race=Equivalence.of(rules.race),
        searched=searched,
        too_many=too_many,
        values=values,
        sought=sought,
        row=row[order],
        first=first[order],
        count=count[order],
        range_filter=range_filter[order],
    )


def _joined(ranges: list[_Ranges]) -> tuple[Ints, Ints, Ints, Bytes]:
    """(row, first, count int64[r], filter uint8[r]) of all ranges that are not empty."""
    filled = [(each, np.flatnonzero(each.count)) for each in ranges]
    none = np.empty(0, np.int64)
    return (
        np.concatenate([none, *(each.row[some] for each, some in filled)]),
        np.concatenate([none, *(each.first[some] for each, some in filled)]),
        np.concatenate([none, *(each.count[some] for each, some in filled)]),
        np.concatenate([none, *(np.full(len(some), each.range_filter) for each, some in filled)]).astype(np.uint8),
    )


def _by_identifier(index: Index, name: str, sought: Ints) -> _Ranges:
    """The records with the identifier `sought` int64[n] of each inquiry, -1 for none."""
    rows = np.flatnonzero(sought >= 0)
    first, count = index.postings[name].records(sought[rows])
    return _Ranges(row=rows, first=first, count=count, range_filter=RangeFilter.ANYTHING)


def _by_name(inquiries: People, index: Index, rules: Rules, sound: Ints, usable: Bools) -> Iterator[_Ranges]:
    """The ranges of inquiries bool[n] by this sound of theirs."""
    date = inquiries.date

    def days(rows: Ints, monthday: Ints, years: int, range_filter: RangeFilter = RangeFilter.ANYTHING) -> _Ranges:
        """The records of this month and day, at most `years` years from the year of birth."""
        year = date[rows] // 10_000
        key = day_key(sound[rows], monthday // 100, monthday % 100, np.zeros(len(rows), np.int64))
        low = key + np.maximum(year - years, 0)
        high = key + np.minimum(year + years, _LAST_YEAR)
        first, count = within(index.keys, low, high)
        return _Ranges(row=rows, first=first, count=count, range_filter=range_filter)

    whole = np.flatnonzero(usable & (date > 0))
    monthday = date[whole] % 10_000
    yield days(whole, monthday, rules.years)
    if rules.month_day_exchanged:
        month, day = monthday // 100, monthday % 100
        other = np.flatnonzero(day <= 12)
        yield days(whole[other], (day * 100 + month)[other], 0)
    if rules.years:
        leap = whole[monthday == _LEAP_DAY]
        for beside in _BESIDE:
            yield days(leap, np.full(len(leap), beside), rules.years, RangeFilter.COMMON_YEAR)
        rows = whole[_beside(monthday, date[whole] // 10_000)]
        yield days(rows, np.full(len(rows), _LEAP_DAY), rules.years)
    partial = np.flatnonzero(usable & (date == 0))
    first, count = within(index.keys, *all_days(sound[partial]))
    yield _Ranges(row=partial, first=first, count=count, range_filter=RangeFilter.DIGITS)
    if len(index.partial_sounds):
        every = np.flatnonzero(usable)
        first, count = within(index.partial_sounds, sound[every], sound[every])
        yield _Ranges(row=every, first=first + len(index.keys), count=count, range_filter=RangeFilter.DIGITS)


def _years(digits: Bytes) -> tuple[Ints, Ints]:
    """(the earliest, the latest year) that uint8[n, 8] can be of: X stands for 0 to 9."""
    unknown, scale = digits[:, :4] == _X, 10 ** np.arange(3, -1, -1)
    known = np.where(unknown, 0, digits[:, :4] - _ZERO)
    low: Ints = known.astype(np.int64) @ scale
    return low, low + (unknown * 9) @ scale
