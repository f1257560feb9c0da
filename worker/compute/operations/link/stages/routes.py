"""The routes of rows to tasks: by anchors, which several rules have in common.

A block must be whole in one task. Instead of one route for each rule, all rules with a key in common, their anchor, take
the route of this key: a row goes to the task of its anchor's value, once for each route. Values are in slots by their
hash; slots are counted before rows are sent, and each task has slots of about the same number of rows. A slot of more
rows than a task should have is not routed by its anchor: of its rows, each rule of several keys has a route of its own,
by all its keys. Only a rule that has no other key gets such a slot whole.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from worker.compute.in_parts import MAX_TASKS
from worker.compute.kernels.column import Ints
from worker.compute.kernels.hashing import Hashes
from worker.compute.operations.link.model import Key, Rule

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


def routes_of(rules: Sequence[Rule], kept: Sequence[int]) -> list[Route]:
    """Anchors for the kept rules, the one that most of them have first (greedy set cover)."""
    left, found = list(kept), list[Route]()
    while left:
        count: dict[Key, list[int]] = {}
        for number in left:
            for key in set(rules[number].keys):
                count.setdefault(key, []).append(number)
        without = tuple(number for number in left if not rules[number].keys)
        if without:
            found.append(Route(rules=without))
            left = [number for number in left if number not in without]
            continue
        best = max(count.values(), key=lambda numbers: (len(numbers), [-number for number in numbers]))
        anchor = min(
            (key for key, numbers in count.items() if numbers == best),
            key=lambda key: (key.column, key.form, key.length),
        )
        found.append(Route(rules=tuple(best), anchor=anchor))
        left = [number for number in left if number not in best]
    return found


def slots(hashes: Hashes) -> Ints:
    """int64[n]: the slot of each hash."""
    return (hashes >> np.uint64(64 - SLOT_BITS)).astype(np.int64)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Routes and the number of tasks. The first `anchors` routes have a map of slots, `heavy` slots of each aside;
    `alone` is the route of its heavy slots for rules without another key, `own` those of single rules.
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
