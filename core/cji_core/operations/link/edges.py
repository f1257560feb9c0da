"""The streams between the stages of `link`.

Columns differ from job to job and schemas of edges do not: a piece of a table is a batch of one row for each column,
with its numbers and bytes packed. What is small and has structure is one JSON document in a batch of one row.
"""

from typing import Final

import pyarrow as pa

from cji_core.operations.stages.stage import Edge

DOCUMENT: Final = pa.schema([pa.field("document", pa.binary(), nullable=False)])
_ARRAYS: Final = pa.schema([pa.field("data", pa.binary(), nullable=False)])
_TABLE: Final = pa.schema(
    [
        pa.field("route", pa.uint16(), nullable=False),
        pa.field("column", pa.uint16(), nullable=False),
        *(pa.field(name, pa.binary(), nullable=False) for name in ("codes", "lengths", "values", "counts")),
    ]
)


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


SHARDS: Final = Edge(name="shards", schema=DOCUMENT)
"""count to plan: `plan.Shard`."""
TALLIES: Final = Edge(
    name="tallies", schema=_schema(rule=pa.uint16(), key=pa.uint64(), rows=pa.uint32(), second=pa.uint32())
)
"""count to plan: rows with each key of a rule that may be left out."""
SLOTS: Final = Edge(name="slots", schema=_schema(key=pa.uint16(), rows=pa.binary()))
"""count to plan: uint32[`routes.SLOTS`], rows in each slot of a key."""
VALUES: Final = Edge(name="values", schema=_schema(column=pa.uint16(), value=pa.binary(), rows=pa.uint32()), each=True)
"""count to frequencies: rows with each value of a column, by the hash of the value."""
COLUMNS: Final = Edge(name="columns", schema=_ARRAYS, aligned=True)
"""count to split: the table of the shard, see `aligned_tables`."""
IDS: Final = Edge(
    name="ids", schema=pa.schema([pa.field("second", pa.bool_(), nullable=False), pa.field("id", pa.binary())])
)
"""count to cluster: the record id of every row."""
PLAN: Final = Edge(name="plan", schema=DOCUMENT)
"""plan to most others: `plan.Planned`."""
FREQUENCIES: Final = Edge(name="frequencies", schema=_schema(column=pa.uint16(), rows=pa.uint32()), each=True)
"""frequencies to split: of all rows, in the order in which the shard sent its values."""
SQUARES: Final = Edge(name="squares", schema=DOCUMENT)
"""frequencies to train: by column, the sum of the squares of frequencies."""
TABLE: Final = Edge(name="rows", schema=_TABLE, each=True)
"""split to observe: rows by route."""
RANDOM: Final = Edge(name="random", schema=_TABLE, each=True)
"""split to observe: the rows of random pairs."""
BOUND: Final = Edge(name="bound", schema=_ARRAYS, aligned=True)
"""observe to pairs: the table of each route, with the blocks of its rules; see `aligned_tables`."""
COUNTED: Final = Edge(name="counted", schema=DOCUMENT)
"""observe to train: `buckets.Blocks` of each task."""
PATTERNS: Final = Edge(
    name="patterns",
    schema=_schema(rule=pa.uint16(), pattern=pa.int64(), pairs=pa.int64(), first=pa.int64()),
)
"""observe to train: patterns of each rule, of random pairs, and the pairs that deterministic rules find."""
MODEL: Final = Edge(name="model", schema=DOCUMENT)
"""train to pairs and cluster: `buckets.Weighing`."""
PAIRS: Final = Edge(
    name="weighed", schema=_schema(left=pa.int32(), right=pa.int32(), pattern=pa.int64(), weight=pa.float64())
)
"""pairs to cluster: those that count."""
NEW_PAIRS: Final = Edge(name="new_pairs", schema=DOCUMENT)
"""pairs to cluster: by blocking rule, how many pairs no rule before it has."""
LABELS: Final = Edge(name="labels", schema=_schema(cluster=pa.uint64()), each=True)
"""cluster to label: of every row of the shard."""
