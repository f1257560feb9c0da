"""The streams between the stages of `link`.

Columns differ from job to job and schemas of edges do not: a piece of a table is a batch of one row for each column,
with its numbers and bytes packed. Small nested values are one JSON document in a batch of one row.
"""

from typing import Final

from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, INT32, INT64, UINT16, UINT32, UINT64, Field, Fields
from cji_core.operations.stages.stage import Edge

DOCUMENT: Final = Fields.required(document=BINARY)
_ARRAYS: Final = Fields.required(data=BINARY)
_TABLE: Final = Fields.required(route=UINT16, column=UINT16, codes=BINARY, lengths=BINARY, values=BINARY, counts=BINARY)


SHARDS: Final = Edge(name="shards", fields=DOCUMENT)
"""count to unite and plan: `count.Shard`."""
READ: Final = Edge(name="read", fields=_TABLE, each=True)
"""count to unite: the rows of each unit to one task."""
IDS: Final = Edge(name="ids", fields=Fields((Field("second", BOOL, nullable=False), Field("id", BINARY))))
"""count to cluster: the record id of every row."""
FACTS: Final = Edge(name="facts", fields=_ARRAYS, aligned=True)
"""count to label: `read.RowFacts`."""
COUNTS: Final = Edge(name="counts", fields=DOCUMENT)
"""unite to plan: `unite.Counts`."""
FIRSTS: Final = Edge(name="firsts", fields=Fields.required(row=UINT32))
"""unite to plan and cluster: the first row of each unit."""
MEMBERS: Final = Edge(name="members", fields=Fields.required(row=UINT32, record=UINT32, head=UINT32, twin=UINT32))
"""unite to cluster: the other rows, as in `units.Units`."""
MARKED: Final = Edge(name="marked", fields=Fields.required(unit=UINT32, column=UINT16, value=UINT64))
"""split to cluster: what keeps records apart, see `marks`, by the number of the unit."""
CUT: Final = Edge(name="cut", fields=Fields.required(row=UINT32))
"""unite to cluster: rows of records with more different rows than are looked at."""
TALLIES: Final = Edge(name="tallies", fields=Fields.required(rule=UINT16, key=UINT64, rows=UINT32, second=UINT32))
"""unite to plan: units with each key of a rule that may be left out."""
SLOTS: Final = Edge(name="slots", fields=Fields.required(key=UINT16, rows=BINARY))
"""unite to plan: uint32[`routes.SLOTS`], units in each slot of a key."""
VALUES: Final = Edge(name="values", fields=Fields.required(column=UINT16, value=BINARY, rows=UINT32), each=True)
"""unite to frequencies: units with each value of a column, by the hash of the value."""
SAMPLE: Final = Edge(name="sample", fields=Fields.required(column=UINT16, key=UINT64, surname=UINT64, birth=UINT64))
"""unite to plan: `frequent.Sample`."""
COLUMNS: Final = Edge(name="columns", fields=_ARRAYS, aligned=True)
"""unite to split: the table of its units, see `aligned_tables`."""
PLAN: Final = Edge(name="plan", fields=DOCUMENT)
"""plan to most others: `count.Planned`."""
RANKS: Final = Edge(name="ranks", fields=Fields.required(rank=UINT32), each=True)
"""plan to split: the number of each unit among all units, in the order of `firsts`."""
FREQUENCIES: Final = Edge(name="frequencies", fields=Fields.required(column=UINT16, rows=UINT32), each=True)
"""frequencies to split: of all units, in the order in which the task sent its values."""
FILLED: Final = Edge(name="filled", fields=DOCUMENT)
"""split to train: by column, the units that have a value."""
SQUARES: Final = Edge(name="squares", fields=DOCUMENT)
"""frequencies to train: by column, the sum of the squares of frequencies."""
TABLE: Final = Edge(name="rows", fields=_TABLE, each=True)
"""split to observe: units by route."""
RANDOM: Final = Edge(name="random", fields=_TABLE, each=True)
"""split to observe: the units of random pairs."""
UNKEYED: Final = Edge(name="unkeyed", fields=Fields.required(unit=UINT32))
"""split to cluster: the units that no rule has a key for."""
BOUND: Final = Edge(name="bound", fields=_ARRAYS, aligned=True)
"""observe to pairs: the table of each route, with the blocks of its rules; see `aligned_tables`."""
COUNTED: Final = Edge(name="counted", fields=DOCUMENT)
"""observe to train: `buckets.Blocks` of each task."""
PATTERNS: Final = Edge(
    name="patterns",
    fields=Fields.required(rule=UINT16, pattern=INT64, pairs=INT64, first=INT64),
)
"""observe to train: patterns of each rule, of random pairs, and the pairs that deterministic rules find."""
OWN: Final = Edge(name="own", fields=Fields.required(patterns=BINARY, counts=BINARY))
"""split to cluster: int64[k]: the pattern of units with themselves; uint32[f, k]: how many units have their values."""
MODEL: Final = Edge(name="model", fields=DOCUMENT)
"""train to pairs and cluster: `buckets.Weighing`."""
PAIRS: Final = Edge(name="weighed", fields=Fields.required(left=INT32, right=INT32, pattern=INT64, weight=FLOAT64))
"""pairs to cluster: those that count."""
NEW_PAIRS: Final = Edge(name="new_pairs", fields=DOCUMENT)
"""pairs to cluster: by blocking rule, how many pairs no rule before it has; and how many pairs have each weight."""
LABELS: Final = Edge(name="labels", fields=Fields.required(cluster=UINT64, keyed=BOOL, cut=BOOL), each=True)
"""cluster to label: of every row of the shard, its cluster, whether it was compared, and whether not whole."""
