"""Outputs of `link` besides the records with their cluster; `report` describes the columns."""

from typing import Final

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, INT8, UINT32, UINT64, UTF8, list_of
from cji_core.operations.declaration import OutputSpec

_CASE: Final = DataClass.CASE

_ID: Final = DataClass.CONTROL_NUMBER

PAIRS: Final = OutputSpec(
    name="pairs",
    schema=RecordSchema.output(
        "pairs/1",
        columns(_CASE, "left right", UINT64),
        columns(_ID, "left_id right_id", BINARY, of="record_id"),
        columns(_CASE, "weight frequency probability", FLOAT64),
        columns(_CASE, "pattern", UINT32),
        columns(_CASE, "match joined", BOOL),
    ),
)
"""Pairs that match, or that a clerk should look at."""

PATTERNS: Final = OutputSpec(
    name="patterns",
    schema=RecordSchema.output(
        "patterns/1",
        columns(_CASE, "pattern", UINT32),
        columns(_CASE, "pairs", UINT64),
        columns(_CASE, "weight dependence relatives", FLOAT64),
        columns(_CASE, "levels", list_of(INT8)),
        columns(_CASE, "words", UTF8),
    ),
)
"""The level of every comparison in each pattern, and what it adds to the weight."""

LEVELS: Final = OutputSpec(
    name="levels",
    schema=RecordSchema.output(
        "levels/1",
        columns(_CASE, "comparison", UTF8),
        columns(_CASE, "level", INT8),
        columns(_CASE, "m u weight", FLOAT64),
        columns(_CASE, "words label columns same", UTF8),
    ),
)
"""The weight of every level, in a sentence."""

CLUSTERS: Final = OutputSpec(
    name="clusters",
    schema=RecordSchema.output(
        "clusters/1",
        columns(_CASE, "cluster", UINT64),
        columns(_ID, "first_id", BINARY, of="record_id"),
        columns(_CASE, "rows pairs listed", UINT64),
        columns(_CASE, "cohesion", FLOAT64),
        columns(_CASE, "weakest", UINT64),
        columns(_CASE, "weakest_of_link_to", BOOL),
        columns(_ID, "weakest_id", BINARY, of="record_id"),
        columns(_CASE, "weakest_weight", FLOAT64),
    ),
)
"""Clusters of several records, and how well they hold together."""

BRIDGES: Final = OutputSpec(
    name="bridges",
    schema=RecordSchema.output(
        "bridges/1",
        columns(_CASE, "left right", UINT64),
        columns(_ID, "left_id right_id", BINARY, of="record_id"),
        columns(_CASE, "weight probability", FLOAT64),
        columns(_CASE, "left_cluster right_cluster", UINT64),
        columns(_CASE, "mean", FLOAT64),
    ),
)
"""Pairs that match, in clusters that are not one: a clerk should look at these first."""

BLOCKS: Final = OutputSpec(
    name="blocks",
    schema=RecordSchema.output(
        "blocks/1",
        columns(_CASE, "rule", UTF8),
        columns(_CASE, "blocks largest pairs new_pairs", UINT64),
        columns(_CASE, "left_out", BOOL),
        columns(_CASE, "split split_rows oversized oversized_rows", UINT64),
    ),
)
"""The pairs that every blocking rule brought together."""

WEIGHTS: Final = OutputSpec(
    name="weights",
    schema=RecordSchema.output(
        "weights/1",
        columns(_CASE, "weight", FLOAT64),
        columns(_CASE, "pairs rows", UINT64),
    ),
)
"""How many pairs, listed or not, and how many rows beside themselves have each weight, in steps of one bit."""

COMPLETENESS: Final = OutputSpec(
    name="completeness",
    schema=RecordSchema.output(
        "completeness/1",
        columns(_CASE, "present missing", UTF8),
        columns(_CASE, "rows below_match below_review", UINT64),
        columns(_CASE, "weight", FLOAT64),
    ),
)
"""Rows by what they have a value for, and how many of them reach no threshold even beside themselves."""

THRESHOLDS: Final = OutputSpec(
    name="thresholds",
    schema=RecordSchema.output(
        "thresholds/1",
        columns(_CASE, "score weight", FLOAT64),
        columns(_CASE, "pairs", UINT64),
        columns(_CASE, "false_share low high", FLOAT64),
    ),
)
"""The expected share of false pairs from each threshold on, and its interval."""


CLUSTER: Final = "cluster"
"""The column of the result with the cluster of each record."""
SIDE: Final = "link_to"
"""The side table that the records are linked to."""
PARTS: Final = (PAIRS, PATTERNS, LEVELS, CLUSTERS, BRIDGES, BLOCKS, WEIGHTS, COMPLETENESS, THRESHOLDS)
