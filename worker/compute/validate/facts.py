"""What is known of a segment before any of its data elements is read: columns of records, for conditions to name."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.code_tables import BLANK_VALUE
from worker.compute.kernels.column import Bools, Bytes, Ints, Text
from worker.compute.kernels.fields import numbers, periods
from worker.compute.validate.specification import FIRST_YEAR, RuleSet

__all__ = ["SEGMENT_FACTS", "UNREADABLE", "segment_facts"]

Array = npt.NDArray[Any]

UNREADABLE: Final = 8
"""Stands for the level of a record whose level is none of 0 to 7."""

SEGMENT_FACTS: Final = (
    *("fits", "other_length", "disordered", "other_month", "other_state", "printable", "ordinal"),
    *("base_date", "base_month"),
)
"""Columns of segments that no data file describes."""

_LF, _CR = 0x0A, 0x0D
_FIRST_PRINTABLE, _LAST_PRINTABLE = np.uint8(0x20), np.uint8(0x7E)


def segment_facts(header: Bytes, levels: Bytes, report: Ints, records: Text, rules: RuleSet) -> Mapping[str, Array]:
    """The facts of n records: `header` uint8[n, 43], `levels` uint8[n], `report` int64[n] ascending.

    length, control, month, year: header elements, read here once.
    fits: the segment length is one of its level and that of the record. other_length: the first segment of its level
    that fits and is not as long as the first of all. disordered: the level is below that of the segment before.
    other_month, other_state: not those of the first segment. printable: nothing but printable ASCII. ordinal: which
    segment of its level in the report, from 1. base_date, base_month: 1 January of the year before the submission.
    """
    stated = numbers(header[:, :4], 0, 9999)
    allowed = np.zeros((UNREADABLE + 1, 10_000), np.bool_)
    for table, lengths in rules.lengths.items():
        allowed[rules.levels[table], list(lengths)] = True
    fits = (stated == records.lengths) & allowed[levels, np.maximum(stated, 0)]
    first = header[:1]
    other_month = (header[:, 6:12] != first[:, 6:12]).any(axis=1)
    control, month, year = _control(header, np.flatnonzero(other_month))
    year_before = np.where(control >= 0, control // 100 - 1, BLANK_VALUE)
    return {
        "length": stated,
        "control": control,
        "month": month,
        "year": year,
        "fits": fits,
        "other_length": _first_of_other_length(stated, fits, levels),
        "disordered": _disordered(levels, report),
        "other_month": other_month,
        "other_state": (header[:, 16:18] != first[:, 16:18]).any(axis=1),
        "printable": _printable(records),
        "ordinal": _ordinal(report * (UNREADABLE + 1) + levels),
        "base_date": np.where(control >= 0, year_before * 10_000 + 101, BLANK_VALUE),
        "base_month": np.where(control >= 0, year_before * 100 + 1, BLANK_VALUE),
    }


def _control(header: Bytes, odd: Ints) -> tuple[Ints, Ints, Ints]:
    """YYYYMM, month and year of submission; all but the `odd` records say what the first says."""
    found = []
    for columns in (slice(6, 12), slice(6, 8), slice(8, 12)):
        values = np.full(len(header), BLANK_VALUE, np.int64)
        values[:] = _read_control(header[:1, columns])
        values[odd] = _read_control(header[odd, columns])
        found.append(values)
    return found[0], found[1], found[2]


def _read_control(values: Bytes) -> Ints:
    match values.shape[1]:
        case 2:
            return numbers(values, 1, 12)
        case 4:
            return numbers(values, FIRST_YEAR, 2099)
        case _:
            return periods(values, FIRST_YEAR)


def _first_of_other_length(stated: Ints, fits: Bools, levels: Bytes) -> Bools:
    found = np.zeros(len(levels), np.bool_)
    for level in range(UNREADABLE):
        at = np.flatnonzero(fits & (levels == level))
        found[at[stated[at] != stated[at[:1]]][:1]] = True
    return found


def _disordered(levels: Bytes, report: Ints) -> Bools:
    found = np.zeros(len(levels), np.bool_)
    readable = np.flatnonzero(levels != UNREADABLE)
    later, before = readable[1:], readable[:-1]
    found[later] = (levels[later] < levels[before]) & (report[later] == report[before])
    return found


def _ordinal(group: Ints) -> Ints:
    """int64[n]: which row of its group each row is, from 1."""
    order = np.argsort(group, kind="stable")
    place = np.arange(len(group))
    begins = np.ones(len(group), np.bool_)
    begins[1:] = group[order[1:]] != group[order[:-1]]
    ordinal = np.empty(len(group), np.int64)
    ordinal[order] = place - np.maximum.accumulate(np.where(begins, place, 0)) + 1
    return ordinal


def _printable(records: Text) -> Bools:
    printable = np.ones(len(records.lengths), np.bool_)
    odd = np.flatnonzero(records.data - _FIRST_PRINTABLE > _LAST_PRINTABLE - _FIRST_PRINTABLE)  # less wraps to more
    odd = odd[(records.data[odd] != _LF) & (records.data[odd] != _CR)]
    if len(odd) and len(printable):
        order = np.argsort(records.starts, kind="stable")
        record = order[np.maximum(np.searchsorted(records.starts[order], odd, "right") - 1, 0)]
        inside = (odd >= records.starts[record]) & (odd < records.starts[record] + records.lengths[record])
        printable[record[inside]] = False
    return printable
