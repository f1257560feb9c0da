"""Rules whose blocks are bound to the rows of other tasks: keys as hashes, equal in whatever table they are."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from worker.compute.kernels import hashing
from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.hashing import Hashes
from worker.compute.operations.link.blocking import Bound, Counted
from worker.compute.operations.link.columns import Table
from worker.compute.operations.link.model import Key, Rule

_MISSING: Final = np.uint64(0)

Splits = Mapping[int, Hashes]
"""The blocks that were split, by the number of the further key: their hashes, in order."""


def tally(key: Hashes, second: Bools | None) -> tuple[Hashes, Ints, Ints | None]:
    """(the distinct keys in order, rows with each, of these those of the second table); 0 stands for a missing key."""
    there = key != 0
    distinct, counts = np.unique(key[there], return_counts=True)
    if second is None:
        return distinct, counts, None
    of_second = np.searchsorted(distinct, key[there & second])
    return distinct, counts, np.bincount(of_second, minlength=len(distinct))


def rule_hashes(table: Table, keys: Sequence[Key]) -> Hashes:
    """uint64[n]: equal for rows with equal keys, in whatever table; 0 where one is missing."""
    found = np.ones(table.n, np.uint64)
    for key in keys:
        of_key = table.hashes(key)
        found = np.where((found != 0) & (of_key != 0), hashing.joined(found, of_key) | np.uint64(1), _MISSING)
    return found


def split_blocks(table: Table, bound: Bound, further: tuple[Key, ...]) -> dict[int, Hashes]:
    """The blocks of the rule that were split, by depth, so that `replayed` finds them in other tables."""
    found = dict[int, Hashes]()
    if bound.split_at:
        block = rule_hashes(table, bound.rule.keys)
        for depth, (key, split) in enumerate(zip(further, bound.split_at, strict=False)):
            found[depth] = np.unique(block[split])
            block = np.where(split, hashing.joined(block, table.hashes(key)), block)
    return found


def replayed(table: Table, rule: Rule, counted: Counted, splits: Splits, further: tuple[Key, ...]) -> Bound:
    """A rule whose blocks are bound elsewhere, of which those were split."""
    split_at = list[Bools]()
    if splits and not counted.left_out:
        block = rule_hashes(table, rule.keys)
        here = block != 0
        for depth, key in enumerate(further[: max(splits) + 1]):
            known = splits[depth]
            here = here & (known[np.minimum(np.searchsorted(known, block), len(known) - 1)] == block)
            split_at.append(here)
            block = np.where(here, hashing.joined(block, table.hashes(key)), block)
    return Bound(rule=rule, counted=counted, blocks=None, split_at=split_at)
