"""count_pairs, limit, sample and pairs: what is made of the rows that the routes bring together.

Each route's rows are a table of their own, in which the blocks of its rules are whole.

count_pairs  its tasks count the pairs of their blocks, and list the blocks that were split
limit        one task: all of them added up; a job with too many is refused here, before any pair is compared
sample       patterns of a sample of each rule's pairs and of random pairs, and the pairs of deterministic rules
pairs        all pairs, each under its first rule, weighed; those that count go on
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from worker.compute.in_parts import Task
from worker.compute.operations.link.blocking import (
    Blocking,
    Counted,
    bind,
    check_pairs,
    further_keys,
    left_out,
    replayed,
    split_blocks,
)
from worker.compute.operations.link.blocking import (
    Bound as BoundRule,
)
from worker.compute.operations.link.columns import Table
from worker.compute.operations.link.comparison import comparer
from worker.compute.operations.link.conclusion import least_kept
from worker.compute.operations.link.facts import Facts
from worker.compute.operations.link.model import Key
from worker.compute.operations.link.observation import found_by, sampled
from worker.compute.operations.link.patterns import Patterns, Radix, compared, merged
from worker.compute.operations.link.score import Scorer
from worker.compute.operations.link.stages import edges
from worker.compute.operations.link.stages.count import Planned
from worker.compute.operations.link.stages.shard import Bound
from worker.compute.operations.link.stages.tables import assemble, collect
from worker.compute.operations.link.training import Trained

RANDOM, FOUND = 3, 4
"""Beside the sets of rules, in `edges.PATTERNS`: random pairs, and pairs that deterministic rules find."""


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Of each rule over all sets: its blocks, and the hashes of those that were split, by depth."""

    counted: list[Counted]
    split: dict[int, dict[int, list[int]]]


class Weighing(msgspec.Struct, frozen=True, kw_only=True):
    """The trained model, and what weights depend on besides."""

    trained: Trained
    facts: Facts


def count_pairs(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edges.read_documents(task, edges.PLAN, Planned)
    further = further_keys(bound.model.split, task.parameters)
    counted = [Counted() for _ in bound.rules]
    split: dict[int, dict[int, list[int]]] = {}
    for rules, table in _routes(task, bound, planned):
        for number in rules:
            one = bind(table, bound.rules[number], further, task.parameters.block_rows)
            counted[number] += one.counted
            for depth, hashes in split_blocks(table, one, further).items():
                split.setdefault(number, {}).setdefault(depth, []).extend(hashes.tolist())
    edges.write_document(task, edges.COUNTED, Blocks(counted=counted, split=split))


def limit(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE."""
    bound = Bound.of(task)
    (planned,) = edges.read_documents(task, edges.PLAN, Planned)
    counted = [
        left_out(rule).counted if number in planned.left_out else Counted() for number, rule in enumerate(bound.rules)
    ]
    split: dict[int, dict[int, list[int]]] = {}
    for here in edges.read_documents(task, edges.COUNTED, Blocks):
        counted = [one + other for one, other in zip(counted, here.counted, strict=True)]
        for number, by_depth in here.split.items():
            for depth, hashes in by_depth.items():
                split.setdefault(number, {}).setdefault(depth, []).extend(hashes)
    for numbers in _sets(bound):
        check_pairs([counted[number] for number in numbers], task.parameters)
    for by_depth in split.values():
        for hashes in by_depth.values():
            hashes.sort()
    edges.write_document(task, edges.BLOCKING, Blocks(counted=counted, split=split))


def sample(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edges.read_documents(task, edges.PLAN, Planned)
    (blocks,) = edges.read_documents(task, edges.BLOCKING, Blocks)
    radix = Radix.of(bound.model.comparisons)
    of_rule: dict[tuple[int, int], list[Patterns]] = {}
    found = 0
    for rules, table in _routes(task, bound, planned):
        sets = _blocking(table, bound, blocks, rules, task)
        comparers = [comparer(comparison, table) for comparison in bound.model.comparisons]
        for kind in (0, 2):
            for number, one in enumerate(sets[kind].rules):
                if one.blocks is not None:
                    patterns = sampled(comparers, sets[kind], number, task.parameters, radix)
                    of_rule.setdefault((kind, number), []).append(patterns)
        found += found_by(sets[1])
    for (kind, number), every in sorted(of_rule.items(), key=lambda item: item[0]):
        _write_patterns(task, kind, number, merged(every))
    _write_patterns(task, RANDOM, 0, _random(task, bound, radix))
    total = np.array([found])
    _write_patterns(task, FOUND, 0, Patterns(number=np.zeros(1, np.int64), counts=total, first=total))


def _random(task: Task, bound: Bound, radix: Radix) -> Patterns:
    pieces = collect(batch for _, batch in task.read(edges.RANDOM.name)).get(0, [])
    table = assemble(pieces, bound.columns, None)
    comparers = [comparer(comparison, table) for comparison in bound.model.comparisons]
    left = np.arange(0, table.n, 2)
    return compared(comparers, [(left, left + 1, None)] if table.n else [], radix)


def _write_patterns(task: Task, kind: int, number: int, found: Patterns) -> None:
    k = len(found.number)
    for batch in edges.batches(
        edges.PATTERNS,
        np.full(k, kind, np.uint8),
        np.full(k, number, np.uint16),
        found.number,
        found.counts,
        found.first,
    ):
        task.write(edges.PATTERNS.name, batch)


def pairs(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edges.read_documents(task, edges.PLAN, Planned)
    (blocks,) = edges.read_documents(task, edges.BLOCKING, Blocks)
    (weighing,) = edges.read_documents(task, edges.MODEL, Weighing)
    new = np.zeros(len(bound.model.blocking), np.int64)
    least = least_kept(task.parameters)
    for rules, table in _routes(task, bound, planned):
        blocking = _blocking(table, bound, blocks, rules, task)[0]
        comparers = [comparer(comparison, table) for comparison in bound.model.comparisons]
        scorer = Scorer(comparers, weighing.trained, weighing.facts)
        for rule, _, left, right in blocking.chunks():
            found = scorer.score(left, right, least)
            new[rule] += len(left)
            rows = (table.rows[side].astype(np.int32) for side in (found.left, found.right))
            for batch in edges.batches(edges.PAIRS, *rows, found.pattern, found.weight):
                task.write(edges.PAIRS.name, batch)
    edges.write_document(task, edges.NEW_PAIRS, new.tolist())


def _routes(task: Task, bound: Bound, planned: Planned) -> Iterator[tuple[Sequence[int], Table]]:
    """(the rules of a route, the table of its rows here), route by route."""
    pieces = collect(batch for _, batch in task.read(edges.TABLE.name))
    for route in sorted(pieces):
        table = assemble(pieces.pop(route), bound.columns, planned.facts.first_of_second)
        yield planned.assignment.routes[route].rules, table


def _sets(bound: Bound) -> list[range]:
    """The numbers of the rules of each set."""
    ends = np.cumsum([0, *(len(rules) for rules in bound.sets)]).tolist()
    return [range(start, stop) for start, stop in zip(ends[:-1], ends[1:], strict=True)]


def _blocking(table: Table, bound: Bound, blocks: Blocks, here: Sequence[int], task: Task) -> list[Blocking]:
    """Each set of rules, those of the route bound to their blocks; all are counted over all tasks."""
    further = further_keys(bound.model.split, task.parameters)
    return [
        Blocking(
            table=table,
            further=further,
            rules=tuple(_rule(table, number, bound, blocks, here, further, task) for number in numbers),
        )
        for numbers in _sets(bound)
    ]


def _rule(
    table: Table, number: int, bound: Bound, blocks: Blocks, here: Sequence[int], further: tuple[Key, ...], task: Task
) -> BoundRule:
    rule, counted = bound.rules[number], blocks.counted[number]
    if number in here:
        found = bind(table, rule, further, task.parameters.block_rows)
        return BoundRule(rule=rule, counted=counted, blocks=found.blocks, split_at=found.split_at)
    splits = {depth: np.array(hashes, np.uint64) for depth, hashes in blocks.split.get(number, {}).items()}
    return replayed(table, rule, counted, splits, further)
