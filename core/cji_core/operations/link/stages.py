"""`link` in parts: the stages, and the streams between them.

    count ─▶ unite ─▶ plan ─▶ frequencies ─▶ split ─▶ observe ─▶ train ─▶ pairs ─▶ cluster ─▶ label
    shards   shards   one     shards         shards   planned    one      planned  one        shards

Rules, training, weights, clusters and reports are those of the job on one machine: the stages bring together the rows
of each unit, and then the units that these look at. All that is added up over tasks is whole numbers, and all draws are
hashes of the numbers of units.
"""

from typing import Final

from cji_core.operations.link import edges
from cji_core.operations.link.outputs import PARTS, SIDE
from cji_core.operations.stages.stage import Stage, Stages, Width


def _to_rows() -> tuple[Stage, ...]:
    """From the records to the units of each task."""
    return (
        Stage(
            name="count",
            width=Width.SHARDS,
            records=True,
            sides=(SIDE,),
            writes=(edges.SHARDS, edges.READ, edges.IDS, edges.FACTS),
        ),
        Stage(
            name="unite",
            width=Width.SHARDS,
            reads=("shards", "read"),
            writes=(
                edges.COUNTS,
                edges.FIRSTS,
                edges.MEMBERS,
                edges.CUT,
                edges.TALLIES,
                edges.SLOTS,
                edges.VALUES,
                edges.SAMPLE,
                edges.COLUMNS,
            ),
        ),
        Stage(
            name="plan",
            width=Width.ONE,
            reads=("shards", "counts", "firsts", "tallies", "slots", "sample"),
            writes=(edges.PLAN, edges.RANKS),
            plans=True,
        ),
        Stage(
            name="frequencies",
            width=Width.SHARDS,
            reads=("plan", "values"),
            writes=(edges.FREQUENCIES, edges.SQUARES),
        ),
        Stage(
            name="split",
            width=Width.SHARDS,
            reads=("columns", "plan", "ranks", "frequencies"),
            writes=(edges.TABLE, edges.RANDOM, edges.UNKEYED, edges.OWN, edges.FILLED, edges.MARKED),
        ),
    )


def _to_labels() -> tuple[Stage, ...]:
    """From the units of each task to the records with their cluster."""
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
            reads=("plan", "squares", "filled", "counted", "patterns"),
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
            reads=(
                "plan",
                "ids",
                "firsts",
                "members",
                "marked",
                "cut",
                "unkeyed",
                "model",
                "own",
                "weighed",
                "new_pairs",
            ),
            writes=(edges.LABELS,),
            outputs=tuple(part.name for part in PARTS),
        ),
        Stage(
            name="label",
            width=Width.SHARDS,
            records=True,
            reads=("facts", "labels", "plan"),
            outputs=("result", "row_status"),
        ),
    )


STAGES: Final = Stages(in_order=(*_to_rows(), *_to_labels()))
