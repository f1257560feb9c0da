"""An operation that needs one row at a time, in parts: every shard by itself, and a merge where a part is of all rows.

    count    rows of each shard      ── rows ──▶   only where an output has numbers of rows
    apply    the operation on a shard, as on one machine: result, row status, and further outputs, a shard of each
    merge    parts that every shard has one of     one task, which makes one of them

An operation of scope table whose rows do not depend on each other fits as well as one of scope batch.
"""

from dataclasses import dataclass
from typing import Final

from cji_core.format.records.declared import UINT64, UTF8, Fields
from cji_core.operations.declaration import OutputSpec
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge, Stage, Stages, Width

ROWS: Final = Edge(name="rows", fields=Fields.of([("rows", UINT64)]))
COUNT: Final = Stage(name="count", width=Width.SHARDS, records=True, writes=(ROWS,))
"""Rows of each shard, for those who number rows."""
COLUMNS: Final = Edge(name="columns", fields=Fields.of([("column", UTF8)]))
"""The names of the columns of the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByShard:
    """The differences between such operations.

    `parts` are outputs with a shard for each of the records; `same` are those that every shard would make alike, so
    that the first one makes them; `merged` are parts of the whole. Column `row` of the `numbered` outputs is the number
    of a row of the records.
    """

    parts: tuple[OutputSpec, ...] = ()
    same: tuple[OutputSpec, ...] = ()
    merged: tuple[OutputSpec, ...] = ()
    numbered: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()

    @property
    def stages(self) -> Stages:
        """The stages."""
        edges = tuple(Edge(name=part.name, fields=part.schema.declared) for part in self.merged)
        names = tuple(edge.name for edge in edges)
        apply = Stage(
            name="apply",
            width=Width.SHARDS,
            records=True,
            sides=self.sides,
            reads=(ROWS.name,) if self.numbered else (),
            writes=(COLUMNS, *edges) if edges else (),
            outputs=(RESULT_OUTPUT, *(part.name for part in (*self.parts, *self.same))),
        )
        merge = Stage(name="merge", width=Width.ONE, reads=(COLUMNS.name, *names), outputs=names)
        return Stages(in_order=(*((COUNT,) if self.numbered else ()), apply, *((merge,) if edges else ())))
