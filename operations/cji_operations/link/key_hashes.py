"""Rules whose blocks are bound to the rows of other tasks: keys as hashes, equal in whatever table they are."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.model import Key, Rule
from cji_operations.kernels import hashing
from cji_operations.kernels.hashing import Hashes
from cji_operations.link.blocking import Bound, Counted
from cji_operations.link.columns import Table

_MISSING: Final = np.uint64(0)
_ALL: Final = slice(None)

Splits = Mapping[int, Hashes]
"""The blocks that were split, by the number of the further key, and behind these those left out: hashes, in order."""


def tally(table: Table, keys: Sequence[Key]) -> tuple[Hashes, Ints, Ints | None]:
    """(the distinct hashes of all keys in order, units with each, of these those of the second table).

    Where there are few combinations of keys, rows are counted by combination; otherwise their hashes are sorted.
    """
    if table.unit is not None:
        return _tally_of_units(table, rule_hashes(table, keys), table.unit)
    codes = [table.key(key) for key in keys]
    combinations = math.prod(int(code.max(initial=0)) + 1 for code in codes)
    if combinations > max(table.n, 1):
        return _sorted_tally(rule_hashes(table, keys), table.second)
    joint, there = np.zeros(table.n, np.int64), np.ones(table.n, np.bool_)
    for code in codes:
        joint *= int(code.max(initial=0)) + 1
        joint += code
        there &= code >= 0
    rows = np.flatnonzero(there)
    joint = joint[rows]
    counts = np.bincount(joint, minlength=combinations)
    row = np.empty(combinations, np.int64)
    row[joint] = rows  # some row with each combination
    found = np.flatnonzero(counts)
    hashes = rule_hashes(table, keys, row[found])
    order = np.argsort(hashes)
    found = found[order]
    if table.second is None:
        return hashes[order], counts[found], None
    return hashes[order], counts[found], np.bincount(joint[table.second[rows]], minlength=combinations)[found]


def _tally_of_units(table: Table, key: Hashes, unit: Ints) -> tuple[Hashes, Ints, Ints | None]:
    order = np.lexsort((unit, key))
    key, unit = key[order], unit[order]
    first = key != 0
    first[1:] &= (key[1:] != key[:-1]) | (unit[1:] != unit[:-1])
    return _sorted_tally(key[first], None if table.second is None else table.second[order][first])


def _sorted_tally(key: Hashes, second: Bools | None) -> tuple[Hashes, Ints, Ints | None]:
    there = key != 0
    distinct, counts = np.unique(key[there], return_counts=True)
    if second is None:
        return distinct, counts, None
    of_second = np.searchsorted(distinct, key[there & second])
    return distinct, counts, np.bincount(of_second, minlength=len(distinct))


def rule_hashes(table: Table, keys: Sequence[Key], rows: Ints | slice = _ALL) -> Hashes:
    """uint64[n]: equal for rows with equal keys, in whatever table; 0 where one is missing. Of these rows, or all."""
    found = np.ones(table.n, np.uint64)[rows]
    for key in keys:
        of_key = table.hashes(key, rows)
        found = np.where((found != 0) & (of_key != 0), hashing.joined(found, of_key) | np.uint64(1), _MISSING)
    return found


def split_blocks(table: Table, bound: Bound, further: tuple[Key, ...]) -> dict[int, Hashes]:
    """The blocks of the rule that were split or, behind all further keys, left out, by depth.

    So `replayed` finds them in other tables.
    """
    found = dict[int, Hashes]()
    if bound.split_at:
        block = rule_hashes(table, bound.rule.keys)
        for depth, (key, split) in enumerate(zip(further, bound.split_at, strict=False)):
            found[depth] = np.unique(block[split])
            block = np.where(split, hashing.joined(block, table.hashes(key)), block)
        for left_out in bound.split_at[len(further) :]:
            found[len(further)] = np.unique(block[left_out])
    return found


def replayed(table: Table, rule: Rule, counted: Counted, splits: Splits, further: tuple[Key, ...]) -> Bound:
    """A rule whose blocks are bound elsewhere, of which those were split."""
    split_at = list[Bools]()
    if splits and not counted.left_out:
        block = rule_hashes(table, rule.keys)
        here = block != 0
        for depth, key in enumerate((*further, None)[: max(splits) + 1]):
            known = splits[depth]
            here = here & (known[np.minimum(np.searchsorted(known, block), len(known) - 1)] == block)
            split_at.append(here)
            if key is None:  # these were left out
                break
            block = np.where(here, hashing.joined(block, table.hashes(key)), block)
    return Bound(rule=rule, counted=counted, blocks=None, split_at=split_at)
