"""The end of a linkage: clusters of the weighed pairs, and the reports on pairs and clusters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from cji_core.errors import LIMITS, Limit
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Model
from cji_operations.kernels.average_linkage import Marks
from cji_operations.link.blocking import Counted
from cji_operations.link.cluster_report import ClusterReport
from cji_operations.link.clusters import LEAST, cluster
from cji_operations.link.copies import of_records
from cji_operations.link.false_share import SCORES
from cji_operations.link.report import Report
from cji_operations.link.rows import Rows
from cji_operations.link.score import Pairs, Weights, log2_odds
from cji_operations.link.training import Trained
from cji_operations.link.units import Units
from cji_operations.link.weight_report import OwnWeights

MEMORY: Final = (LIMITS[Limit.LINK_MEMORY].value or 0) << 20
"""Bytes for rows and the pairs that are kept; a job that needs more is refused."""
_PAIR_BYTES: Final = 104  # of a pair that is kept: 24, and while clusters are joined, what stands between them
_ROW_BYTES: Final = 96  # of a row, besides its records: its number in each key, its id, its cluster


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Conclusion:
    """The clusters of all rows, as the lowest row of each: root int64[n]; and all reports."""

    root: Ints
    report: Report
    clusters: ClusterReport
    own: OwnWeights
    weights: Ints

    def parts(self) -> dict[str, Iterator[pa.RecordBatch]]:
        """The outputs besides the records, by name."""
        return self.report.batches() | self.clusters.batches() | self.own.batches(self.weights)


def conclude(
    pairs: Pairs,
    *,
    units: Units,
    marks: Marks | None,
    ids: pa.Array,
    first_of_second: int | None,
    model: Model,
    trained: Trained,
    counted: Sequence[Counted],
    new_pairs: Ints,
    own: OwnWeights,
    weights: Ints,
    parameters: Link,
) -> Conclusion:
    """Of the pairs of units from `least_kept` on and the record ids of all rows.

    Rows from `first_of_second` on are the second table's; `counted` and `new_pairs` are by blocking rule.
    `own` has weighed all units beside themselves, `weights` counts those of all pairs.
    """
    second = None if first_of_second is None else units.first >= first_of_second
    clusters = cluster(pairs, units, second, marks, parameters)
    root = units.roots(clusters.root, clusters.together)
    rows = Rows(ids=ids, first_of_second=first_of_second)
    match = log2_odds(parameters.match)
    return Conclusion(
        root=root,
        clusters=ClusterReport(clusters=clusters, units=units, root=root, rows=rows, least=match),
        report=Report(
            pairs=of_records(pairs.from_weight(log2_odds(parameters.clerical_review_threshold)), units),
            root=root,
            rows=rows,
            weights=Weights(model.comparisons, trained),
            model=model,
            trained=trained,
            blocks=list(zip(model.blocking, counted, strict=True)),
            new_pairs=new_pairs,
            least=match,
            scores=[one for one in (*SCORES, parameters.match) if one >= parameters.clerical_review_threshold],
        ),
        own=own,
        weights=weights,
    )


def least_kept(parameters: Link) -> float:
    """The weight from which a pair is kept: what the report or the clusters look at."""
    return min(log2_odds(parameters.clerical_review_threshold), LEAST)


def exceeds_memory(rows: int, pairs: int, memory: int) -> bool:
    """Whether so many rows and kept pairs need more than `memory` bytes."""
    return rows * _ROW_BYTES + pairs * _PAIR_BYTES > memory
