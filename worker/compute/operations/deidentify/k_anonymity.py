"""k-anonymity of a de-identified table: rows that are too few to hide among each other lose their quasi-identifiers.

Rows that agree in all quasi-identifiers are a class (L. Sweeney, "k-anonymity", 2002; null is a value like any other).
The quasi-identifiers of every class of fewer than k rows become null, so that those rows form one class. Where that
class has fewer than k rows itself, the smallest of the other classes joins it, the one that appears first among equals.
A table of fewer than k rows cannot be made k-anonymous; the report shows it.

The part `k_anonymity` has, before and after, the number of classes and of rows for each size of class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.distinct import classes, codes
from worker.compute.operation import BatchOperation, Outputs
from worker.compute.operations.deidentify.codes import Code
from worker.compute.operations.deidentify.outputs import K_ANONYMITY
from worker.progress import ProgressCallback
from worker.records import RowStatus, Status, arrow


def too_small(together: Ints, nothing: Bools, k: int) -> Bools:
    """bool[n]: rows whose quasi-identifiers become null.

    `together` is the class of each row, 0 to c - 1; `nothing` marks rows whose quasi-identifiers are all null already.
    """
    sizes = np.bincount(together)
    empty = np.zeros(len(sizes), np.bool_)
    empty[together[nothing]] = True
    pooled = (sizes < k) | empty
    n = int(sizes[pooled].sum())
    if 0 < n < k and not pooled.all():
        first = np.full(len(sizes), len(together))
        np.minimum.at(first, together, np.arange(len(together)))
        others = np.flatnonzero(~pooled)
        pooled[others[np.lexsort((first[others], sizes[others]))[0]]] = True
    suppressed: Bools = (pooled & ~empty)[together]
    return suppressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressing:
    """An operation of scope table around one of scope batch; `columns` are positions in its output."""

    inner: BatchOperation
    columns: tuple[int, ...]
    k: int
    keeps_rows: bool = True

    @property
    def output_schema(self) -> pa.Schema:
        """That of the operation inside."""
        return self.inner.output_schema

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Those of the operation inside."""
        return self.inner.sources

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """De-identify every batch, then suppress; see TableOperation."""
        done = [self.inner.apply(batch) for batch in records]
        batches, starts = [one.batch for one in done], np.cumsum([0, *(one.batch.num_rows for one in done)])
        n = int(starts[-1])
        progress("count", 0)
        columns = [codes(_whole(batches, self.output_schema, i)) for i in self.columns]
        nothing = np.ones(n, np.bool_)
        for i in self.columns:
            nothing &= ~arrow.present(_whole(batches, self.output_schema, i))
        before = classes(columns, n)
        suppressed = too_small(before, nothing, self.k)
        after = np.where(suppressed | nothing, before.max(initial=0) + 1, before)
        status = RowStatus.concatenate([one.status for one in done])
        progress("count", 100)
        return Outputs(
            status=status.found(np.flatnonzero(suppressed), status=Status.WARNED, code=Code.SMALL_CLASS),
            result=(
                self._without(batch, suppressed[first : first + batch.num_rows])
                for batch, first in zip(batches, starts.tolist(), strict=False)
            ),
            parts={**self.inner.finish(), K_ANONYMITY.name: [_report(before, after)]},
        )

    def _without(self, batch: pa.RecordBatch, suppressed: Bools) -> pa.RecordBatch:
        if not suppressed.any():
            return batch
        mask = arrow.from_numpy(suppressed)
        arrays = [
            pc.if_else(mask, pa.scalar(None, column.type), column) if i in self.columns else column
            for i, column in enumerate(batch.columns)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _whole(batches: Sequence[pa.RecordBatch], schema: pa.Schema, column: int) -> pa.Array:
    return arrow.concat((batch.column(column) for batch in batches), schema.types[column])


def _report(before: Ints, after: Ints) -> pa.RecordBatch:
    stages: list[str] = []
    sizes: list[Ints] = []
    counts: list[Ints] = []
    for stage, together in (("before", before), ("after", after)):
        size, count = np.unique(np.bincount(together)[np.unique(together)], return_counts=True)
        stages.extend([stage] * len(size))
        sizes.append(size)
        counts.append(count)
    size, count = np.concatenate(sizes), np.concatenate(counts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(stages, pa.utf8()),
            *(arrow.from_numpy(one, pa.uint64()) for one in (size, count, size * count)),
        ],
        schema=K_ANONYMITY.schema.arrow,
    )
