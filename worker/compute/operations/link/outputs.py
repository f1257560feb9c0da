"""Outputs of `link` besides the records with their cluster; `report` describes the columns."""

from typing import Final

import pyarrow as pa

from worker.compute.operation import OutputSpec
from worker.records import DataClass, RecordSchema, columns

_CASE: Final = DataClass.CASE

PAIRS: Final = OutputSpec(
    name="pairs",
    schema=RecordSchema.output(
        "pairs/1",
        columns(_CASE, "left right", pa.uint64()),
        columns(_CASE, "weight frequency probability", pa.float64()),
        columns(_CASE, "pattern", pa.uint32()),
        columns(_CASE, "match", pa.bool_()),
    ),
)
"""Pairs that match, or that a clerk should look at."""

PATTERNS: Final = OutputSpec(
    name="patterns",
    schema=RecordSchema.output(
        "patterns/1",
        columns(_CASE, "pattern", pa.uint32()),
        columns(_CASE, "pairs", pa.uint64()),
        columns(_CASE, "comparison", pa.utf8()),
        columns(_CASE, "level", pa.int8()),
        columns(_CASE, "words", pa.utf8()),
        columns(_CASE, "m u weight", pa.float64()),
    ),
)
"""The components of each weight, in words."""

BLOCKS: Final = OutputSpec(
    name="blocks",
    schema=RecordSchema.output(
        "blocks/1",
        columns(_CASE, "rule", pa.utf8()),
        columns(_CASE, "blocks largest pairs new_pairs", pa.uint64()),
        columns(_CASE, "left_out", pa.bool_()),
        columns(_CASE, "split split_rows", pa.uint64()),
    ),
)
"""The pairs that every blocking rule brought together."""
