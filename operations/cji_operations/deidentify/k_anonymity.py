"""k-anonymity of a de-identified table: persons who are too few to hide among each other lose what identifies them.

Rows that agree in all quasi-identifiers are a class (L. Sweeney, "k-anonymity", 2002; null is a value like any other).
It counts the persons behind its rows, see `people`. Where quasi-identifiers have hierarchies, each row takes the steps
that `generalisation` finds. The quasi-identifiers of every row that is still in a class of fewer than k persons become
null, so that those rows form one class. Where that class has fewer than k persons itself, the smallest of the other
classes joins it, the one that appears first among equals. A table of fewer than k persons cannot be made k-anonymous;
the report shows it. Rows that name no person are of that class always.

Where something that identifies a person goes out (`links`: a token of the person, say), an attacker sees a person's set
of rows, and a class is of persons whose sets are equal. Of those who lose their quasi-identifiers, persons whose number
of rows too few others have lose those columns too, so that nothing shows which rows are of one person.

The part `k_anonymity` has, before and after, the number of classes and of rows for each size of class;
`disclosure_risk` has what `risk` describes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.deidentify.declaration import DISCLOSURE_RISK, K_ANONYMITY, Code
from cji_operations.deidentify import risk
from cji_operations.deidentify.generalisation import LOST, SUPPRESSED, Column, losses, search
from cji_operations.deidentify.outcome import Outcome
from cji_operations.deidentify.people import People, Persons, Rows, named, weighted
from cji_operations.deidentify.transforms import Kernel
from cji_operations.kernels.distinct import classes, codes, groups
from cji_operations.operation import BatchOperation, Outputs
from cji_operations.progress import ProgressCallback


def too_small(together: Ints, people: People, nothing: Bools, k: int) -> Bools:
    """bool[m]: groups that are not in a class of k, and are of one class together with those of `nothing`.

    `together` is the class of each group, 0 to c - 1; `nothing` marks groups that belong to that one class anyway.
    """
    sizes = people.sizes(together)
    empty = np.zeros(len(sizes), np.bool_)
    empty[together[nothing]] = True
    pooled = (sizes < k) | empty
    if pooled.any() and not pooled.all() and people.number(pooled[together]) < k:
        first = np.full(len(sizes), len(together))
        np.minimum.at(first, together, np.arange(len(together)))
        others = np.flatnonzero(~pooled)
        pooled[others[np.lexsort((first[others], sizes[others]))[0]]] = True
    return pooled[together]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Quasi:
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decided:
    """The losses of m groups of rows.

    taken int64[m]: the step that each group takes of each quasi-identifier; gone bool[m]: it takes none of any, because
    its class is too small; unlinked bool[m]: it loses `links` too. parts: the reports.
    """

    taken: tuple[Ints, ...]
    gone: Bools
    unlinked: Bools
    parts: Mapping[str, pa.RecordBatch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressing:
    """An operation of scope table around one of scope batch.

    `columns`: positions in its output, and the steps of the hierarchy there, none where there is none; `sensitive` and
    `links`: positions too, the latter of columns that show which rows are of one person. `person`: the position in its
    input of the column that names the person of a row; None: each row is a person.
    """

    inner: BatchOperation
    columns: tuple[tuple[int, tuple[Kernel, ...]], ...]
    k: int
    sensitive: tuple[int, ...] = ()
    person: int | None = None
    links: tuple[int, ...] = ()
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
        progress("count", 0)
        values = self.values(batches)
        persons = self.persons(records)
        first, which = groups([codes(array) for array in (*values, *persons)], len(status.status))
        of_group = arrow.from_numpy(first)
        own = [array.take(of_group) for array in values]
        quasi = self.quasi(own)
        people = self.people([array.take(of_group) for array in persons], np.bincount(which, minlength=len(first)))
        decided = self.decide(quasi, own[len(quasi) :], people)
        progress("count", 100)
        return Outputs(
            status=self.judged(status, quasi, people.missing, decided, which),
            result=self.published(batches, quasi, decided, which),
            parts={**self.inner.finish(), **{name: [part] for name, part in decided.parts.items()}},
        )

    @property
    def positions(self) -> tuple[int, ...]:
        """The columns of its output that `values` has."""
        return (*(at for at, _ in self.columns), *self.sensitive)

    def values(self, batches: Sequence[pa.RecordBatch]) -> list[pa.Array]:
        """The quasi-identifiers of all rows, then their sensitive columns."""
        return [self._whole(batches, at) for at in self.positions]

    def quasi(self, own: Sequence[pa.Array]) -> list[Quasi]:
        """The quasi-identifiers of these values, of groups or of rows."""
        return [Quasi.of(at, array, kernels) for (at, kernels), array in zip(self.columns, own, strict=False)]

    def persons(self, records: Sequence[pa.RecordBatch]) -> list[pa.Array]:
        """The person of all rows of the input, `binary`; nothing where each row is one."""
        if self.person is None:
            return []
        columns = [batch.column(self.person) for batch in records]
        return [named(columns, columns[0].type if columns else pa.binary())]

    def people(self, persons: Sequence[pa.Array], rows: Ints) -> People:
        """The persons behind groups of `rows` int64[m]."""
        return Persons.of(persons[0], rows, linked=bool(self.links)) if persons else Rows(rows=rows)

    def decide(self, quasi: Sequence[Quasi], sensitive: Sequence[pa.Array], people: People) -> "Decided":
        """The losses of m groups, in the order of their first rows."""
        m = len(people.rows)
        taken, lost = self._search(quasi, people)
        published = [one.published(step) for one, step in zip(quasi, taken, strict=True)]
        nothing = np.ones(m, np.bool_)
        for array in published:
            nothing &= ~arrow.present(array)
        together = people.alike(classes([codes(array) for array in published], m))
        pooled = too_small(together, people, people.missing if people.linked else nothing, self.k)
        taken = [np.where(pooled & ~nothing, SUPPRESSED, step) for step in taken]
        published = [one.published(step) for one, step in zip(quasi, taken, strict=True)]
        unlinked = people.unlinked(pooled, self.k)
        before = classes([(one.codes[0].astype(np.int64), len(one.values[0])) for one in quasi], m)
        after = people.alike(classes([codes(array) for array in published], m))
        stages = {
            "before": people.alike(before),
            "after": np.unique(np.where(unlinked, -1, after), return_inverse=True)[1],
        }
        return Decided(
            taken=tuple(taken),
            gone=(lost | pooled & ~nothing) & ~people.missing,
            unlinked=unlinked,
            parts={
                K_ANONYMITY.name: _report(stages, people),
                DISCLOSURE_RISK.name: self._risk(sensitive, quasi, taken, people, stages),
            },
        )

    def judged(
        self, status: RowStatus, quasi: Sequence[Quasi], missing: Bools, decided: "Decided", which: Ints
    ) -> RowStatus:
        """`status`, and the decision on the groups int64[n] of its rows; those of `missing` name no person."""
        for one, step in zip(quasi, decided.taken, strict=True):
            column = int(self.sources[one.position])
            for number, outcome in enumerate(one.steps):
                for code, at in outcome.faults:
                    unfit = np.zeros(len(step), np.bool_)
                    unfit[at[step[at] == number]] = True
                    rows = np.flatnonzero(unfit[which])
                    status = status.found(rows, status=Status.PARTLY_USED, code=code, column=column)
        for code, of_group in (
            (Code.SMALL_CLASS, decided.gone),
            (Code.NO_PERSON, missing),
            (Code.UNLINKED, decided.unlinked & ~missing),
        ):
            status = status.found(np.flatnonzero(of_group[which]), status=Status.WARNED, code=code)
        return status

    def published(
        self, batches: Sequence[pa.RecordBatch], quasi: Sequence[Quasi], decided: "Decided", which: Ints
    ) -> Iterator[pa.RecordBatch]:
        """The batches with what is left of their columns; `which` int64[n] are the groups of their rows."""
        of_row = arrow.from_numpy(which)
        left = {one.position: one.published(step).take(of_row) for one, step in zip(quasi, decided.taken, strict=True)}
        first = 0
        for batch in batches:
            arrays = [
                left[i].slice(first, batch.num_rows) if i in left else column for i, column in enumerate(batch.columns)
            ]
            linked = ~decided.unlinked[which[first : first + batch.num_rows]]
            if not linked.all():
                at = arrow.from_numpy(np.arange(batch.num_rows), valid=linked)
                for i in self.links:
                    arrays[i] = arrays[i].take(at)  # a copy, so that no token is left under a null
            yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
            first += batch.num_rows

    def _search(self, quasi: Sequence[Quasi], people: People) -> tuple[list[Ints], Bools]:
        """(the step that each group takes, int64[m] for each column; bool[m]: it loses all and had something)."""
        m = len(people.rows)
        owners = [(people.person, people.different)] if isinstance(people, Persons) else []
        group = classes([*owners, *(one.own for one in quasi)], m)
        first = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
        first[group] = np.arange(m)
        steps = search([one.column(first) for one in quasi], people.merged(group), self.k)[:, group]
        had = np.zeros(m, np.bool_)
        for one in quasi:
            had |= arrow.present(one.steps[0].array)
        return list(steps), (steps[0] == SUPPRESSED) & had

    def _risk(
        self,
        sensitive: Sequence[pa.Array],
        quasi: Sequence[Quasi],
        taken: Sequence[Ints],
        people: People,
        stages: Mapping[str, Ints],
    ) -> pa.RecordBatch:
        names = self.output_schema.names
        coded = [(names[at], codes(array)) for at, array in zip(self.sensitive, sensitive, strict=True)]
        found = []
        for stage, together in stages.items():
            found += risk.of_classes(stage, together, people, self.k)
            for name, (values, _) in coded:
                found += risk.of_sensitive(stage, together, people, name, values)
        for one, step in zip(quasi, taken, strict=True):
            loss = one.column(np.arange(len(step))).loss if len(step) else np.zeros((1, 0), np.int32)
            of_group = np.where(step == SUPPRESSED, LOST * one.filled, loss[step, np.arange(len(step))])
            found += risk.of_steps(names[one.position], step, of_group, people.rows, len(one.steps))
        return risk.batch(found)

    def _whole(self, batches: Sequence[pa.RecordBatch], column: int) -> pa.Array:
        return arrow.concat((batch.column(column) for batch in batches), self.output_schema.types[column])


def _report(stages: Mapping[str, Ints], people: People) -> pa.RecordBatch:
    names: list[str] = []
    columns: list[tuple[Ints, ...]] = []
    for stage, together in stages.items():
        of_class, rows = people.sizes(together), weighted(together, people.rows)
        size, which, count = np.unique(of_class, return_inverse=True, return_counts=True)
        names.extend([stage] * len(size))
        columns.append((size, count, weighted(which, rows)))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(names, pa.utf8()),
            *(arrow.from_numpy(np.concatenate(one), pa.uint64()) for one in zip(*columns, strict=True)),
        ],
        schema=K_ANONYMITY.schema.arrow,
    )
