"""The pairs to compare: those that some blocking rule brings together, counted before any is made.

A pair belongs to the first rule that has it, so no pair comes twice and no list of pairs is kept. A block of more rows
than the limit is split by further keys, one after the other, or refused; a row without a value in a further key stays
with the others that have none. Rows of a split block are not compared across its parts; the report counts them.

A rule's blocks may be bound to some rows of the job, if these are whole blocks. Whether a pair belongs to a rule whose
blocks are bound elsewhere is a matter of its keys and of the list of blocks that were split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Key, Rule
from cji_operations.kernels import hashing
from cji_operations.kernels.pairs import Blocks, Groups, blocks, grouped, pairs_at, pairs_of
from cji_operations.kernels.ranges import cuts
from cji_operations.link.columns import Table

CHUNK: Final = 1 << 16  # pairs of rows at once
WEIGHT: Final = 1 << 10
"""The weight of one pair in a sample: weights are whole numbers, so that they add up in any order."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks of a rule: how many, rows in the largest, pairs, how many had to be split, and the rows that those had.

    Of a rule that is `left_out`, nothing is counted, and `pairs` is the number that it exceeds.
    """

    number: int = 0
    largest: int = 0
    pairs: int = 0
    split: int = 0
    split_rows: int = 0
    left_out: bool = False

    def __add__(self, other: "Counted") -> "Counted":
        """Of the blocks of both."""
        return Counted(
            number=self.number + other.number,
            largest=max(self.largest, other.largest),
            pairs=self.pairs + other.pairs,
            split=self.split + other.split,
            split_rows=self.split_rows + other.split_rows,
            left_out=self.left_out or other.left_out,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Bound:
    """A rule, how many blocks it has, and which of the table's rows are in a block that was split.

    split_at bool[n] by further key: the row's block was split by it. `blocks` are None where they are bound elsewhere.
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
        """bool[n]: some rule has a key for the row."""
        rest = np.arange(self.table.n)  # soon few, as most rows have a key for the first rules
        for one in (each for each in self.rules if not each.counted.left_out):
            rest = rest[~np.all([rest >= 0, *(self.table.key(key)[rest] >= 0 for key in one.rule.keys)], axis=0)]
        found = np.ones(self.table.n, np.bool_)
        found[rest] = False
        return found

    def new(self, number: int, left: Ints, right: Ints) -> Bools:
        """bool[p]: no rule before this one brings the two rows together."""
        pairs = Agreement(table=self.table, further=self.further, left=left, right=right)
        found = np.ones(len(left), np.bool_)
        for earlier in self.rules[:number]:
            if not earlier.counted.left_out:
                found &= ~earlier.has(pairs)
        return found

    def chunks(self) -> Iterator[tuple[int, int, Ints, Ints]]:
        """(rule, how many pairs it has here, left, right): every pair of the bound rules once, under its first rule."""
        for number, one in enumerate(self.rules):
            for left, right in every_pair(one.blocks) if one.blocks is not None else ():
                kept = np.flatnonzero(self.new(number, left, right))
                whole = len(kept) == len(left)
                yield number, len(left), left if whole else left[kept], right if whole else right[kept]

    def unsplit(self) -> "Blocking":
        """A pair belongs to the first rule in whose keys its rows agree, though they are in two parts of a block."""
        rules = (replace(one, split_at=()) for one in self.rules)
        return Blocking(table=self.table, further=self.further, rules=tuple(rules))

    def sample(self, number: int, share: float, seed: int) -> Iterator[tuple[Ints, Ints, Ints]]:
        """(left, right, weight) in chunks: a sample of the bound pairs of one rule, and how many pairs each stands for.

        A block gives up to `share` pairs for each of its rows, or all that it has. Each row has its part of these, with
        partners from stretches of equal length. So it is the same sample with whatever other blocks and rows are here.
        Weights are in parts of WEIGHT.
        """
        found = self.rules[number].blocks
        if found is None or not len(found.rows):
            return
        pairs = np.add.reduceat(found.count.astype(np.int64), np.cumsum(found.lengths) - found.lengths)
        taken_of = np.minimum(share * found.lengths / pairs, 1.0)
        weight = np.repeat(np.rint(WEIGHT / taken_of).astype(np.int64), found.lengths)
        rows = self.table.rows[found.rows]
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
            yield *pairs_at(found, before[which] + partner), weight[which]


def every_pair(found: Blocks) -> Iterator[tuple[Ints, Ints]]:
    """(left, right) of all pairs, in order and in chunks."""
    for start, stop in cuts(found.count, CHUNK):
        yield pairs_of(found, start, stop)


def further_keys(split: tuple[Key, ...], parameters: Link) -> tuple[Key, ...]:
    """The keys that split oversized blocks."""
    return split if parameters.oversized == "split" else ()


def plan(table: Table, rules: tuple[Rule, ...], split: tuple[Key, ...], parameters: Link) -> Blocking:
    """Build and count all blocks. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE for blocks or pairs beyond the limits."""
    further = further_keys(split, parameters)
    found = Blocking(
        table=table,
        further=further,
        rules=tuple(
            left_out(rule) if exceeds(table, rule) else bind(table, rule, further, parameters.block_rows)
            for rule in rules
        ),
    )
    check_pairs([one.counted for one in found.rules], parameters)
    return found


def total_pairs(counted: Sequence[Counted]) -> int:
    """Pairs over all rules that are not left out."""
    return sum(one.pairs for one in counted if not one.left_out)


def check_pairs(counted: Sequence[Counted], parameters: Link) -> None:
    """Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE where the rules have more pairs than `pairs`."""
    if total_pairs(counted) > parameters.pairs:
        raise too_many()


def left_out(rule: Rule) -> Bound:
    """A rule that has more pairs than it may."""
    return Bound(rule=rule, counted=Counted(pairs=rule.most_pairs or 0, left_out=True), blocks=None)


def exceeds(table: Table, rule: Rule) -> bool:
    """Whether a rule has more pairs than it may, before any block is split."""
    if rule.most_pairs is None:
        return False
    for step in (8, 1):  # some of the rows are enough to find that a rule is far too wide
        some = slice(None, None, step)
        rows, lengths = grouped([code[some] for code in _codes(table, rule.keys)])
        second = None if table.second is None else _second(table.second[some][rows], lengths)
        if pairs_of_sizes(lengths, second) > rule.most_pairs:
            return True
    return False


def sizes(table: Table, keys: Sequence[Key]) -> tuple[int, int, int]:
    """(blocks of these keys, rows in the largest, pairs), before any block is split."""
    rows, lengths = grouped(_codes(table, keys))
    second = None if table.second is None else _second(table.second[rows], lengths)
    return len(lengths), int(lengths.max(initial=0)), pairs_of_sizes(lengths, second)


def pairs_of_sizes(all_: Ints, second: Ints | None) -> int:
    """How many pairs blocks of these sizes have."""
    return int((all_ * (all_ - 1) // 2).sum() if second is None else ((all_ - second) * second).sum())


def bind(table: Table, rule: Rule, further: tuple[Key, ...], most: int) -> Bound:
    """The blocks of a rule, whole in this table. Raises: Refusal(LIMIT_EXCEEDED) for one that stays large."""
    rows, lengths = grouped(_codes(table, rule.keys))
    number = len(lengths)
    rows, lengths = _some(rows, lengths, lengths > 1)
    large = lengths > most
    split, split_rows = int(np.count_nonzero(large)), int(lengths[large].sum())
    split_at = list[Bools]()
    done = [_some(rows, lengths, ~large)]
    rest, lengths = _some(rows, lengths, large)
    for key in further:
        if not len(rest):
            break
        split_at.append(np.zeros(table.n, np.bool_))
        split_at[-1][rest] = True
        block = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        number -= len(lengths)
        which, lengths = grouped([block, table.key(key)[rest] + np.int32(1)])
        number += len(lengths)
        rest = rest[which]
        done.append(_some(rest, lengths, (lengths > 1) & (lengths <= most)))
        rest, lengths = _some(rest, lengths, lengths > most)
    if len(rest):
        raise too_many()
    rows, lengths = (np.concatenate(parts) for parts in zip(*done, strict=True))
    of_second = None if table.second is None else table.second[rows]
    found = blocks(rows, lengths, of_second)
    counted = Counted(
        number=number,
        largest=int(lengths.max(initial=min(number, 1))),
        pairs=found.pairs,
        split=split,
        split_rows=split_rows,
    )
    return Bound(rule=rule, counted=counted, blocks=found, split_at=split_at)


def _codes(table: Table, keys: Sequence[Key]) -> list[Groups]:
    """The numbers of each key; without one, all rows have 0."""
    return [table.key(key) for key in keys] or [np.zeros(table.n, np.int32)]


def _some(rows: Groups, lengths: Ints, which: Bools) -> tuple[Groups, Ints]:
    """These groups, as `kernels.pairs.grouped` gives them."""
    return (rows, lengths) if which.all() else (rows[np.repeat(which, lengths)], lengths[which])


def _second(second: Bools, lengths: Ints) -> Ints:
    """int64[b]: the second table's rows in each group."""
    return np.bincount(np.repeat(np.arange(len(lengths)), lengths)[second], minlength=len(lengths))


def too_many() -> Refusal:
    """A job with more blocks, pairs or rows than it may have."""
    return Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
