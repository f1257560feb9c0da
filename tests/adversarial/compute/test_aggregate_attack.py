"""An attacker with solvers against suppressed tables: what is published is linear equations about what is not.

He knows every published number, that counts are whole, and that an empty cell is published, so that a hidden one is 1
at least. He asks for the least and the most that each hidden cell can be.
"""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

from worker.compute.kernels.group_by import distinct, with_totals
from worker.compute.operations.aggregate.suppression import hidden

Table = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
THRESHOLD = 11
MOST = 1_000_000
SHAPES = ((7,), (1,), (4, 5), (1, 6), (6, 8), (3, 3, 3), (2, 4, 3), (2, 2, 2, 2))


def random_table(rng: np.random.Generator, shape: tuple[int, ...], *, sparse: bool) -> Table:
    mean = rng.gamma(0.6, 20 if not sparse else 4, size=shape)
    return with_totals(rng.poisson(mean).astype(np.int64))


def equations(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """One row for each line of cells along each axis: the sum of its cells less its total is 0."""
    place = np.arange(np.prod(shape)).reshape(shape)
    rows = []
    for axis in range(len(shape)):
        for line in np.moveaxis(place, axis, -1).reshape(-1, shape[axis]):
            row = np.zeros(place.size)
            row[line[:-1]], row[line[-1]] = 1, -1
            rows.append(row)
    return np.array(rows)


def attack(table: Table, gone: Mask, *, least: int, whole: bool) -> tuple[list[int], list[int]]:
    """The least and the most of every hidden cell."""
    system, known, at = equations(table.shape), ~gone.ravel(), np.flatnonzero(gone.ravel())
    right = -system[:, known] @ table.ravel()[known]
    low, high = list[int](), list[int]()
    for i in range(len(at)):
        wanted = np.zeros(len(at))
        wanted[i] = 1
        for sign, found in ((1, low), (-1, high)):
            solved = optimize.milp(
                sign * wanted,
                constraints=optimize.LinearConstraint(system[:, at], right, right),
                integrality=np.full(len(at), int(whole)),
                bounds=optimize.Bounds(least, MOST),
            )
            assert solved.success, solved.message
            found.append(round(sign * solved.fun))
    return low, high


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["linear", "integer"])
def test_no_hidden_cell_can_be_told_nor_bounded_closely(shape: tuple[int, ...], *, whole: bool) -> None:
    rng = np.random.default_rng(len(shape) * 100 + shape[0])
    seen = 0
    for turn in range(4):
        table = random_table(rng, shape, sparse=turn % 2 == 1)
        gone = hidden([table], table, THRESHOLD)
        low, high = attack(table, gone, least=1, whole=whole)
        assert all(most - lowest >= THRESHOLD - 1 for lowest, most in zip(low, high, strict=True))
        seen += int(gone.sum())
    assert seen, "nothing was hidden, so nothing was attacked"


def test_the_attack_finds_cells_under_primary_suppression_alone() -> None:
    rng = np.random.default_rng(7)
    table = random_table(rng, (6, 8), sparse=False)
    small = (table > 0) & (table < THRESHOLD)
    low, high = attack(table, small, least=1, whole=True)
    assert any(lowest == most for lowest, most in zip(low, high, strict=True))


def test_ones_in_a_ring_leak_once_no_cell_can_be_empty() -> None:
    table = with_totals(np.array([[1, 1, 60], [1, 1, 60], [60, 60, 60]]))
    ring = np.zeros((4, 4), np.bool_)
    ring[:2, :2] = True
    low, high = attack(table, ring, least=1, whole=True)
    assert low == high == [1] * 4
    gone = hidden([table], table, THRESHOLD)
    low, high = attack(table, gone, least=1, whole=True)
    assert min(np.subtract(high, low)) >= THRESHOLD - 1


@pytest.mark.parametrize("shape", [(4, 5), (3, 3, 3)], ids=str)
def test_hidden_sums_are_bounded_at_twice_their_size_or_more(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        rows = random_table(rng, shape, sparse=False)
        inner = tuple(slice(0, -1) for _ in shape)
        money = with_totals(rows[inner] * rng.integers(0, 500, rows[inner].shape))
        gone = hidden([rows, money], rows, THRESHOLD)
        low, high = attack(money, gone, least=0, whole=False)
        assert all(most > lowest for lowest, most in zip(low, high, strict=True))
        primary = ((rows > 0) & (rows < THRESHOLD))[gone]
        own = money[gone]
        assert all(most >= 2 * value for most, value, first in zip(high, own, primary, strict=True) if first)


def test_few_persons_with_many_rows_are_hidden_in_wide_bounds() -> None:
    cell = np.repeat([0, 1, 2, 3, 4, 5], [200, 40, 300, 90, 60, 70])
    person = np.arange(len(cell))
    person[cell == 0] = np.arange(200) % 3
    rows = with_totals(np.bincount(cell).reshape(2, 3))
    persons = distinct(cell, person, np.ones(len(cell), np.bool_), (2, 3))
    assert persons[0, 0] == 3
    gone = hidden([rows], persons, THRESHOLD)
    assert gone[0, 0]
    low, high = attack(rows, gone, least=1, whole=True)
    assert high[0] - low[0] >= 200


def test_persons_do_not_add_up_so_only_inequalities_bound_them() -> None:
    """The most that a solver has: a total is no less than any of its cells and no more than their sum."""
    rng = np.random.default_rng(11)
    for _ in range(6):
        cell = rng.choice(20, size=400, p=rng.dirichlet(np.full(20, 0.6)))
        person = rng.integers(0, 150, 400)
        persons = distinct(cell, person, np.ones(400, np.bool_), (4, 5))
        rows = with_totals(np.bincount(cell, minlength=20).reshape(4, 5))
        gone = hidden([rows], persons, THRESHOLD)
        system = equations(persons.shape)
        above = np.array([(row == 1) * -1.0 - (row == -1) * -1.0 for row in system])  # total <= sum
        single = []
        for row in system:
            for part in np.flatnonzero(row == 1):
                single.append(np.zeros(persons.size))
                single[-1][part], single[-1][np.flatnonzero(row == -1)] = 1, -1  # cell <= total
        limits, at = np.vstack((above, *single)), np.flatnonzero(gone.ravel())
        right = -limits[:, ~gone.ravel()] @ persons[~gone]
        for i in range(len(at)):
            wanted = np.eye(len(at))[i]
            ends = [
                optimize.linprog(s * wanted, A_ub=limits[:, at], b_ub=right, bounds=(1, MOST)).fun * s for s in (1, -1)
            ]
            assert ends[1] - ends[0] >= 1
