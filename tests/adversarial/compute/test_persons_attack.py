"""An integer solver against tables of rows and persons together, as a recipient has them.

He knows every number published, which cells are there, the number of all rows (it is that of `row_status`), that
counts are whole, and of each cell that is there: it has a row at least, no more persons than rows, and one at least if
every row names somebody; persons of a total are no fewer than those of any of its cells, and no more than those of all.
Where a person has one value of some keys only, he knows that as well: persons add up along these.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import optimize, sparse

from cji_core.format.records import Status
from cji_core.operations.aggregate import Aggregate
from cji_operations.aggregate import run
from cji_operations.aggregate.suppression import Protection, protect
from cji_operations.kernels.group_by import counts, distinct, with_totals

Table = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
THRESHOLD: Final = 11
SHAPES: Final = ((3,), (6,), (2, 3), (3, 4), (4, 5), (2, 2, 3), (3, 3, 3), (2, 2, 2, 2))


def tables(
    rng: np.random.Generator, shape: tuple[int, ...], *, people: int, most: int, unique: tuple[bool, ...]
) -> tuple[Table, Table]:
    """(rows, persons), with totals, of people with 1 to `most` rows, who have one value of each `unique` key."""
    number = rng.integers(1, most + 1, people)
    person = np.repeat(np.arange(people), number)
    keys = []
    for size, once in zip(shape, unique, strict=True):
        weights = rng.dirichlet(np.full(size, 0.5))
        keys.append(rng.choice(size, people, p=weights)[person] if once else rng.choice(size, len(person), p=weights))
    cell = np.ravel_multi_index(keys, shape)
    return with_totals(counts(cell, shape)), distinct(cell, person, np.ones(len(cell), np.bool_), shape)


class Solver:
    """What he knows of a table, as constraints on rows and persons of every cell that is there."""

    def __init__(self, rows: Table, persons: Table, done: Protection, unique: tuple[bool, ...]) -> None:
        self._place = np.flatnonzero(rows.ravel())
        self._of = {int(at): i for i, at in enumerate(self._place)}
        m, total = len(self._place), rows.size - 1
        low, high = np.ones(2 * m), np.full(2 * m, float(rows.ravel()[total]))
        for i, at in enumerate(self._place.tolist()):
            if not done.hidden.ravel()[at] or at == total:
                low[i] = high[i] = rows.ravel()[at]
            if not done.persons.ravel()[at]:
                low[m + i] = high[m + i] = persons.ravel()[at]
        self._bounds, self._entries = optimize.Bounds(low, high), list[tuple[int, int, int]]()
        self._low, self._high, self._m = list[float](), list[float](), m
        for i in range(m):
            self._add({i: 1, m + i: -1}, 0, np.inf)
        for axis, line in _lines(rows.shape):
            parts = [self._of[at] for at in line[:-1] if at in self._of]
            if line[-1] not in self._of:
                continue
            whole = self._of[line[-1]]
            self._add({whole: -1, **dict.fromkeys(parts, 1)}, 0, 0)
            self._add({m + whole: -1, **{m + part: 1 for part in parts}}, 0, 0 if unique[axis] else np.inf)
            for part in parts:
                self._add({m + whole: 1, m + part: -1}, 0, np.inf)

    def _add(self, of: dict[int, int], low: float, high: float) -> None:
        self._entries += [(len(self._low), at, by) for at, by in of.items()]
        self._low.append(low)
        self._high.append(high)

    def ends(self, at: int, *, of_persons: bool) -> tuple[int, int]:
        """The least and the most that a cell can be."""
        row, column, by = zip(*self._entries, strict=True)
        system = sparse.csr_matrix((by, (row, column)), (len(self._low), 2 * self._m))
        found = []
        for sign in (1, -1):
            wanted = np.zeros(2 * self._m)
            wanted[self._of[at] + self._m * of_persons] = sign
            for presolve in (True, False):  # HiGHS takes some of these for infeasible, after its presolve alone
                solved = optimize.milp(
                    wanted,
                    constraints=optimize.LinearConstraint(system, self._low, self._high),
                    integrality=np.ones(2 * self._m),
                    bounds=self._bounds,
                    options={"presolve": presolve},
                )
                if solved.success:
                    break
            assert solved.success, solved.message
            found.append(round(sign * solved.fun))
        return found[0], found[1]


def _lines(shape: tuple[int, ...]) -> Iterator[tuple[int, list[int]]]:
    place = np.arange(np.prod(shape)).reshape(shape)
    for axis in range(len(shape)):
        for line in np.moveaxis(place, axis, -1).reshape(-1, shape[axis]).tolist():
            yield axis, line


def closest(rows: Table, persons: Table, done: Protection, unique: tuple[bool, ...], most: int = 12) -> int:
    """The fewest values that rows or persons of a small cell can have, of some of them; `THRESHOLD` without any."""
    small = np.flatnonzero((rows > 0) & (persons < THRESHOLD))
    solver = Solver(rows, persons, done, unique)
    chosen = small[np.unique(np.linspace(0, len(small) - 1, min(len(small), most)).astype(int))] if len(small) else []
    ends = [solver.ends(int(at), of_persons=which) for at in chosen for which in (False, True)]
    return min((high - low + 1 for low, high in ends), default=THRESHOLD)


def uniques(keys: int) -> list[tuple[bool, ...]]:
    return list(product((False, True), repeat=keys))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_small_cell_can_be_told_from_rows_and_persons(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(shape)
    listed = 0
    cases = [(unique, most) for unique in uniques(len(shape)) for most in (1, 3, 80)]
    for unique, most in [cases[i] for i in rng.choice(len(cases), 6, replace=False)]:
        people = int(rng.choice([40, 120, 400]))
        rows, persons = tables(rng, shape, people=people, most=most, unique=unique)
        done = protect([rows], persons, THRESHOLD, persons=True)
        if not done.only_total:
            listed += 1
            assert closest(rows, persons, done, unique) >= THRESHOLD, (unique, most, people)
    assert listed >= 3, "nothing was attacked"


def test_a_total_of_persons_does_not_tell_its_hidden_cells() -> None:
    """Two cells of one person each beside one of seventy: the total of 72 persons told both."""
    rows = with_totals(np.array([[2, 11, 71], [15, 15, 15]]))
    persons = with_totals(np.array([[1, 1, 70], [15, 15, 15]]))
    done = protect([rows], persons, THRESHOLD, persons=True)
    for unique in uniques(2):
        assert closest(rows, persons, done, unique) >= THRESHOLD


def test_the_solver_finds_persons_where_only_rows_are_protected() -> None:
    rows = with_totals(np.array([[2, 11, 71], [15, 15, 15]]))
    persons = with_totals(np.array([[1, 1, 70], [15, 15, 15]]))
    done = protect([rows], persons, THRESHOLD)
    assert closest(rows, persons, done, (True, True)) < THRESHOLD


@pytest.mark.parametrize(("unique", "most"), [((True, True), 1), ((True, False), 3), ((False, False), 3)])
def test_most_totals_of_persons_stay(unique: tuple[bool, ...], most: int) -> None:
    """Beside a table whose rows alone are protected: no more than these totals can be published."""
    rng = np.random.default_rng(6)
    ours = could = 0
    for _ in range(20):
        rows, persons = tables(rng, (4, 6), people=1500, most=most, unique=unique)
        inner = np.zeros(rows.shape, np.bool_)
        inner[:-1, :-1] = True
        large = ~inner & (persons >= THRESHOLD)
        ours += int((large & ~protect([rows], persons, THRESHOLD, persons=True).persons).sum())
        could += int((large & ~protect([rows], persons, THRESHOLD).hidden).sum())
    assert could > 100
    assert ours >= 0.7 * could, (ours, could)


def test_with_few_rows_nothing_but_their_total_is_listed() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x", "y", "y", "z"] * 4, "p": [f"p{i}" for i in range(16)]})
    found = pa.Table.from_batches(list(run(Aggregate(keys={"a": ()}, person="p"), [batch], lambda *_: None).result))
    assert found.num_rows == 3 + 1  # 16 rows in three cells: one can have 1 to 14
    found = pa.Table.from_batches(
        list(run(Aggregate(keys={"a": ()}, person="p"), [batch.slice(0, 12)], lambda *_: None).result)
    )
    assert found.select(["grouping", "hidden", "rows", "persons"]).to_pylist() == [
        {"grouping": 1, "hidden": False, "rows": 12, "persons": 12}
    ]
    found = pa.Table.from_batches(
        list(run(Aggregate(keys={"a": ()}, person="p"), [batch.slice(0, 10)], lambda *_: None).result)
    )
    assert found["hidden"].to_pylist() == [True]


def test_row_status_does_not_tell_the_unclassifiable() -> None:
    """Their cell is hidden where it is small, so rows without a category or a person are not marked."""
    batch = pa.RecordBatch.from_pydict({
        "a": ["x"] * 40 + ["y"] * 40 + [None] * 3,
        "p": [f"p{i}" for i in range(79)] + [None] * 4,
        "n": ["1"] * 82 + ["many"],
    })  # fmt: skip
    open_ = run(Aggregate(keys={"a": ()}, person="p", sums=("n",), threshold=1), [batch], lambda *_: None)
    assert sorted(open_.status.codes.tolist()) == [601] * 3 + [602] * 4 + [603]
    closed = run(Aggregate(keys={"a": ()}, person="p", sums=("n",)), [batch], lambda *_: None)
    assert closed.status.codes.tolist() == [603]
    assert np.count_nonzero(closed.status.status != Status.OK) == 1
