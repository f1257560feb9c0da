"""`link` in parts: the stages, and the streams between them.

    count ─▶ plan ─▶ frequencies ─▶ split ─▶ count_pairs ─▶ limit ─▶ sample ─▶ train ─▶ pairs ─▶ cluster ─▶ label
    shards   one     shards         shards   planned        one      planned   one      planned  one        shards

Rules, training, weights, clusters and reports are those of the job on one machine: the stages bring together the rows
that these look at. All that is added up over tasks is whole numbers, and all draws are hashes of the numbers of rows.
"""

from typing import Final

from worker.compute.in_parts import InParts, Stage, Width
from worker.compute.operations.link.outputs import BLOCKS, BRIDGES, CLUSTERS, LEVELS, PAIRS, PATTERNS
from worker.compute.operations.link.stages import buckets, count, edges, finish, split
from worker.compute.operations.link.stages.shard import SIDE

STAGES: Final = InParts(
    stages=(
        Stage(
            name="count",
            width=Width.SHARDS,
            run=count.count,
            records=True,
            sides=(SIDE,),
            writes=(edges.SHARDS, edges.TALLIES, edges.SLOTS, edges.VALUES),
        ),
        Stage(
            name="plan",
            width=Width.ONE,
            run=count.plan,
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
            records=True,
            sides=(SIDE,),
            reads=("plan", "frequencies"),
            writes=(edges.TABLE, edges.RANDOM, edges.IDS),
            outputs=("row_status",),
        ),
        Stage(
            name="count_pairs",
            width=Width.PLANNED,
            run=buckets.count_pairs,
            reads=("plan", "rows"),
            writes=(edges.COUNTED,),
        ),
        Stage(name="limit", width=Width.ONE, run=buckets.limit, reads=("plan", "counted"), writes=(edges.BLOCKING,)),
        Stage(
            name="sample",
            width=Width.PLANNED,
            run=buckets.sample,
            reads=("plan", "blocking", "rows", "random"),
            writes=(edges.PATTERNS,),
        ),
        Stage(
            name="train",
            width=Width.ONE,
            run=finish.train,
            reads=("plan", "squares", "blocking", "patterns"),
            writes=(edges.MODEL,),
        ),
        Stage(
            name="pairs",
            width=Width.PLANNED,
            run=buckets.pairs,
            reads=("plan", "blocking", "model", "rows"),
            writes=(edges.PAIRS, edges.NEW_PAIRS),
        ),
        Stage(
            name="cluster",
            width=Width.ONE,
            run=finish.cluster,
            reads=("plan", "ids", "blocking", "model", "weighed", "new_pairs"),
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
)
