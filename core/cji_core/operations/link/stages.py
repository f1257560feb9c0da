"""`link` in parts: the stages, and the streams between them.

    count ─▶ plan ─▶ frequencies ─▶ split ─▶ observe ─▶ train ─▶ pairs ─▶ cluster ─▶ label
    shards   one     shards         shards   planned    one      planned  one        shards

Rules, training, weights, clusters and reports are those of the job on one machine: the stages bring together the rows
that these look at. All that is added up over tasks is whole numbers, and all draws are hashes of the numbers of rows.
"""

from typing import Final

from cji_core.operations.link import edges
from cji_core.operations.link.outputs import PARTS, SIDE
from cji_core.operations.stages.stage import Stage, Stages, Width


def _to_rows() -> tuple[Stage, ...]:
    """From the records to the rows of each task."""
    return (
        Stage(
            name="count",
            width=Width.SHARDS,
            records=True,
            sides=(SIDE,),
            writes=(edges.SHARDS, edges.TALLIES, edges.SLOTS, edges.VALUES, edges.COLUMNS, edges.IDS),
        ),
        Stage(
            name="plan",
            width=Width.ONE,
            reads=("shards", "tallies", "slots"),
            writes=(edges.PLAN,),
            plans=True,
        ),
        Stage(
            name="frequencies",
            width=Width.SHARDS,
            reads=("values",),
            writes=(edges.FREQUENCIES, edges.SQUARES),
        ),
        Stage(
            name="split",
            width=Width.SHARDS,
            reads=("columns", "plan", "frequencies"),
            writes=(edges.TABLE, edges.RANDOM, edges.OWN),
            outputs=("row_status",),
        ),
    )


def _to_labels() -> tuple[Stage, ...]:
    """From the rows of each task to the records with their cluster."""
    return (
        Stage(
            name="observe",
            width=Width.PLANNED,
            reads=("plan", "rows", "random"),
            writes=(edges.BOUND, edges.COUNTED, edges.PATTERNS),
        ),
        Stage(
            name="train",
            width=Width.ONE,
            reads=("plan", "squares", "counted", "patterns"),
            writes=(edges.MODEL,),
        ),
        Stage(
            name="pairs",
            width=Width.PLANNED,
            reads=("model", "bound"),
            writes=(edges.PAIRS, edges.NEW_PAIRS),
        ),
        Stage(
            name="cluster",
            width=Width.ONE,
            reads=("plan", "ids", "model", "own", "weighed", "new_pairs"),
            writes=(edges.LABELS,),
            outputs=tuple(part.name for part in PARTS),
        ),
        Stage(
            name="label",
            width=Width.SHARDS,
            records=True,
            reads=("labels",),
            outputs=("result",),
        ),
    )


STAGES: Final = Stages(in_order=(*_to_rows(), *_to_labels()))
