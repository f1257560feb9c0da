"""Outputs of `link` besides the records with their cluster; `report` describes the columns."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_core.operations.declaration import OutputSpec

_CASE: Final = DataClass.CASE

_ID: Final = DataClass.CONTROL_NUMBER

PAIRS: Final = OutputSpec(
    name="pairs",
    schema=RecordSchema.output(
        "pairs/1",
        columns(_CASE, "left right", pa.uint64()),
        columns(_ID, "left_id right_id", pa.binary()),
        columns(_CASE, "weight frequency probability", pa.float64()),
        columns(_CASE, "pattern", pa.uint32()),
        columns(_CASE, "match joined", pa.bool_()),
    ),
)
"""Pairs that match, or that a clerk should look at."""

PATTERNS: Final = OutputSpec(
    name="patterns",
    schema=RecordSchema.output(
        "patterns/1",
        columns(_CASE, "pattern", pa.uint32()),
        columns(_CASE, "pairs", pa.uint64()),
        columns(_CASE, "weight relatives", pa.float64()),
        columns(_CASE, "levels", pa.list_(pa.int8())),
        columns(_CASE, "words", pa.utf8()),
    ),
)
"""The level of every comparison in each pattern, and what it adds to the weight."""

LEVELS: Final = OutputSpec(
    name="levels",
    schema=RecordSchema.output(
        "levels/1",
        columns(_CASE, "comparison", pa.utf8()),
        columns(_CASE, "level", pa.int8()),
        columns(_CASE, "m u weight", pa.float64()),
        columns(_CASE, "words", pa.utf8()),
    ),
)
"""The weight of every level, in a sentence."""

CLUSTERS: Final = OutputSpec(
    name="clusters",
    schema=RecordSchema.output(
        "clusters/1",
        columns(_CASE, "cluster", pa.uint64()),
        columns(_ID, "first_id", pa.binary()),
        columns(_CASE, "rows pairs listed", pa.uint64()),
        columns(_CASE, "cohesion", pa.float64()),
        columns(_CASE, "weakest", pa.uint64()),
        columns(_CASE, "weakest_of_link_to", pa.bool_()),
        columns(_ID, "weakest_id", pa.binary()),
        columns(_CASE, "weakest_weight", pa.float64()),
    ),
)
"""Clusters of several records, and how well they hold together."""

BRIDGES: Final = OutputSpec(
    name="bridges",
    schema=RecordSchema.output(
        "bridges/1",
        columns(_CASE, "left right", pa.uint64()),
        columns(_ID, "left_id right_id", pa.binary()),
        columns(_CASE, "weight probability", pa.float64()),
        columns(_CASE, "left_cluster right_cluster", pa.uint64()),
        columns(_CASE, "mean", pa.float64()),
    ),
)
"""Pairs that match, in clusters that are not one: a clerk should look at these first."""

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


CLUSTER: Final = "cluster"
"""The column of the result with the cluster of each record."""
SIDE: Final = "link_to"
"""The side table that the records are linked to."""
PARTS: Final = (PAIRS, PATTERNS, LEVELS, CLUSTERS, BRIDGES, BLOCKS)
