"""The pairs to compare: those that some blocking rule brings together, counted before any is made.

A pair belongs to the first rule that has it, so no pair comes twice and no list of pairs is kept. Pairs are of units
(see `units`); a unit is in the blocks of all its rows, and a pair that is in several of a rule's comes from the first.

A block of more units than the limit is split by further keys, one after the other; a row without a value in a further
key stays with the others that have none. What stays too large is left out: the rule brings none of its pairs together.
Rows of a split block are not compared across its parts. The report counts both.

A rule's blocks may be bound to some rows of the job, if these are whole blocks. Whether a pair belongs to a rule whose
blocks are bound elsewhere is a matter of its keys and of the list of blocks that were split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from cji_core.errors import Limit, Reason, Refusal, Stage
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Key, Rule
from cji_operations.kernels import hashing
from cji_operations.kernels.pairs import Blocks, Groups, blocks, grouped, pairs_at, pairs_of
from cji_operations.kernels.ranges import crossed, cuts
from cji_operations.link.columns import Table

CHUNK: Final = 1 << 16  # pairs of rows at once
WEIGHT: Final = 1 << 10
"""The weight of one pair in a sample: weights are whole numbers, so that they add up in any order."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks of a rule: how many, units in the largest, pairs, how many had to be split, and the units that those had.

    `oversized` blocks stayed too large and are left out; their units are `oversized_rows`. Of a rule that is
    `left_out`, nothing is counted, and `pairs` is the number that it exceeds.
    """

    number: int = 0
    largest: int = 0
    pairs: int = 0
    split: int = 0
    split_rows: int = 0
    oversized: int = 0
    oversized_rows: int = 0
    left_out: bool = False

    def __add__(self, other: "Counted") -> "Counted":
        """Of the blocks of both."""
        return Counted(
            number=self.number + other.number,
            largest=max(self.largest, other.largest),
            pairs=self.pairs + other.pairs,
            split=self.split + other.split,
            split_rows=self.split_rows + other.split_rows,
            oversized=self.oversized + other.oversized,
            oversized_rows=self.oversized_rows + other.oversized_rows,
            left_out=self.left_out or other.left_out,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Bound:
    """A rule, how many blocks it has, and which of the table's rows are in a block that was split.

    split_at bool[n] by further key: the row's block was split by it; after all keys, it was left out. `blocks` are None
    where they are bound elsewhere.
    """

    rule: Rule
    counted: Counted
    blocks: Blocks | None
    split_at: Sequence[Bools] = ()

    def has(self, pairs: "Agreement") -> Bools:
        """bool[p]: the rule brings the two rows together."""
        if self.counted.left_out:
            return np.zeros(len(pairs.left), np.bool_)
        found = np.ones(len(pairs.left), np.bool_)
        for key in self.rule.keys:
            found &= pairs.agree(key)
        for key, split in zip(pairs.further, self.split_at, strict=False):
            found &= ~split[pairs.left] | pairs.alike(key)
        for left_out in self.split_at[len(pairs.further) :]:
            found &= ~(left_out[pairs.left] & left_out[pairs.right])
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Agreement:
    """Pairs of rows of a table, and the keys in which they agree; each key is looked at once."""

    table: Table
    further: tuple[Key, ...]
    left: Ints
    right: Ints
    known: dict[Key, Bools] = field(default_factory=dict)

    def agree(self, key: Key) -> Bools:
        """bool[p]: both rows have the key, and the same one."""
        if key not in self.known:
            code = self.table.key(key)
            a = code[self.left]
            self.known[key] = (a == code[self.right]) & (a >= 0)
        return self.known[key]

    def alike(self, key: Key) -> Bools:
        """bool[p]: the rows have the same key, or none."""
        code = self.table.key(key)
        same: Bools = code[self.left] == code[self.right]
        return same


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Blocking:
    """All rules of a job, in order; some or all of them are bound to rows of its table."""

    table: Table
    further: tuple[Key, ...]
    rules: tuple[Bound, ...]

    @property
    def pairs(self) -> int:
        """Pairs over all rules; one that several rules have counts several times."""
        return total_pairs([one.counted for one in self.rules])

    @property
    def keyed(self) -> Bools:
        """bool[u]: some rule has a key for the unit."""
        rest = np.arange(self.table.n)  # soon few, as most rows have a key for the first rules
        for one in (each for each in self.rules if not each.counted.left_out):
            rest = rest[~np.all([rest >= 0, *(self.table.key(key)[rest] >= 0 for key in one.rule.keys)], axis=0)]
        found = np.ones(self.table.n, np.bool_)
        found[rest] = False
        return found if self.table.unit is None else np.logical_or.reduceat(found, self.table.starts[:-1])

    def new(self, number: int, left: Ints, right: Ints) -> Bools:
        """bool[p]: no rule before this one brings the two units together."""
        found = np.ones(len(left), np.bool_)
        for part, starts, pairs in self._rows(left, right):
            for earlier in self.rules[:number]:
                if not earlier.counted.left_out:
                    found[part] &= ~_any(earlier.has(pairs), starts)
        return found

    def _rows(self, left: Ints, right: Ints) -> Iterator[tuple[slice, Ints | None, "Agreement"]]:
        """(a part of the pairs of units, where each of them begins, the pairs of their rows); None: they are rows."""
        if self.table.unit is None:
            yield slice(None), None, Agreement(table=self.table, further=self.further, left=left, right=right)
            return
        for part, starts, one, other in crossed(self.table.starts, left, right):
            yield part, starts, Agreement(table=self.table, further=self.further, left=one, right=other)

    def _own(self, number: int, left: Ints, right: Ints) -> Bools:
        """bool[p]: pairs of rows in a block of the rule that are the first pair of rows of two units there is.

        Two units of one source are never a pair where sources have no duplicates.
        """
        source = self.table.source
        found = np.ones(len(left), np.bool_) if source is None else (source[left] != source[right]) | (source[left] < 0)
        if self.table.unit is None:
            return found
        units = self.table.unit[left], self.table.unit[right]
        for part, starts, pairs in self._rows(*units):
            has = np.flatnonzero(self.rules[number].has(pairs))
            first = has if starts is None else has[np.searchsorted(has, starts)]
            found[part] &= (pairs.left[first] == left[part]) & (pairs.right[first] == right[part])
        return found

    def chunks(self, by: "Blocking | None" = None) -> Iterator[tuple[int, int, Ints, Ints]]:
        """(rule, how many pairs it has here, left, right): every pair of the bound rules once, under its first rule.

        By the rules of `by`, if given: what was split elsewhere is not known before all blocks were counted.
        """
        for number, one in enumerate(self.rules):
            for left, right in every_pair(one.blocks) if one.blocks is not None else ():
                yield number, len(left), *self._kept(by or self, number, left, right)

    def _kept(self, by: "Blocking", number: int, left: Ints, right: Ints) -> tuple[Ints, Ints]:
        if self.table.unit is not None or self.table.source is not None:
            own = np.flatnonzero(by._own(number, left, right))
            left, right = self.table.units_of(left[own]), self.table.units_of(right[own])
        kept = np.flatnonzero(by.new(number, left, right))
        whole = len(kept) == len(left)
        return (left, right) if whole else (left[kept], right[kept])

    def unsplit(self) -> "Blocking":
        """A pair belongs to the first rule in whose keys its rows agree, though they are in two parts of a block."""
        rules = (replace(one, split_at=()) for one in self.rules)
        return replace(self, rules=tuple(rules))

    def sample(self, number: int, share: float, seed: int) -> Iterator[tuple[Ints, Ints, Ints]]:
        """(left, right, weight) in chunks: a sample of the bound pairs of one rule, and how many pairs each stands for.

        A block gives up to `share` pairs for each of its units, or all that it has. Each has its part of these, with
        partners from stretches of equal length. So it is the same sample with whatever other blocks and rows are here.
        Weights are in parts of WEIGHT.
        """
        found, unsplit = self.rules[number].blocks, self.unsplit()
        if found is None or not len(found.rows):
            return
        pairs = np.add.reduceat(found.count.astype(np.int64), np.cumsum(found.lengths) - found.lengths)
        taken_of = np.minimum(share * found.lengths / pairs, 1.0)
        weight = np.repeat(np.rint(WEIGHT / taken_of).astype(np.int64), found.lengths)
        rows = self.table.rows[self.table.units_of(found.rows)]
        part = found.count * np.repeat(taken_of, found.lengths)
        taken = np.floor(part + hashing.unit(hashing.draws(seed, number, rows))).astype(np.int64)
        taken = np.minimum(taken, found.count)
        before = np.cumsum(found.count, dtype=np.int64) - found.count
        for start, stop in cuts(taken, CHUNK):
            some = taken[start:stop]
            which = np.repeat(np.arange(start, stop), some)
            stretch = np.arange(len(which)) - np.repeat(np.cumsum(some) - some, some)
            within = stretch + hashing.unit(hashing.draws(seed, number, rows[which], stretch + 1))
            partner = np.floor(within * found.count[which] / taken[which]).astype(np.int64)
            partner = np.where(taken[which] == found.count[which], stretch, np.minimum(partner, found.count[which] - 1))
            left, right = pairs_at(found, before[which] + partner)
            if self.table.unit is None and self.table.source is None:
                yield left, right, weight[which]
                continue
            own = np.flatnonzero(unsplit._own(number, left, right))
            yield self.table.units_of(left[own]), self.table.units_of(right[own]), weight[which][own]


def every_pair(found: Blocks) -> Iterator[tuple[Ints, Ints]]:
    """(left, right) of all pairs of rows, in order and in chunks."""
    for start, stop in cuts(found.count, CHUNK):
        yield pairs_of(found, start, stop)


def further_keys(split: tuple[Key, ...], parameters: Link) -> tuple[Key, ...]:
    """The keys that split oversized blocks."""
    return split if parameters.oversized == "split" else ()


def plan(
    table: Table, rules: tuple[Rule, ...], split: tuple[Key, ...], parameters: Link, whole: Table | None = None
) -> Blocking:
    """Build and count all blocks; `whole` is the table with the values that are too frequent, if there are any."""
    further = further_keys(split, parameters)
    return Blocking(
        table=table,
        further=further,
        rules=tuple(
            left_out(rule) if exceeds(whole or table, rule) else bind(table, rule, further, parameters.block_rows)
            for rule in rules
        ),
    )


def total_pairs(counted: Sequence[Counted]) -> int:
    """Pairs over all rules that are not left out."""
    return sum(one.pairs for one in counted if not one.left_out)


def are_too_many(counted: Sequence[Counted], parameters: Link) -> bool:
    """Whether the rules have more pairs than `pairs`."""
    return total_pairs(counted) > parameters.pairs


def left_out(rule: Rule) -> Bound:
    """A rule that has more pairs than it may."""
    return Bound(rule=rule, counted=Counted(pairs=rule.most_pairs or 0, left_out=True), blocks=None)


def exceeds(table: Table, rule: Rule) -> bool:
    """Whether a rule has more pairs than it may, before any block is split."""
    if rule.most_pairs is None:
        return False
    for step in (8, 1):  # some of the rows are enough to find that a rule is far too wide
        some = slice(None, None, step)
        rows, lengths = grouped([code[some] for code in key_codes(table, rule.keys)])
        if sizes(table, rows * np.int32(step), lengths)[2] > rule.most_pairs:
            return True
    return False


def sizes(table: Table, rows: Groups, lengths: Ints) -> tuple[int, int, int]:
    """(how many groups of rows these are, units in the largest, pairs of units)."""
    rows, lengths = _distinct(table, rows, lengths)
    second = None if table.second is None else _second(table.second[rows], lengths)
    return len(lengths), int(lengths.max(initial=0)), pairs_of_sizes(lengths, second)


def pairs_of_sizes(all_: Ints, second: Ints | None) -> int:
    """How many pairs blocks of these sizes have."""
    return int((all_ * (all_ - 1) // 2).sum() if second is None else ((all_ - second) * second).sum())


def bind(table: Table, rule: Rule, further: tuple[Key, ...], most: int) -> Bound:
    """The blocks of a rule, whole in this table."""
    rows, lengths = grouped(key_codes(table, rule.keys))
    number, units = len(lengths), _units_in(table, rows, lengths)
    rows, lengths, units = _some(rows, lengths, units, units > 1)
    large = units > most
    split, split_rows = (int(np.count_nonzero(large)), int(units[large].sum())) if further else (0, 0)
    split_at = list[Bools]()
    done = [_some(rows, lengths, units, ~large)]
    rest, lengths, units = _some(rows, lengths, units, large)
    for key in further:
        if not len(rest):
            break
        split_at.append(_marked(table, rest))
        block = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        number -= len(lengths)
        which, lengths = grouped([block, table.key(key)[rest] + np.int32(1)])
        number += len(lengths)
        rest = rest[which]
        units = _units_in(table, rest, lengths)
        done.append(_some(rest, lengths, units, (units > 1) & (units <= most)))
        rest, lengths, units = _some(rest, lengths, units, units > most)
    if len(rest):
        split_at.append(_marked(table, rest))
    left = units
    rows, lengths, units = (np.concatenate(parts) for parts in zip(*done, strict=True))
    rows, lengths = _distinct(table, rows, lengths)
    of_second = None if table.second is None else table.second[rows]
    found = blocks(rows, lengths, of_second)
    counted = Counted(
        number=number,
        largest=int(np.concatenate((lengths, left)).max(initial=min(number, 1))),
        pairs=found.pairs,
        split=split,
        split_rows=split_rows,
        oversized=len(left),
        oversized_rows=int(left.sum()),
    )
    return Bound(rule=rule, counted=counted, blocks=found, split_at=split_at)


def key_codes(table: Table, keys: Sequence[Key]) -> list[Groups]:
    """The numbers of each key; without one, all rows have 0. Rows that no block is made of have none."""
    found = [table.key(key) for key in keys] or [np.zeros(table.n, np.int32)]
    if table.bound is None:
        return found
    return [np.where(table.bound, found[0], np.int32(-1)), *found[1:]]


def _marked(table: Table, rows: Groups) -> Bools:
    found = np.zeros(table.n, np.bool_)
    found[rows] = True
    return found


def _units_in(table: Table, rows: Groups, lengths: Ints) -> Ints:
    """int64[b]: the units of each group."""
    return _distinct(table, rows, lengths)[1]


def _distinct(table: Table, rows: Groups, lengths: Ints) -> tuple[Groups, Ints]:
    """(of each unit in each group the first row, int64[b]: units of each group)."""
    if table.unit is None or not len(rows):
        return rows, lengths
    block, unit = np.repeat(np.arange(len(lengths)), lengths), table.unit[rows]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (unit[1:] != unit[:-1]) | (block[1:] != block[:-1])
    return rows[first], np.bincount(block[first], minlength=len(lengths))


def _some(rows: Groups, lengths: Ints, units: Ints, which: Bools) -> tuple[Groups, Ints, Ints]:
    """These groups, as `kernels.pairs.grouped` gives them, and the units of each."""
    return (rows, lengths, units) if which.all() else (rows[np.repeat(which, lengths)], lengths[which], units[which])


def _second(second: Bools, lengths: Ints) -> Ints:
    """int64[b]: the second table's rows in each group."""
    return np.bincount(np.repeat(np.arange(len(lengths)), lengths)[second], minlength=len(lengths))


def _any(which: Bools, starts: Ints | None) -> Bools:
    """bool[p]: of the rows of each pair, which begin at `starts`; None: each is one."""
    found: Bools = which if starts is None else np.logical_or.reduceat(which, starts)
    return found


def too_many(limit: Limit = Limit.PAIRS) -> Refusal:
    """A job with more pairs, or rows, than it may have."""
    return Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE, limit=limit)
