"""`link` in parts: the stages, and the streams between them.

    count ─▶ unite ─▶ plan ─▶ frequencies ─▶ split ─▶ observe ─▶ train ─▶ pairs ─▶ components
    shards   shards   one     shards         shards   planned    one      planned  one

    components ─▶ gather ─▶ list ─▶ report ─▶ cluster ─▶ order    label
    one           shares    shares  one       shares     shares   shards

A share has the units of a range of numbers, and in `cluster` whole components; how many shares there are is planned.
Rules, training, weights, clusters and reports are those of the job on one machine: the stages bring together the rows
of each unit, and then the units that these look at. All that is added up over tasks is whole numbers, and all draws are
hashes of the numbers of units.
"""

from typing import Final

from cji_core.operations.link import edges
from cji_core.operations.link.outputs import SIDE
from cji_core.operations.stages.stage import Stage, Stages, Width


def _to_rows() -> tuple[Stage, ...]:
    """From the records to the units of each task."""
    return (
        Stage(
            name="count",
            width=Width.SHARDS,
            records=True,
            sides=(SIDE,),
            writes=(edges.SHARDS, edges.READ, edges.FACTS),
        ),
        Stage(
            name="unite",
            width=Width.SHARDS,
            reads=("shards", "read"),
            writes=(
                edges.COUNTS,
                edges.FIRSTS,
                edges.TALLIES,
                edges.SLOTS,
                edges.VALUES,
                edges.SAMPLE,
                edges.COLUMNS,
                edges.MEMBERS,
                edges.NAMED,
            ),
        ),
        Stage(
            name="plan",
            width=Width.ONE,
            reads=("shards", "counts", "firsts", "tallies", "slots", "sample"),
            writes=(edges.PLAN, edges.RANKS),
            plans=True,
        ),
    )


def _to_routes() -> tuple[Stage, ...]:
    """From what is known of all units to their routes and shares."""
    return (
        Stage(
            name="frequencies",
            width=Width.SHARDS,
            reads=("plan", "values"),
            writes=(edges.FREQUENCIES, edges.SQUARES),
        ),
        Stage(
            name="split",
            width=Width.SHARDS,
            reads=("columns", "members", "named", "plan", "ranks", "frequencies"),
            writes=(
                edges.TABLE,
                edges.RANDOM,
                edges.OWN,
                edges.FILLED,
                edges.ROWS,
                edges.MARKED,
                edges.TWINS,
                edges.TOGETHER,
            ),
        ),
    )


def _to_pairs() -> tuple[Stage, ...]:
    """From the units of each task to the pairs that count."""
    return (
        Stage(
            name="observe",
            width=Width.PLANNED,
            reads=("plan", "table", "random"),
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
            reads=("plan", "model", "bound"),
            writes=(edges.WEIGHED, edges.FOREST, edges.NEW_PAIRS),
        ),
    )


def _to_shares() -> tuple[Stage, ...]:
    """From the pairs that count to shares of components."""
    return (
        Stage(
            name="components",
            width=Width.ONE,
            reads=("plan", "twins", "together", "forest"),
            writes=(edges.HOMES, edges.SAME),
        ),
        Stage(
            name="gather",
            width=Width.PLANNED,
            reads=("plan", "rows", "homes", "weighed"),
            writes=(edges.PAIRED, edges.BESIDE),
        ),
        Stage(
            name="list",
            width=Width.PLANNED,
            reads=("plan", "rows", "homes", "marked", "paired", "beside"),
            writes=(
                edges.INSIDE,
                edges.MARKS,
                edges.LINKED,
                edges.APART,
                edges.ACROSS,
                edges.ALONE,
                edges.TALLIED,
                edges.SUMMED,
            ),
        ),
    )


def _to_outputs() -> tuple[Stage, ...]:
    """From the pairs of each share to clusters, reports, and the records with their cluster."""
    return (
        Stage(
            name="report",
            width=Width.ONE,
            reads=("model", "own", "new_pairs", "tallied", "summed"),
            writes=(edges.REPORTED, edges.CODES),
            outputs=("patterns", "levels", "blocks", "weights", "completeness", "thresholds"),
        ),
        Stage(
            name="cluster",
            width=Width.PLANNED,
            reads=("plan", "same", "inside", "marks", "linked", "apart", "across", "reported", "codes"),
            writes=(edges.PAIRS, edges.CLUSTERS, edges.BRIDGES, edges.LABELS),
        ),
        Stage(
            name="order",
            width=Width.PLANNED,
            reads=("of_pairs", "of_clusters", "of_bridges"),
            outputs=("pairs", "clusters", "bridges"),
        ),
        Stage(
            name="label",
            width=Width.SHARDS,
            records=True,
            reads=("facts", "alone", "labels", "plan"),
            outputs=("result", "row_status"),
        ),
    )


STAGES: Final = Stages(in_order=(*_to_rows(), *_to_routes(), *_to_pairs(), *_to_shares(), *_to_outputs()))
