"""The cost of a job before it starts, by the model of docs/fleet.md: an order of size, measured on one processor.

Of `link` with the default model: processor time is linear in rows and in compared pairs, the shuffle is linear in rows.
The number of pairs is known after the stage that counts; before it, `pairs_per_row` stands for it.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["Estimate", "estimate"]

CPU_SECONDS_PER_ROW: Final = 6e-6
CPU_SECONDS_PER_PAIR: Final = 0.5e-6
SHUFFLE_BYTES_PER_ROW: Final = 1_190
"""850 measured, and what padding to powers of two adds."""
CPU_SECONDS_PER_TASK: Final = 0.05
"""A cell, its keys, and its streams; the engine's own share is a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of a whole job. Times in seconds, sizes in bytes."""

    rows: int
    shards: int
    pairs: int
    tasks: int
    cells: int
    cpu_seconds: float
    wall_seconds: float
    bytes_read: int
    shuffle_bytes: int


def estimate(*, rows: int, shards: int, stages: int, input_bytes: int, cells: int, pairs_per_row: float) -> Estimate:
    """Of a job of `rows` in `shards`, whose `stages` are about as wide as the records, on `cells` at the same time."""
    pairs = round(rows * pairs_per_row)
    tasks = shards * stages
    cpu = rows * CPU_SECONDS_PER_ROW + pairs * CPU_SECONDS_PER_PAIR + tasks * CPU_SECONDS_PER_TASK
    shuffle = rows * SHUFFLE_BYTES_PER_ROW
    return Estimate(
        rows=rows,
        shards=shards,
        pairs=pairs,
        tasks=tasks,
        cells=cells,
        cpu_seconds=cpu,
        # not more than a cell for each shard works in a stage
        wall_seconds=cpu / max(1, min(cells, shards)),
        bytes_read=input_bytes + shuffle,
        shuffle_bytes=shuffle,
    )
