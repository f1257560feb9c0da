"""`link` in parts: the stages, and the streams between them.

    count ─▶ plan ─▶ frequencies ─▶ split ─▶ observe ─▶ train ─▶ pairs ─▶ cluster ─▶ label
    shards   one     shards         shards   planned    one      planned  one        shards

Rules, training, weights, clusters and reports are those of the job on one machine: the stages bring together the rows
that these look at. All that is added up over tasks is whole numbers, and all draws are hashes of the numbers of rows.
"""

from functools import partial
from typing import Final

from cji_operations.in_parts import InParts, Stage, Width
from cji_operations.link.outputs import BLOCKS, BRIDGES, CLUSTERS, LEVELS, PAIRS, PATTERNS
from cji_operations.link.stages import buckets, count, edges, finish, split
from cji_operations.link.stages.routes import ROWS_OF_TASK
from cji_operations.link.stages.shard import SIDE

__all__ = ["STAGES", "in_parts"]


def in_parts(rows_of_task: int = ROWS_OF_TASK) -> InParts:
    """The stages; a task gets about this number of rows, over all routes."""
    return InParts(stages=(*_to_rows(rows_of_task), *_to_labels()))


def _to_rows(rows_of_task: int) -> tuple[Stage, ...]:
    """From the records to the rows of each task."""
    return (
        Stage(
            name="count",
            width=Width.SHARDS,
            run=count.count,
            records=True,
            sides=(SIDE,),
            writes=(edges.SHARDS, edges.TALLIES, edges.SLOTS, edges.VALUES, edges.COLUMNS, edges.IDS),
        ),
        Stage(
            name="plan",
            width=Width.ONE,
            run=partial(count.plan, rows_of_task=rows_of_task),
            reads=("shards", "tallies", "slots"),
            writes=(edges.PLAN,),
            plans=True,
        ),
        Stage(
            name="frequencies",
            width=Width.SHARDS,
            run=count.frequencies,
            reads=("values",),
            writes=(edges.FREQUENCIES, edges.SQUARES),
        ),
        Stage(
            name="split",
            width=Width.SHARDS,
            run=split.split,
            reads=("columns", "plan", "frequencies"),
            writes=(edges.TABLE, edges.RANDOM),
            outputs=("row_status",),
        ),
    )


def _to_labels() -> tuple[Stage, ...]:
    """From the rows of each task to the records with their cluster."""
    return (
        Stage(
            name="observe",
            width=Width.PLANNED,
            run=buckets.observe,
            reads=("plan", "rows", "random"),
            writes=(edges.BOUND, edges.COUNTED, edges.PATTERNS),
        ),
        Stage(
            name="train",
            width=Width.ONE,
            run=finish.train,
            reads=("plan", "squares", "counted", "patterns"),
            writes=(edges.MODEL,),
        ),
        Stage(
            name="pairs",
            width=Width.PLANNED,
            run=buckets.pairs,
            reads=("model", "bound"),
            writes=(edges.PAIRS, edges.NEW_PAIRS),
        ),
        Stage(
            name="cluster",
            width=Width.ONE,
            run=finish.cluster,
            reads=("plan", "ids", "model", "weighed", "new_pairs"),
            writes=(edges.LABELS,),
            outputs=tuple(part.name for part in (PAIRS, PATTERNS, LEVELS, CLUSTERS, BRIDGES, BLOCKS)),
        ),
        Stage(
            name="label",
            width=Width.SHARDS,
            run=finish.label,
            records=True,
            reads=("labels",),
            outputs=("result",),
        ),
    )


STAGES: Final = in_parts()
