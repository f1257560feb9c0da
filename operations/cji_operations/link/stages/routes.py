"""The routes of rows to tasks: by anchors, which several rules have in common.

A block must be whole in one task. Instead of one route for each rule, all rules with a key in common, their anchor,
take the route of this key: a row goes to the task of its anchor's value, once for each route. A part of a value is an
anchor for rules by the whole value, too. Values are in slots by their keyed hash; slots are counted before rows are
sent, and each task has slots of about the same number of rows. A slot of more rows than a task should have is not
routed by its anchor: of its rows, each rule of several keys has a route of its own, by all its keys. Only a rule that
has no other key gets such a slot whole.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Ints
from cji_core.operations.link.model import Key, Rule
from cji_core.operations.stages.stage import MAX_TASKS
from cji_operations.kernels.hashing import Hashes
from cji_operations.link.column import Column

SLOT_BITS: Final = 14
SLOTS: Final = 1 << SLOT_BITS
ROWS_OF_TASK: Final = 300_000
"""About this number of rows over all routes; more where a job would have too many tasks."""
MOST_TASKS: Final = MAX_TASKS // 4
"""Each task has a stream of every shard."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by the value of `anchor`, None for all rows, or by all keys of a rule `by_rule`. `rules` are compared here.

    Rules are numbered over all sets of rules.
    """

    rules: tuple[int, ...]
    anchor: Key | None = None
    by_rule: bool = False


def has_anchor(rule: Rule, anchor: Key) -> bool:
    """Whether rows that agree in the rule's keys have the same slot of the anchor: they agree in it, or in more."""
    return any(key == anchor or _more(key, anchor) for key in rule.keys)


def _more(key: Key, anchor: Key) -> bool:
    if key.columns != anchor.columns:
        return False
    if key.form == "whole":
        return True
    if key.form == "prefix" and anchor.form == "prefix":
        return key.length > anchor.length
    return (key.form, anchor.form) == ("year_month", "year")


def routes_of(rules: Sequence[Rule], kept: Sequence[int], largest: Mapping[Key, int], size: int) -> list[Route]:
    """Anchors for the kept rules, the one that most of them have first (greedy set cover).

    `largest`: the rows in the largest slot of each key. One of more than `size` becomes an anchor only where there is
    no other.
    """
    without = tuple(number for number in kept if not rules[number].keys)
    found = [Route(rules=without)] if without else []
    left = [number for number in kept if rules[number].keys]
    while left:
        keys = dict.fromkeys(key for number in left for key in rules[number].keys if not key.other)
        best, taken = None, list[int]()
        for key in sorted(keys, key=lambda key: (largest[key] > size, largest[key], key.column, key.form, key.length)):
            having = [number for number in left if has_anchor(rules[number], key)]
            if best is None or (len(having) > len(taken) and (largest[key] <= size or largest[best] > size)):
                best, taken = key, having
        found.append(Route(rules=tuple(taken), anchor=best))
        left = [number for number in left if number not in taken]
    return found


def anchor_hashes(column: Column, anchor: Key) -> Hashes:
    """uint64[k + 1]: the hash of each value's form; 0 of no value. Values without the form have one of their own."""
    found = column.hashes(anchor).copy()
    found[:-1][found[:-1] == 0] = 1
    return found


def slots(hashes: Hashes) -> Ints:
    """int64[n]: the slot of each keyed hash (`Task.bucket_hash`)."""
    return (hashes >> np.uint64(64 - SLOT_BITS)).astype(np.int64)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Routes and the number of tasks.

    The first `anchors` routes have a map of slots. Of each, `heavy` slots are apart: `alone` is the route of these for
    rules without another key, `own` are those of single rules.
    """

    tasks: int
    routes: tuple[Route, ...]
    anchors: int
    heavy: tuple[tuple[int, ...], ...]
    alone: tuple[int | None, ...]
    own: tuple[tuple[int, ...], ...]


def assign(
    rules: Sequence[Rule], anchors: Sequence[Route], counts: Sequence[Ints], size: int
) -> tuple[Assignment, list[npt.NDArray[np.int16]]]:
    """(the routes, int16[SLOTS] of each anchor: the task of each slot). counts int64[SLOTS] by anchor: rows.

    `size`: about how many rows a task should have.
    """
    every = [int(count.sum()) for count in counts]
    total = sum(every)
    tasks = min(max(-(-total // size), 1), MOST_TASKS)
    share = max(-(-total // tasks), 1)
    routes, heavy, alone, own, maps = list(anchors), [], list[int | None](), [], []
    before = 0
    for route, count in zip(anchors, counts, strict=True):
        multi = tuple(number for number in route.rules if len(rules[number].keys) > 1)
        single = tuple(number for number in route.rules if len(rules[number].keys) <= 1)
        large = np.flatnonzero(count > share) if multi and route.anchor is not None else np.empty(0, np.int64)
        heavy.append(tuple(large.tolist()))
        alone.append(len(routes) if len(large) and single else None)
        routes += [Route(rules=single, anchor=route.anchor)] if len(large) and single else []
        own.append(tuple(range(len(routes), len(routes) + len(multi))) if len(large) else ())
        routes += [Route(rules=(number,), by_rule=True) for number in multi] if len(large) else []
        middle = before + np.cumsum(count) - count // 2
        maps.append(np.minimum(middle * tasks // max(total, 1), tasks - 1).astype(np.int16))
        before += int(count.sum())
    found = Assignment(
        tasks=tasks,
        routes=tuple(routes),
        anchors=len(anchors),
        heavy=tuple(heavy),
        alone=tuple(alone),
        own=tuple(own),
    )
    return found, maps
