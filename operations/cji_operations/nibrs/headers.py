"""Facts about a segment that need none of its data elements: columns of records, for conditions to name.

The first sixteen bytes of segments (length, level, action, month and year, city) have few distinct values, so these
facts are computed once for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.code_tables import BLANK_VALUE
from cji_core.format.records.nibrs.fields import numbers, periods
from cji_operations.nibrs.identifiers import names
from cji_operations.nibrs.specification import FIRST_YEAR, RuleSet

Array = npt.NDArray[Any]

UNREADABLE: Final = 8
"""Stands for the level of a record whose level is none of 0 to 7."""

SEGMENT_FACTS: Final = (
    *("fits", "other_length", "disordered", "other_month", "other_state", "printable", "ordinal"),
    *("base_date", "base_month"),
)
"""Columns of segments that no data file describes.

fits: the segment length is one of its level and that of the record. other_length: the first segment of its level
that fits and is not as long as the first of all. disordered: the level is below that of the segment before.
other_month, other_state: not those of the first segment that fits and has them. printable: nothing but printable
ASCII. ordinal: which segment of its table in the report, from 1. base_date, base_month: 1 January of the year before
the submission.
"""

_PREFIX: Final = 16
_A_LOOK: Final = 4096
_STATE: Final = slice(16, 18)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Headers:
    """The distinct first sixteen bytes, uint8[d, 16], and which of them each of n records has, int64[n]."""

    distinct: Bytes
    which: Ints

    @classmethod
    def of(cls, beginnings: Bytes) -> Self:
        """Of the beginnings of n records."""
        prefixes = np.ascontiguousarray(beginnings[:, :_PREFIX])
        which = numbered(prefixes)
        first = np.empty(int(which.max(initial=-1)) + 1, np.int64)
        first[which[::-1]] = np.arange(len(which))[::-1]
        return cls(distinct=prefixes[first], which=which)

    @cached_property
    def levels(self) -> Bytes:
        """uint8[n]: 0 to 7, or UNREADABLE."""
        level = self.distinct[:, 4] - np.uint8(ord("0"))
        return np.where(level > 7, np.uint8(UNREADABLE), level)[self.which]

    def column(self, position: int) -> Bytes:
        """uint8[n]: one of the sixteen bytes."""
        return self.distinct[:, position][self.which]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Standard:
    """The month uint8[1, 6] and state uint8[1, 2] that the first of some segments set for all; of no segments [0, ...].

    Of each level: `lengths` int64[8] of the first segment that fits, -1 for none; `differs` bool[8]: a later one has
    another length. `has_month`, `has_state`: a segment fits and has them; else they are those of the first record.
    """

    month: Bytes
    state: Bytes
    has_month: bool
    has_state: bool
    lengths: Ints
    differs: Bools

    @classmethod
    def of(cls, headers: Headers, beginnings: Bytes, lengths: Ints, rules: RuleSet) -> Self:
        """Of n records."""
        distinct, which = headers.distinct, headers.which
        fitting = _fitting(headers, rules)
        fits = fitting == lengths
        dated = fits & ((distinct[:, 6:8] != BLANK).any(axis=1) & (distinct[:, 8:12] != BLANK).any(axis=1))[which]
        states = beginnings[:, _STATE]
        stated = fits & ((states[:, 0] != BLANK) | (states[:, 1] != BLANK))
        first, levels, fitted = np.full(UNREADABLE, -1), headers.levels, fitting
        if not fits.all():
            levels, fitted = levels[fits], fitting[fits]
        first[levels[::-1]] = fitted[::-1]
        others = np.bincount(levels[fitted != first[levels]], minlength=UNREADABLE)
        return cls(
            month=distinct[which[_first(dated)], 6:12],
            state=states[_first(stated)],
            has_month=bool(dated.any()),
            has_state=bool(stated.any()),
            lengths=first,
            differs=others > 0,
        )

    def then(self, later: Self) -> Self:
        """Of these records and, after them, of the records of `later`."""
        month = later.month if not len(self.month) or (later.has_month and not self.has_month) else self.month
        state = later.state if not len(self.state) or (later.has_state and not self.has_state) else self.state
        none = self.lengths < 0
        other = ~none & (later.lengths >= 0) & (later.lengths != self.lengths)
        return type(self)(
            month=month,
            state=state,
            has_month=self.has_month or later.has_month,
            has_state=self.has_state or later.has_state,
            lengths=np.where(none, later.lengths, self.lengths),
            differs=self.differs | later.differs | other,
        )


def segment_facts(
    headers: Headers,
    beginnings: Bytes,
    report: Ints,
    lengths: Ints,
    rules: RuleSet,
    *,
    before: Standard | None = None,
    whole: Standard | None = None,
) -> Mapping[str, Array]:
    """The facts of n records, `report` and `lengths` int64[n]; also length, control, month, year and city, read once.

    Where the records are not all of the submission, `before` is of those before them and `whole` of all. A fact that
    all records have in common has one value.
    """
    distinct, which, levels = headers.distinct, headers.which, headers.levels
    stated = numbers(distinct[:, :4], 0, 9999)
    fitting = _fitting(headers, rules)
    fits = fitting == lengths
    control = periods(distinct[:, 6:12], FIRST_YEAR)
    standard = whole or Standard.of(headers, beginnings, lengths, rules)
    first_month, first_state, states = standard.month, standard.state, beginnings[:, _STATE]
    year_before = control // 100 - 1
    of_distinct = {
        "length": stated,
        "control": control,
        "month": numbers(distinct[:, 6:8], 1, 12),
        "year": numbers(distinct[:, 8:12], FIRST_YEAR, 2099),
        "city": names(distinct[:, 12:16]),
        "other_month": (distinct[:, 6:12] != first_month).any(axis=1),
        "base_date": np.where(control >= 0, year_before * 10_000 + 101, BLANK_VALUE),
        "base_month": np.where(control >= 0, year_before * 100 + 1, BLANK_VALUE),
    }
    of_records = {
        "fits": fits,
        "other_length": _first_of_other_length(fitting, fits, levels, standard, before),
        "disordered": _disordered(levels, report),
        "other_state": (states[:, 0] != first_state[:, 0]) | (states[:, 1] != first_state[:, 1]),
    }
    return {
        **{name: shared(values) for name, values in of_records.items()},
        **{name: one if len(one := shared(values)) == 1 else values[which] for name, values in of_distinct.items()},
    }


def period(beginnings: Bytes) -> int:
    """The month of a submission, YYYYMM: the first one that a record has; -1 if none has."""
    for start in range(0, len(beginnings), _A_LOOK):
        months = periods(beginnings[start : start + _A_LOOK, 6:12], FIRST_YEAR)
        valid = np.flatnonzero(months >= 0)
        if len(valid):
            return int(months[valid[0]])
    return -1


def shared(values: Array) -> Array:
    """The one value that all of `values` have, or all of them."""
    return values[:1] if len(values) > 1 and (values == values[0]).all() else values


def _first(usable: Bools) -> slice:
    """The first usable row, or the first of all; nothing of no rows."""
    first = int(usable.argmax()) if len(usable) else 0
    return slice(first, first + 1)


def _is_allowed(headers: Headers, stated: Array, rules: RuleSet) -> Bools:
    """Whether each distinct header's segment length is one of its level."""
    levels = headers.distinct[:, 4] - np.uint8(ord("0"))
    allowed = np.zeros(len(stated), np.bool_)
    for table, lengths in rules.lengths.items():
        allowed |= (levels == rules.levels[table]) & np.isin(stated, lengths)
    return allowed


def _fitting(headers: Headers, rules: RuleSet) -> Ints:
    """int64[n]: the length that each record states, if its level may have it; else -1."""
    stated = numbers(headers.distinct[:, :4], 0, 9999)
    found: Ints = np.where(_is_allowed(headers, stated, rules), stated, -1)[headers.which]
    return found


def _first_of_other_length(
    lengths: Ints, fits: Bools, levels: Bytes, whole: Standard, before: Standard | None
) -> Bools:
    found = np.zeros(len(levels), np.bool_)
    at = np.flatnonzero(fits & (lengths != np.append(whole.lengths, -1)[levels]))
    for level, first in zip(*np.unique(levels[at], return_index=True), strict=True):
        earlier = before is not None and (
            before.differs[level] or before.lengths[level] not in (-1, whole.lengths[level])
        )
        found[at[first]] = not earlier
    return found


def _disordered(levels: Bytes, report: Ints) -> Bools:
    found = np.zeros(len(levels), np.bool_)
    later: slice | Ints = slice(1, None)
    before: slice | Ints = slice(None, -1)
    if (levels == UNREADABLE).any():
        readable = np.flatnonzero(levels != UNREADABLE)
        later, before = readable[1:], readable[:-1]
    found[later] = (levels[later] < levels[before]) & (report[later] == report[before])
    return found
