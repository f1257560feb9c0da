"""The streams between the stages of `link`.

Columns differ from job to job and schemas of edges do not: a piece of a table is a batch of one row for each column,
with its numbers and bytes packed. Small nested values are one JSON document in a batch of one row.
"""

from typing import Final

from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, INT8, INT64, UINT16, UINT32, UINT64, Field, Fields
from cji_core.operations.link import outputs
from cji_core.operations.stages.stage import Edge

DOCUMENT: Final = Fields.required(document=BINARY)
_ARRAYS: Final = Fields.required(data=BINARY)
_TABLE: Final = Fields.required(route=UINT16, column=UINT16, codes=BINARY, lengths=BINARY, values=BINARY, counts=BINARY)
_PAIR: Final = Fields.required(left=UINT32, right=UINT32)
_WEIGHED: Final = Fields.required(left=UINT32, right=UINT32, pattern=INT64, weight=FLOAT64)
_NAMES: Final = Fields((Field("row", UINT32, nullable=False), Field("id", BINARY)))
_MARKS: Final = Fields.required(unit=UINT32, column=UINT16, value=UINT64)
_VALUES: Final = Fields.required(column=UINT16, value=UINT64, other=UINT64)
_LABELS: Final = Fields.required(row=UINT32, cluster=UINT64, keyed=BOOL, cut=BOOL)
"""Of a row of a shard: its cluster, whether it was compared, and whether not whole."""
_ROWS: Final = Fields(
    (
        *(Field(name, UINT32, nullable=False) for name in ("unit", "row", "record", "twin")),
        Field("keyed", BOOL, nullable=False),
        Field("cut", BOOL, nullable=False),
        Field("id", BINARY),
    )
)
"""A row: its unit, the first row of its record, a unit that is equal to its own, or that one; its id, and as labels."""

SHARDS: Final = Edge(name="shards", fields=DOCUMENT)
"""count to unite and plan: `count.Shard`."""
READ: Final = Edge(name="read", fields=_TABLE, each=True)
"""count to unite: the rows of each unit to one task, with their record ids."""
FACTS: Final = Edge(name="facts", fields=_ARRAYS, aligned=True)
"""count to label: `read.RowFacts`."""
COUNTS: Final = Edge(name="counts", fields=DOCUMENT)
"""unite to plan: `unite.Counts`."""
FIRSTS: Final = Edge(name="firsts", fields=Fields.required(row=UINT32))
"""unite to plan: the first row of each unit."""
MEMBERS: Final = Edge(name="members", fields=_ARRAYS, aligned=True)
"""unite to split: `units.Units`, and rows of records with more different rows than are looked at."""
NAMED: Final = Edge(name="named", fields=_NAMES, aligned=True)
"""unite to split: the record id of each of its rows."""
ROWS: Final = Edge(name="rows", fields=_ROWS, each=True)
"""split to gather and list: every row to the share of its unit."""
MARKED: Final = Edge(name="marked", fields=_MARKS, each=True)
"""split to list: what keeps records apart, see `marks`, to the share of the unit."""
TWINS: Final = Edge(name="twins", fields=_PAIR)
"""split to components: units that stand for several records, and a unit that is equal to each."""
TOGETHER: Final = Edge(name="together", fields=_VALUES)
"""split to components: values that one unit has together, and each source with itself."""
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
TABLE: Final = Edge(name="table", fields=_TABLE, each=True)
"""split to observe: units by route."""
RANDOM: Final = Edge(name="random", fields=_TABLE, each=True)
"""split to observe: the units of random pairs."""
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
"""split to report: int64[k]: the pattern of units with themselves; uint32[f, k]: how many units have their values."""
MODEL: Final = Edge(name="model", fields=DOCUMENT)
"""train to pairs and report: `buckets.Weighing`."""
WEIGHED: Final = Edge(name="weighed", fields=_WEIGHED, each=True)
"""pairs to gather: those that count, to the share of the right unit."""
FOREST: Final = Edge(name="forest", fields=_PAIR)
"""pairs to components: pairs of units with the same components as the matches of this task, as few as there can be."""
HOMES: Final = Edge(name="homes", fields=Fields.required(unit=UINT32, component=UINT32, share=UINT16), each=True)
"""components to gather and list: to the share of each unit that has a match, its component, and the share of that."""
SAME: Final = Edge(name="same", fields=_VALUES)
"""components to cluster: the value that stands for each value that some unit has together with others."""
PAIRED: Final = Edge(
    name="paired",
    fields=Fields.required(
        left=UINT32, right=UINT32, pattern=INT64, weight=FLOAT64, component=UINT32, copies=UINT32, own=INT8
    ),
    each=True,
)
"""gather to list: a pair to the share of its left unit, with the component of the right one, and if it is listed, how
many records that has; `own`: it is equal to the left one."""
BESIDE: Final = Edge(name="beside", fields=_NAMES, each=True)
"""gather to list: the records of the right unit of each listed pair, one pair after the other."""
INSIDE: Final = Edge(name="inside", fields=_ROWS, each=True)
"""list to cluster: the rows of all units of a component to its share."""
MARKS: Final = Edge(name="marks", fields=_MARKS, each=True)
"""list to cluster: as in `MARKED`."""
LINKED: Final = Edge(name="linked", fields=_WEIGHED, each=True)
"""list to cluster: the pairs of units of one component."""
APART: Final = Edge(
    name="apart", fields=Fields.required(pattern=INT64, weight=FLOAT64, left=UINT32, right=UINT32), aligned=True
)
"""list to cluster: listed pairs of units of two components, and how many records each has."""
ACROSS: Final = Edge(name="across", fields=_NAMES, aligned=True)
"""list to cluster: the records of the left unit of each such pair, then those of the right one."""
ALONE: Final = Edge(name="alone", fields=_LABELS, each=True)
"""list to label: the rows of units without a match, to their shard."""
TALLIED: Final = Edge(name="tallied", fields=Fields.required(pattern=INT64, pairs=INT64, fewer=INT64))
"""list to report: listed pairs of each pattern; and how many if the job lists fewer, see `copies`."""
SUMMED: Final = Edge(name="summed", fields=DOCUMENT)
"""list to report: `shares.Summed`."""
REPORTED: Final = Edge(name="reported", fields=DOCUMENT)
"""report to cluster: `finish.Reported`."""
CODES: Final = Edge(name="codes", fields=Fields.required(pattern=INT64, weight=FLOAT64))
"""report to cluster: all patterns, ascending, and the weight of each without frequencies."""
PAIRS: Final = Edge(name="of_pairs", fields=outputs.PAIRS.schema.declared, each=True)
"""cluster to order: the output, by the left row."""
CLUSTERS: Final = Edge(name="of_clusters", fields=outputs.CLUSTERS.schema.declared, each=True)
"""cluster to order: the output, by the first row."""
BRIDGES: Final = Edge(name="of_bridges", fields=outputs.BRIDGES.schema.declared, each=True)
"""cluster to order: the output, by weight."""
NEW_PAIRS: Final = Edge(name="new_pairs", fields=DOCUMENT)
"""pairs to report: by blocking rule, how many pairs no rule before it has; and how many pairs have each weight."""
LABELS: Final = Edge(name="labels", fields=_LABELS, each=True)
"""cluster to label: the other rows, to their shard."""
