"""The pairs to compare: those that some blocking rule brings together, counted before any is made.

A pair belongs to the first rule that has it, so no pair comes twice and no list of pairs is kept. A block of more rows
than the limit is split by further keys, one after the other, or refused; a row without a value in a further key stays
with the others that have none. Rows of a split block are not compared across its parts; the report counts them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.pairs import Blocks, Groups, blocks, pairs_at, pairs_of
from worker.compute.kernels.ranges import cuts
from worker.compute.operations.link.columns import Table
from worker.compute.operations.link.model import Key, Rule
from worker.compute.operations.link.parameters import Link
from worker.errors import Reason, Refusal, Stage

CHUNK: Final = 1 << 16  # pairs of rows at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Blocked:
    """A rule and its blocks: how many, the rows in the largest, how many had to be split, and how many rows those had.

    group int32[n] numbers the block of each row, -1 without one. `pairs` were counted; of a rule that is `left_out`,
    `group` and `blocks` are empty.
    """

    rule: Rule
    group: Groups
    blocks: Blocks
    pairs: int
    number: int
    largest: int
    split: int
    split_rows: int
    left_out: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Blocking:
    """All rules of a job, bound to its table."""

    rules: tuple[Blocked, ...]

    @property
    def pairs(self) -> int:
        """Pairs over all rules; one that several rules have counts several times."""
        return sum(one.blocks.pairs for one in self.rules)

    @property
    def keyed(self) -> Bools:
        """bool[n]: some rule has a key for the row."""
        found: Bools = np.any([one.group >= 0 for one in self.rules], axis=0)
        return found

    def has(self, left: Ints, right: Ints) -> Bools:
        """bool[p]: some rule brings the two rows together."""
        found = np.zeros(len(left), np.bool_)
        for one in self.rules:
            a = one.group[left]
            found |= (a >= 0) & (a == one.group[right])
        return found

    def chunks(self) -> Iterator[tuple[int, int, Ints, Ints]]:
        """(rule, how many pairs it has here, left, right): every pair once, under its first rule."""
        for number, one in enumerate(self.rules):
            for start, stop in cuts(one.blocks.count, CHUNK):
                left, right = pairs_of(one.blocks, start, stop)
                total = len(left)
                for earlier in self.rules[:number]:
                    a, b = earlier.group[left], earlier.group[right]
                    new = np.flatnonzero((a != b) | (a < 0))
                    if len(new) < len(left):
                        left, right = left[new], right[new]
                yield number, total, left, right

    def sample(self, number: int, most: int, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
        """(left, right) in chunks: at most `most` of the pairs of one rule, spread evenly."""
        found = self.rules[number].blocks
        total = found.pairs
        if total <= most:
            yield from every_pair(found)
            return
        for start in range(0, most, CHUNK):
            # one of each stretch of equal length, as the pairs of a block lie together
            edges = np.arange(start, min(start + CHUNK, most) + 1) * total // most
            yield pairs_at(found, rng.integers(edges[:-1], edges[1:]))


def every_pair(found: Blocks) -> Iterator[tuple[Ints, Ints]]:
    """(left, right) of all pairs, in order and in chunks."""
    for start, stop in cuts(found.count, CHUNK):
        yield pairs_of(found, start, stop)


def plan(table: Table, rules: tuple[Rule, ...], split: tuple[Key, ...], parameters: Link) -> Blocking:
    """Build and count all blocks. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE for blocks or pairs beyond the limits."""
    further = split if parameters.oversized == "split" else ()
    found = Blocking(rules=tuple(_blocked(table, rule, further, parameters.block_rows) for rule in rules))
    if found.pairs > parameters.pairs:
        raise _too_many()
    return found


def _group(table: Table, keys: tuple[Key, ...]) -> Groups:
    """int32[n]: rows with equal keys have the same number, -1 where a key is missing. No key: all rows have 0."""
    number = np.zeros(table.n, np.int32)
    for key in keys:
        number = _refined(number, table.columns[key.column].key(key))
    return number


def _refined(number: Groups, code: Groups) -> Groups:
    """Groups of rows that agree in both, -1 where either is missing."""
    missing = (number < 0) | (code < 0)
    if not code.max(initial=0):  # one value
        return np.where(missing, np.int32(-1), number)
    joint = number.astype(np.int64) * (int(code.max()) + 1) + code
    joint[missing] = -1
    order = np.argsort(joint)
    ordered = joint[order]
    rank = np.cumsum(np.diff(ordered, prepend=-1) != 0) - 1  # -1 sorts first and stays there
    refined = np.empty(len(joint), np.int32)
    refined[order] = rank
    return refined


def _blocked(table: Table, rule: Rule, further: tuple[Key, ...], most: int) -> Blocked:
    number = _group(table, rule.keys)
    large = _large(number, most)
    split, split_rows = len(np.unique(number[large])), int(np.count_nonzero(large))
    for key in further:
        rows = np.flatnonzero(large)
        if not len(rows):
            break
        code = table.columns[key.column].key(key)[rows]
        part = _refined(number[rows], code + np.int32(1))
        number[rows] = part + np.int32(number.max() + 1)
        large = _large(number, most)
    if large.any():
        raise _too_many()
    sizes = np.bincount(number[number >= 0])
    pairs = _pairs(sizes, number, table)
    left_out = rule.most_pairs is not None and pairs > rule.most_pairs
    if left_out:
        number = np.full(table.n, -1, np.int32)
    return Blocked(
        rule=rule,
        group=number,
        blocks=blocks(number, table.second),
        pairs=pairs,
        left_out=left_out,
        number=int(np.count_nonzero(sizes)),
        largest=int(sizes.max(initial=0)),
        split=split,
        split_rows=split_rows,
    )


def _pairs(sizes: Ints, number: Groups, table: Table) -> int:
    """How many pairs blocks of these sizes have."""
    if table.second is None:
        return int((sizes * (sizes - 1) // 2).sum())
    of_second = np.bincount(number[table.second & (number >= 0)], minlength=len(sizes))
    return int(((sizes - of_second) * of_second).sum())


def _large(number: Groups, most: int) -> Bools:
    """bool[n]: the row is in a block of more than `most` rows."""
    sizes = np.append(np.bincount(number[number >= 0]), 0)
    large: Bools = sizes[number] > most
    return large


def _too_many() -> Refusal:
    return Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
