"""Jobs of `link` for nodes of `narrow_worker`, in the shapes that parts could get wrong: each draws its records.

people   made-up people, a fifth of them twice
skewed   one name and one date in most records: more than a task should have, so that its rows are divided by all keys
         of each rule; and blocks that are split
two      skewed records, linked to a side table of the same kind
few      fewer records than shards, perhaps none: most shards are empty
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from cji_core.operations.link import Link
from cji_core.operations.link.outputs import SIDE
from cji_simulator.made_up import made_up_people

MOST_SHARDS: Final = 12
_COMMON: Final = 0.75
_COMMON_NAME: Final = 0.8


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a job is submitted with."""

    name: str
    operation: Link
    records: pa.Table
    shards: int
    sides: Mapping[str, pa.Table] = field(default_factory=dict)

    def __str__(self) -> str:
        """As printed."""
        side = "".join(f" to {table.num_rows}" for table in self.sides.values())
        return f"{self.name}, {self.records.num_rows} records{side} in {self.shards} shards"


def people(rows: int, chance: random.Random) -> Shape:
    """See the module."""
    records = made_up_people(rows, seed=_seed(chance))
    return Shape(name="people", operation=Link(random_pairs=20_000), records=records, shards=_shards(chance))


def skewed(rows: int, chance: random.Random) -> Shape:
    """See the module."""
    return Shape(name="skewed", operation=_split(rows), records=_skewed(rows, chance), shards=_shards(chance))


def two(rows: int, chance: random.Random) -> Shape:
    """See the module."""
    sides = {SIDE: _skewed(chance.randint(0, rows // 2), chance)}
    records = _skewed(rows, chance)
    return Shape(name="two", operation=_split(rows), records=records, shards=_shards(chance), sides=sides)


def few(_rows: int, chance: random.Random) -> Shape:
    """See the module."""
    rows = chance.randint(0, MOST_SHARDS)
    records = made_up_people(2 * MOST_SHARDS, seed=_seed(chance)).slice(0, rows)
    shards = chance.randint(rows, MOST_SHARDS)
    return Shape(name="few", operation=Link(random_pairs=20_000), records=records, shards=max(shards, 1))


SHAPES: Final[Mapping[str, Callable[[int, random.Random], Shape]]] = {
    each.__name__: each for each in (people, skewed, two, few)
}


def _split(rows: int) -> Link:
    return Link(random_pairs=20_000, block_rows=max(rows // 10, 2))


def _skewed(rows: int, chance: random.Random) -> pa.Table:
    """Records of which most have one surname and date of birth, and most of these one given name."""
    rng = np.random.default_rng(_seed(chance))
    found = made_up_people(rows, seed=_seed(chance)).to_pydict()
    for at in np.flatnonzero(rng.random(rows) < _COMMON):
        found["last"][at], found["DOB"][at] = "Smith", "19800101"
        if rng.random() < _COMMON_NAME:
            found["first"][at] = "John"
    found["SOC"] = [f"212{number:06d}" for number in rng.integers(1, 10**6, rows)]
    return pa.table(found, schema=pa.schema([(name, pa.utf8()) for name in found]))


def _shards(chance: random.Random) -> int:
    return chance.randint(1, MOST_SHARDS)


def _seed(chance: random.Random) -> int:
    return chance.randrange(1 << 32)
