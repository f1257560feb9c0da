"""Counts over a history, and the times that have passed since events in it.

A charge that may be among those that are counted makes a range: `at_most` holds where the largest number that is
possible is small enough, and fails where the smallest is too large.
"""

from functools import reduce
from typing import Final

import numpy as np

from cji_core.format.records import dates
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.clear.when import Count, Start, Waited
from cji_operations.clear.facts import Facts, years_between
from cji_operations.clear.selection import selected
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth, any_of, truth
from cji_operations.kernels.distinct import codes

_NEVER: Final = 99_991_231
"""Later than every day of decision: a charge whose day is not known may be of any day."""


def at_most(facts: Facts, counts: tuple[Count, ...]) -> Truth:
    """Truth[c]: no count is above its number."""
    found = np.full(len(facts.row), YES)
    for count in counts:
        least, most = bounds(facts, count)
        found = np.minimum(found, np.where(least > count.number, NO, np.where(most > count.number, UNKNOWN, YES)))
    return found


def more_than(facts: Facts, counts: tuple[Count, ...]) -> Truth:
    """Truth[c]: every count is above its number."""
    found = np.full(len(facts.row), YES)
    for count in counts:
        least, most = bounds(facts, count)
        found = np.minimum(found, np.where(least > count.number, YES, np.where(most > count.number, UNKNOWN, NO)))
    return found


def bounds(facts: Facts, count: Count) -> tuple[Ints, Ints]:
    """(int64[c] the smallest number that is possible, int64[c] the largest)."""
    if count not in facts.counted:
        facts.counted[count] = _bounds(facts, count)
    return facts.counted[count]


def _bounds(facts: Facts, count: Count) -> tuple[Ints, Ints]:
    of = selected(facts, count)
    if count.since is not None:
        of = np.minimum(of, truth(facts.date >= dates.number_of(count.since), facts.date > 0))
    if count.within is not None:
        of = np.minimum(of, truth(~passed(facts.date, facts.as_of, count.within), facts.date > 0))
    if count.same != "subject":
        return _in_group(facts, of, cases(facts) if count.same == "case" else _sections(facts))
    if count.by == "case":
        least, most = _distinct(facts, of, cases(facts), np.full(len(of), NO), None)
    elif count.by == "transaction":
        key = _keys(facts, "transaction")
        least, most = _distinct(facts, of, key, _kept_apart(facts, key), facts.rows.offense_date[facts.row])
    else:
        least, most = _by_subject(facts, of == YES), _by_subject(facts, of != NO)
    return least[facts.subject], most[facts.subject]


def passed(start: Ints, end: int, time: str) -> Bools:
    """bool: at least this time lies between dates YYYYMMDD; whole years and months, as ages are counted."""
    number, unit = int(time[:-1]), time[-1]
    if unit == "Y":
        found: Bools = years_between(start, end) >= number
    elif unit == "M":
        found = _months(np.array([end])) - _months(start) - (end % 100 < start % 100) >= number
    else:
        found = _day(np.array([end])) - _day(start) >= number
    return found & (start <= end)


def start(facts: Facts, name: Start) -> Ints:
    """int64[c]: a day from which a waiting period is counted, 0 where it is not known."""
    if name == "release":
        return facts.release()
    return facts.date if name == "conviction" else facts.sentences.end


def waited(facts: Facts, value: Waited) -> Truth:
    """Truth[c]: the time has passed since the latest of the days, and since the last charge that restarts it."""
    days = np.array([start(facts, name) for name in value.since])
    latest = days.max(axis=0)
    found = truth(passed(latest, facts.as_of, value.time), np.ones(len(latest), np.bool_))
    missing = (days == 0).any(axis=0) & (found == YES)
    found[missing] = UNKNOWN
    if value.restarted_by is not None:
        of = selected(facts, value.restarted_by)
        certain = _last(facts, np.where(of == YES, facts.date, 0))
        possible = _last(facts, np.where(of == NO, 0, np.where(facts.date == 0, _NEVER, facts.date)))
        again = [passed(days_of[facts.subject], facts.as_of, value.time) for days_of in (certain, possible)]
        found = np.minimum(found, np.where(again[1], YES, np.where(again[0], UNKNOWN, NO)).astype(np.int8))
    return found


# ---------------------------------------------------------------- groups


def _by_subject(facts: Facts, chosen: Bools) -> Ints:
    """int64[k + 1]: the number of chosen charges of each subject."""
    return np.bincount(facts.subject[chosen], minlength=facts.rows.k + 1)


def _last(facts: Facts, day: Ints) -> Ints:
    """int64[k + 1]: the latest of these days of each subject's charges."""
    latest = np.zeros(facts.rows.k + 1, np.int64)
    np.maximum.at(latest, facts.subject, day)
    return latest


def _keys(facts: Facts, name: str) -> Ints:
    """int64[c]: one number for each value of a column within a subject, -1 where it is missing."""
    column = facts.text(name)
    code, distinct = codes(column)
    return _compact(np.where(read(column).filled, facts.subject * max(distinct, 1) + code, -1))


def cases(facts: Facts) -> Ints:
    """int64[c]: the case of each charge, -1 where it is missing."""
    return _keys(facts, "case")


def _sections(facts: Facts) -> Ints:
    known, code = facts.citations.known, facts.citations.code
    return _compact(np.where(known, facts.subject * (code.max(initial=0) + 1) + code, -1))


def _compact(key: Ints) -> Ints:
    """The same groups, numbered from 0; -1 remains."""
    values, place = np.unique(key, return_inverse=True)
    return place - int(len(values) > 0 and values[0] < 0)


def _in_group(facts: Facts, of: Truth, key: Ints) -> tuple[Ints, Ints]:
    """(int64[c], int64[c]): the numbers in the group of each charge; one without a group may be in any other."""
    known = key >= 0
    groups = int(key.max(initial=-1)) + 1
    yes = np.append(np.bincount(key[known & (of == YES)], minlength=groups), 0)[key]
    may = np.append(np.bincount(key[known & (of != NO)], minlength=groups), 0)[key]
    loose = _by_subject(facts, ~known & (of != NO))[facts.subject]
    every = _by_subject(facts, of != NO)[facts.subject]
    return np.where(known, yes, of == YES), np.where(known, may + loose, every)


def _kept_apart(facts: Facts, key: Ints) -> Truth:
    """Truth[c]: the transaction has a charge for which the law does not merge it."""
    of = reduce(np.maximum, (selected(facts, one) for one in facts.rules.transaction_unless), np.full(len(key), NO))
    known = key >= 0
    groups = int(key.max(initial=-1)) + 1
    return np.where(known, np.append(any_of(of[known], key[known], groups), NO)[key], of)


def _distinct(facts: Facts, of: Truth, key: Ints, apart: Truth, day: Ints | None) -> tuple[Ints, Ints]:
    """(int64[k + 1], int64[k + 1]): the numbers of groups, in which charges `apart` count each.

    A charge without a group may be of any other one; with their days, int64[c], those that are not within two days in
    succession are of different ones.
    """
    yes, known = of == YES, key >= 0
    least = _groups(facts, key, yes & known & (apart != YES))
    loose = yes & ~known & (apart != YES)
    least = np.maximum(least, _fewest(facts, loose, day))
    least += _by_subject(facts, yes & (apart == YES))
    merged = (of != NO) & known & (apart == NO)
    return least, _groups(facts, key, merged) + _by_subject(facts, (of != NO) & ~merged)


def _groups(facts: Facts, key: Ints, chosen: Bools) -> Ints:
    """int64[k + 1]: the number of different groups among the chosen charges of each subject."""
    _, first = np.unique(key[chosen], return_index=True)
    return np.bincount(facts.subject[chosen][first], minlength=facts.rows.k + 1)


def _fewest(facts: Facts, chosen: Bools, day: Ints | None) -> Ints:
    """int64[k + 1]: the fewest groups that the chosen charges can be of, each within two days in succession."""
    fewest = np.minimum(_by_subject(facts, chosen), 1)
    if day is None:
        return fewest
    dated = chosen & (day > 0)
    span = 4_000_000
    place = np.unique(facts.subject[dated] * span + _day(day[dated]))
    run = np.cumsum(np.diff(place, prepend=-2) > 1)
    _, first, length = np.unique(run, return_index=True, return_counts=True)
    needed = np.bincount(place[first] // span, (length + 1) // 2, minlength=facts.rows.k + 1).astype(np.int64)
    return np.maximum(fewest, needed)


def _months(date: Ints) -> Ints:
    return date // 10_000 * 12 + date // 100 % 100


def _day(date: Ints) -> Ints:
    """int64: days since year 0 or before; of no date, a day before all others."""
    found = dates.day_numbers(
        np.maximum(date // 10_000, 1), np.maximum(date // 100 % 100, 1), np.maximum(date % 100, 1)
    )
    return np.where(date > 0, found.astype(np.int64), -1_000_000)
