"""k-anonymity of a de-identified table: rows that are too few to hide among each other lose what identifies them.

Rows that agree in all quasi-identifiers are a class (L. Sweeney, "k-anonymity", 2002; null is a value like any other).
Where quasi-identifiers have hierarchies, each row takes the steps that `generalisation` finds. The quasi-identifiers of
every row that is still in a class of fewer than k rows become null, so that those rows form one class. Where that class
has fewer than k rows itself, the smallest of the other classes joins it, the one that appears first among equals. A
table of fewer than k rows cannot be made k-anonymous; the report shows it.

The part `k_anonymity` has, before and after, the number of classes and of rows for each size of class;
`disclosure_risk` has what `risk` describes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.distinct import classes, codes
from worker.compute.operation import BatchOperation, Outputs
from worker.compute.operations.deidentify import risk
from worker.compute.operations.deidentify.codes import Code
from worker.compute.operations.deidentify.generalisation import LOST, SUPPRESSED, Column, losses, search
from worker.compute.operations.deidentify.outcome import Outcome
from worker.compute.operations.deidentify.outputs import DISCLOSURE_RISK, K_ANONYMITY
from worker.compute.operations.deidentify.transforms import Kernel
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Quasi:
    """A quasi-identifier of n rows under each of its steps.

    own: its values as (int64[n] codes, how many); steps: what each step makes of it; codes: of each step int32[n], the
    row's value in `values`, which are distinct.
    """

    position: int
    own: tuple[Ints, int]
    filled: Bools
    steps: tuple[Outcome, ...]
    codes: tuple[npt.NDArray[np.int32], ...]
    values: tuple[pa.Array, ...]

    @classmethod
    def of(cls, position: int, array: pa.Array, kernels: Sequence[Kernel]) -> Self:
        """The column at this position of the output, and its hierarchy, where it has one."""
        steps = tuple(kernel(array) for kernel in kernels) or (Outcome(array=array),)
        encoded = [pc.dictionary_encode(step.array, null_encoding="encode") for step in steps]
        return cls(
            position=position,
            own=codes(array),
            filled=arrow.present(array),
            steps=steps,
            codes=tuple(arrow.numbers(one.indices) for one in encoded),
            values=tuple(one.dictionary for one in encoded),
        )

    def column(self, first: Ints) -> Column:
        """The column as `search` takes it, of the groups whose first rows are `first` int64[m]."""
        step_codes = np.stack([code[first] for code in self.codes])
        gone = np.stack([~arrow.present(step.array)[first] & self.filled[first] for step in self.steps])
        own = np.unique(self.own[0][first], return_inverse=True)[1]
        return Column(
            codes=step_codes,
            sizes=tuple(max(len(values), 1) for values in self.values),
            loss=losses(step_codes, gone, own),
        )

    def published(self, taken: Ints) -> pa.Array:
        """The values of all rows, each at the step int64[n] that it took; null where that is SUPPRESSED."""
        starts = np.cumsum([0, *(len(values) for values in self.values)])
        at = np.zeros(len(taken), np.int64)
        for step, code in enumerate(self.codes):
            at = np.where(taken == step, starts[step] + code, at)
        return pa.concat_arrays(self.values).take(arrow.from_numpy(at, valid=taken != SUPPRESSED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressing:
    """An operation of scope table around one of scope batch.

    `columns`: positions in its output, and the steps of the hierarchy there, none where there is none; `sensitive`:
    positions too.
    """

    inner: BatchOperation
    columns: tuple[tuple[int, tuple[Kernel, ...]], ...]
    k: int
    sensitive: tuple[int, ...] = ()
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
        """De-identify every batch, generalise, then suppress; see TableOperation."""
        done = [self.inner.apply(batch) for batch in records]
        batches = [one.batch for one in done]
        status = RowStatus.concatenate([one.status for one in done])
        n = len(status.status)
        progress("count", 0)
        quasi = [_Quasi.of(at, self._whole(batches, at), kernels) for at, kernels in self.columns]
        taken, lost = self._search(quasi, n)
        progress("count", 80)
        published = [one.published(step) for one, step in zip(quasi, taken, strict=True)]
        nothing = np.ones(n, np.bool_)
        for array in published:
            nothing &= ~arrow.present(array)
        joining = too_small(classes([codes(array) for array in published], n), nothing, self.k)
        taken = [np.where(joining, SUPPRESSED, step) for step in taken]
        published = [one.published(step) for one, step in zip(quasi, taken, strict=True)]
        for one, step in zip(quasi, taken, strict=True):
            status = self._unfit(status, one, step)
        before = classes([(one.codes[0].astype(np.int64), len(one.values[0])) for one in quasi], n)
        after = classes([codes(array) for array in published], n)
        progress("count", 100)
        return Outputs(
            status=status.found(np.flatnonzero(lost | joining), status=Status.WARNED, code=Code.SMALL_CLASS),
            result=self._result(batches, dict(zip((at for at, _ in self.columns), published, strict=True))),
            parts={
                **self.inner.finish(),
                K_ANONYMITY.name: [_report(before, after)],
                DISCLOSURE_RISK.name: [self._risk(batches, quasi, taken, {"before": before, "after": after})],
            },
        )

    def _search(self, quasi: Sequence[_Quasi], n: int) -> tuple[list[Ints], Bools]:
        """(the step that each row takes, int64[n] for each column; bool[n]: rows that lose all and had something)."""
        group = classes([one.own for one in quasi], n)
        rows = np.bincount(group)
        first = np.zeros(len(rows), np.int64)
        first[group] = np.arange(n)
        steps = search([one.column(first) for one in quasi], rows, self.k)[:, group]
        had = np.zeros(n, np.bool_)
        for one in quasi:
            had |= arrow.present(one.steps[0].array)
        return list(steps), (steps[0] == SUPPRESSED) & had

    def _unfit(self, status: RowStatus, one: _Quasi, taken: Ints) -> RowStatus:
        column = int(self.sources[one.position])
        for step, outcome in enumerate(one.steps):
            for code, rows in outcome.faults:
                status = status.found(rows[taken[rows] == step], status=Status.PARTLY_USED, code=code, column=column)
        return status

    def _risk(
        self,
        batches: Sequence[pa.RecordBatch],
        quasi: Sequence[_Quasi],
        taken: Sequence[Ints],
        stages: Mapping[str, Ints],
    ) -> pa.RecordBatch:
        names = self.output_schema.names
        sensitive = [(names[at], codes(self._whole(batches, at))) for at in self.sensitive]
        found = []
        for stage, together in stages.items():
            found += risk.of_classes(stage, together, self.k)
            for name, values in sensitive:
                found += risk.of_sensitive(stage, together, name, values)
        for one, step in zip(quasi, taken, strict=True):
            loss = one.column(np.arange(len(step))).loss if len(step) else np.zeros((1, 0), np.int32)
            of_row = np.where(step == SUPPRESSED, LOST * one.filled, loss[step, np.arange(len(step))])
            found += risk.of_steps(names[one.position], step, of_row, len(one.steps))
        return risk.batch(found)

    def _whole(self, batches: Sequence[pa.RecordBatch], column: int) -> pa.Array:
        return arrow.concat((batch.column(column) for batch in batches), self.output_schema.types[column])

    def _result(self, batches: Sequence[pa.RecordBatch], published: Mapping[int, pa.Array]) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in batches:
            arrays = [
                published[i].slice(first, batch.num_rows) if i in published else column
                for i, column in enumerate(batch.columns)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
            first += batch.num_rows


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
