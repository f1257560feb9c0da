"""observe and pairs: what is made of the rows that the routes bring together.

Each route's rows are a table of their own, in which the blocks of its rules are whole.

observe  the pairs of all blocks counted, the blocks that were split, and patterns: of a sample of each rule's pairs, of
         random pairs, and the number of pairs that deterministic rules find; the tables and their blocks go on to the
         same task of pairs
pairs    all pairs, each under its first rule, weighed; those that count go on
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
import numpy as np

from cji_core.operations.link import edges
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Key
from cji_operations.kernels.components import forest
from cji_operations.link.blocking import Blocking, Counted, are_too_many, bind, further_keys, left_out, too_many
from cji_operations.link.blocking import Bound as BoundRule
from cji_operations.link.columns import Table
from cji_operations.link.comparison import bound_to
from cji_operations.link.conclusion import least_kept
from cji_operations.link.facts import Facts
from cji_operations.link.key_hashes import replayed, split_blocks
from cji_operations.link.observation import found_by, is_trained, sampled
from cji_operations.link.patterns import NONE, Patterns, Radix, compared, merged
from cji_operations.link.score import Scorer, log2_odds
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.aligned_tables import read_tables, write_table
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shard import Bound
from cji_operations.link.stages.shares import chosen, share_of
from cji_operations.link.stages.tables import assemble, collect
from cji_operations.link.training import Trained
from cji_operations.link.weight_report import count_weights, no_weights
from cji_operations.stages.task import Task

RANDOM: Final = 0xFFFF
FOUND: Final = 0xFFFE
"""Beside the numbers of rules, in `edges.PATTERNS`: random pairs, and the pairs that deterministic rules find."""


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Of each rule over all sets: its blocks, and the hashes of those that were split, by depth."""

    counted: list[Counted]
    split: dict[int, dict[int, list[int]]]


class Weighing(msgspec.Struct, frozen=True, kw_only=True):
    """The trained model, what weights depend on besides, and the blocks of all tasks."""

    trained: Trained
    facts: Facts
    blocks: Blocks


def observe(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    further = further_keys(bound.model.split, task.parameters)
    counted = [Counted() for _ in bound.rules]
    split: dict[int, dict[int, list[int]]] = {}
    of_rule: dict[int, list[Patterns]] = {}
    found = 0
    for rules, table in _routes(task, bound, planned):
        here = {number: bind(table, bound.rules[number], further, task.parameters.block_rows) for number in rules}
        blocks = {number: one.blocks for number, one in here.items() if number in bound.numbers[0] and one.blocks}
        write_table(task, edges.BOUND, table, blocks)
        for number, one in here.items():
            counted[number] += one.counted
            for depth, hashes in split_blocks(table, one, further).items():
                split.setdefault(number, {}).setdefault(depth, []).extend(hashes.tolist())
        comparers = [bound_to(comparison, table) for comparison in bound.model.comparisons]
        sets = [_keyed(table, here, numbers, bound, planned, further=further) for numbers in bound.numbers]
        looked_at = {
            number: (sets[kind], position)
            for kind in (0, 2)
            for position, number in enumerate(bound.numbers[kind])
            if number in here and (kind or is_trained(bound.model, planned.facts))
        }
        samples = sampled(comparers, list(looked_at.values()), planned.facts, task.parameters)
        for number, patterns in zip(looked_at, samples, strict=True):
            of_rule.setdefault(number, []).append(patterns)
        found += found_by(sets[1])
    edge_data.write_document(task, edges.COUNTED, Blocks(counted=counted, split=split))
    for number, parts in sorted(of_rule.items(), key=lambda item: item[0]):
        _write_patterns(task, number, merged(parts))
    _write_patterns(task, RANDOM, _random(task, bound))
    total = np.array([found])
    _write_patterns(task, FOUND, Patterns(number=np.zeros(1, np.int64), counts=total, first=total))


def _keyed(
    table: Table,
    here: Mapping[int, BoundRule],
    numbers: Sequence[int],
    bound: Bound,
    planned: Planned,
    *,
    further: tuple[Key, ...],
) -> Blocking:
    """The rules of a set, of which those of other routes are known by their keys alone."""
    by_keys_alone = (
        BoundRule(rule=bound.rules[number], counted=Counted(left_out=number in planned.left_out), blocks=None)
        for number in numbers
    )
    rules = (here.get(number, other) for number, other in zip(numbers, by_keys_alone, strict=True))
    return Blocking(table=table, further=further, rules=tuple(rules))


def all_blocks(bound: Bound, planned: Planned, found: Sequence[Blocks], parameters: Link) -> Blocks:
    """The blocks of all tasks. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE where they have too many pairs."""
    counted = [
        left_out(rule).counted if number in planned.left_out else Counted() for number, rule in enumerate(bound.rules)
    ]
    split: dict[int, dict[int, list[int]]] = {}
    for here in found:
        counted = [one + other for one, other in zip(counted, here.counted, strict=True)]
        for number, by_depth in here.split.items():
            for depth, hashes in by_depth.items():
                split.setdefault(number, {}).setdefault(depth, []).extend(hashes)
    for numbers in bound.numbers:
        if are_too_many([counted[number] for number in numbers], parameters):
            raise too_many()
    for by_depth in split.values():
        for hashes in by_depth.values():
            hashes.sort()
    return Blocks(counted=counted, split=split)


def _random(task: Task, bound: Bound) -> Patterns:
    pieces = collect(batch for _, batch in task.read(edges.RANDOM.name)).get(0, [])
    table = assemble(pieces, bound.columns, None, task.parameters)
    comparers = [bound_to(comparison, table) for comparison in bound.model.comparisons]
    left = np.arange(0, table.units, 2)
    found = compared(comparers, [(0, left, left + 1, None, None)], Radix.of(bound.model.comparisons))
    return found.get(0, NONE)


def _write_patterns(task: Task, number: int, found: Patterns) -> None:
    rule = np.full(len(found.number), number, np.uint16)
    for batch in edge_data.batches(edges.PATTERNS, rule, found.number, found.counts, found.first):
        task.write(edges.PATTERNS.name, batch)


def pairs(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    (weighing,) = edge_data.read_documents(task, edges.MODEL, Weighing)
    n, shares, match = planned.facts.n, planned.shares, log2_odds(task.parameters.match)
    matches = [(np.empty(0, np.uint32), np.empty(0, np.uint32))]
    new, weights = np.zeros(len(bound.model.blocking), np.int64), no_weights()
    least = least_kept(task.parameters)
    further = further_keys(bound.model.split, task.parameters)
    for table, blocks in read_tables(task, edges.BOUND):
        rules = (_replayed(table, number, bound, weighing.blocks, further) for number in bound.numbers[0])
        blocking = Blocking(
            table=table,
            further=further,
            rules=tuple(replace(rule, blocks=blocks.get(number)) for number, rule in enumerate(rules)),
        )
        comparers = [bound_to(comparison, table) for comparison in bound.model.comparisons]
        scorer = Scorer(comparers, weighing.trained, weighing.facts, partial(count_weights, weights))
        for found in scorer.scored(blocking.chunks(), new, least):
            left, right = (table.rows[side].astype(np.uint32) for side in (found.left, found.right))
            matched = np.flatnonzero(found.weight >= match)
            matches.append((left[matched], right[matched]))
            columns = left, right, found.pattern, found.weight
            for share, some in chosen(share_of(right, n, shares), shares):
                edge_data.write(task, edges.WEIGHED, *(one[some] for one in columns), to=share)
    joined = forest(*(np.concatenate(side) for side in zip(*matches, strict=True)))
    edge_data.write(task, edges.FOREST, *(side.astype(np.uint32) for side in joined))
    edge_data.write_document(task, edges.NEW_PAIRS, [new.tolist(), weights.tolist()])


def _routes(task: Task, bound: Bound, planned: Planned) -> Iterator[tuple[Sequence[int], Table]]:
    """(the rules of a route, the table of its rows here), route by route."""
    pieces = collect(batch for _, batch in task.read(edges.TABLE.name))
    for route in sorted(pieces):
        table = assemble(pieces.pop(route), bound.columns, planned.facts.first_of_second, task.parameters)
        yield planned.assignment.routes[route].rules, table


def _replayed(table: Table, number: int, bound: Bound, blocks: Blocks, further: tuple[Key, ...]) -> BoundRule:
    """A rule on this table, with those of its blocks that were split anywhere."""
    splits = {depth: np.array(hashes, np.uint64) for depth, hashes in blocks.split.get(number, {}).items()}
    return replayed(table, bound.rules[number], blocks.counted[number], splits, further)
