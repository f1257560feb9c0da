"""How the reports of a submission relate to each other: numbers that are used again, and what deletes free.

An incident whose number is stored is not stored again (056). A delete takes away the stored incident of its ORI, number
and incident date; one of another date takes away nothing. An incident on file without a date is of any date.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.lines import BLANK
from cji_operations.nibrs.side_tables import NO_DATE, OnFile, date_words

Array = npt.NDArray[Any]

GROUP_A, GROUP_B, ZERO, NO_GROUP = (np.uint8(ord(group)) for group in "AB0?")

KEY: Final = slice(16, 37)
_SEQUENCE: Final = slice(37, 39)
_DATE: Final = slice(37, 45)
_DELETE, _INCIDENT = np.uint8(ord("D")), np.uint8(ord("I"))


def relations(firsts: Bytes, groups: Bytes, incident: Bools, on_file: OnFile, filed: Bools) -> Mapping[str, Array]:
    """Facts of m reports: `firsts` uint8[m, BEGINNING] are the beginnings of their first records.

    incident: whole incidents; filed: an incident or arrest of its number is in `on_file`.
    """
    keys, deletes = firsts[:, KEY], firsts[:, 5] == _DELETE
    group_b = groups == GROUP_B
    deleted = (groups == GROUP_A) & (firsts[:, 4] == ord("1")) & deletes
    number = numbered(keys)
    has_incident = np.zeros(len(number), np.bool_)
    has_incident[number[(groups == GROUP_A) & ~deleted]] = True
    same_arrest, arrest_on_file = np.zeros((2, len(number)), np.bool_)
    arrests = np.flatnonzero(group_b)
    same_arrest[arrests], arrest_on_file[arrests] = _arrests(firsts[arrests], number[arrests], filed[arrests])
    return {
        "again": _again(firsts, number, incident=incident, deleted=deleted, on_file=on_file, filed=filed),
        "shared_number": group_b & has_incident[number],
        "same_arrest": same_arrest,
        "arrest_on_file": arrest_on_file,
    }


def _again(firsts: Bytes, number: Ints, *, incident: Bools, deleted: Bools, on_file: OnFile, filed: Bools) -> Bools:
    """Which incidents are added although their number is stored."""
    acting = np.flatnonzero(incident | deleted)
    times = np.bincount(number[acting], minlength=int(number.max(initial=-1)) + 1)
    again: Bools = incident & filed & (times[number] == 1)
    again &= firsts[:, 5] == _INCIDENT
    is_twice = (times[number[acting]] == 2) & ~filed[acting]  # most often a delete, and the incident in its place
    twice, first = acting[is_twice], np.empty(len(times), np.int64)
    first[number[twice[::-1]]] = twice[::-1]
    second = twice[first[number[twice]] < twice]
    again[second] = ~deleted[first[number[second]]] & ~deleted[second] & (firsts[second, 5] == _INCIDENT)
    several = acting[(times[number[acting]] > 1) & ~is_twice]  # hardly any submission has such numbers
    stored: dict[int, tuple[int, ...]] = {}
    known, dates = on_file.incidents(firsts[several, KEY]), date_words(firsts[several, _DATE])
    columns = (column.tolist() for column in (several, number[several], dates, deleted[several], firsts[several, 5]))
    for (row, key, date, is_deleted, action), filed_dates in zip(zip(*columns, strict=True), known, strict=True):
        held = stored.setdefault(key, filed_dates)
        if is_deleted:
            stored[key] = tuple(other for other in held if other not in (date, NO_DATE)) if held else ()
        elif action != _INCIDENT:  # it replaces what is stored
            stored[key] = (date,)
        elif held:
            again[row] = True
        else:
            stored[key] = (date,)
    return again


def _arrests(firsts: Bytes, number: Ints, on_file: Bools) -> tuple[Bools, Bools]:
    """Which Group B arrests an earlier record adds, which others are on file; in both cases not deleted in between.

    A delete without a sequence number deletes all arrests of its transaction number (4.6.2).
    """
    deletes = firsts[:, 5] == _DELETE
    of_all = deletes & (firsts[:, _SEQUENCE] == BLANK).all(axis=1)
    last = _last_before(numbered(firsts[:, KEY.start : _SEQUENCE.stop]), ~of_all)
    all_deleted = _last_before(number, of_all)
    touched = last > all_deleted
    return ~deletes & touched & ~deletes[last], ~deletes & on_file & ~touched & (all_deleted < 0)


def _last_before(key: Ints, counts: Bools) -> Ints:
    """For each row the last one before it that has the same key, from 0, and counts; -1 where there is none."""
    order, n = np.argsort(key, kind="stable"), len(key)
    none = key[order] * (n + 1)  # of a key: rows count from here, from 1, below those of the next key
    seen = np.maximum.accumulate(none + (order + 1) * counts[order])
    found = np.full(n, -1)
    found[order[1:]] = np.maximum(seen[:-1], none[1:]) - none[1:] - 1
    return found
