"""An attacker with solvers against suppressed tables: what is published is linear equations about what is not.

He knows every published number, that counts are whole, and that an empty cell is published, so that a hidden one is 1
at least. He asks for the least and the most that each hidden cell can be.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import optimize

from cji_core.operations.aggregate import Aggregate, Dominance
from cji_operations.aggregate import run
from cji_operations.aggregate.suppression import protect
from cji_operations.kernels.group_by import distinct, with_totals

Table = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
THRESHOLD = 11
MOST = 1_000_000
SHAPES = ((7,), (1,), (4, 5), (1, 6), (6, 8), (3, 3, 3), (2, 4, 3), (2, 2, 2, 2), (4, 5, 3), (3, 2, 3, 2))


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


def attack(table: Table, gone: Mask, *, least: int, whole: bool, total: bool = False) -> tuple[list[int], list[int]]:
    """The least and the most of every hidden cell; with `total`, he knows that of all."""
    if total and gone.ravel()[-1]:
        gone = gone.copy()
        gone.ravel()[-1] = False
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


def assert_wide(table: Table, gone: Mask, low: list[int], high: list[int]) -> None:
    """A small number can be any of `THRESHOLD` values at least, one that only hides others two."""
    for value, lowest, most in zip(table[gone].tolist()[: len(low)], low, high, strict=True):
        assert most - lowest >= (THRESHOLD - 1 if value < THRESHOLD else 1)
        assert lowest <= value <= most


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["linear", "integer"])
def test_no_hidden_cell_can_be_told_nor_bounded_closely(shape: tuple[int, ...], *, whole: bool) -> None:
    rng = np.random.default_rng(len(shape) * 100 + shape[0])
    seen = 0
    for turn in range(4 if np.prod(shape) < 36 else 2):
        table = random_table(rng, shape, sparse=turn % 2 == 1)
        done = protect([table], table, THRESHOLD)
        gone = done.hidden
        if done.only_total:  # no cell is listed, so each can be any number up to the total
            seen += 1
            continue
        low, high = attack(table, gone, least=1, whole=whole, total=True)
        assert_wide(table, gone, low, high)
        seen += int(gone.sum())
    assert seen, "nothing was hidden, so nothing was attacked"


KEYS = ("SEX", "RAC", "ETN", "EYE")


@pytest.mark.parametrize("keys", [3, 4])
def test_no_number_of_a_published_table_can_be_bounded_closely(keys: int) -> None:
    """The attacker has what a recipient has: rows of `aggregate_cells/1`, of which he knows nothing but the schema."""
    rng = np.random.default_rng(keys)
    columns = {name: rng.choice(list("ABC"[: 3 if keys == 3 else 2]), 900).tolist() for name in KEYS[:keys]}
    for name in KEYS[: keys - 1]:  # uneven, so that some cells are small
        columns[name] = ["A" if rng.random() < 0.5 else value for value in columns[name]]
    batch = pa.RecordBatch.from_pydict(columns)
    outputs = run(Aggregate(keys=dict.fromkeys(columns, ("A", "B", "C"))), [batch], lambda *_: None)
    cells = pa.Table.from_batches(list(outputs.result)).to_pylist()
    table, gone = np.zeros((5,) * keys, np.int64), np.zeros((5,) * keys, np.bool_)
    for cell in cells:
        place = []
        for i in range(keys):
            value = cell[f"key_{i + 1}"]
            place.append(4 if cell["grouping"] >> i & 1 else 3 if value is None else "ABC".index(value.decode()))
        gone[tuple(place)] = cell["hidden"]
        table[tuple(place)] = 0 if cell["hidden"] else cell["rows"]
    truth = np.zeros((4,) * keys, np.int64)
    for row in zip(*columns.values(), strict=True):
        truth[tuple("ABC".index(value) for value in row)] += 1
    truth = with_totals(truth)
    assert np.array_equal(table[~gone], truth[~gone])
    assert 4 < gone.sum() < 120
    low, high = attack(table, gone, least=1, whole=True)
    assert_wide(truth, gone, low, high)


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
    gone = protect([table], table, THRESHOLD).hidden
    low, high = attack(table, gone, least=1, whole=True)
    assert min(np.subtract(high, low)) >= THRESHOLD - 1


@pytest.mark.parametrize("shape", [(4, 5), (3, 3, 3)], ids=str)
def test_hidden_sums_are_bounded_at_twice_their_size_or_more(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        rows = random_table(rng, shape, sparse=False)
        inner = tuple(slice(0, -1) for _ in shape)
        money = with_totals(rows[inner] * rng.integers(0, 500, rows[inner].shape))
        gone = protect([rows, money], rows, THRESHOLD).hidden
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
    gone = protect([rows], persons, THRESHOLD, persons=True).hidden
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
        gone = protect([rows], persons, THRESHOLD, persons=True).hidden
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


def test_a_dominated_sum_is_bounded_at_twice_its_size_or_more() -> None:
    rng = np.random.default_rng(12)
    for _ in range(4):
        rows = {"a": rng.choice(list("wxyz"), 400).tolist(), "b": rng.choice(list("pqr"), 400).tolist()}
        amounts = rng.integers(1, 20, 400)
        rich = rng.integers(0, 400, 2)
        amounts[rich] = 5000
        batch = pa.RecordBatch.from_pydict({**rows, "n": [str(amount) for amount in amounts]})
        parameters = Aggregate(keys={"a": (), "b": ()}, sums=("n",), threshold=1, dominance=Dominance(percent=75))
        cells = pa.Table.from_batches(list(run(parameters, [batch], lambda *_: None).result)).to_pylist()
        shape = (5, 4)
        places = {(a, b): (i, j) for i, a in enumerate("wxyz") for j, b in enumerate("pqr")}
        gone, money = np.zeros(shape, np.bool_), np.zeros((4, 3), np.int64)
        for a, b, amount in zip(rows["a"], rows["b"], amounts.tolist(), strict=True):
            money[places[a, b]] += amount
        table = with_totals(money)
        for cell in cells:
            a, b = (None if cell[key] is None else cell[key].decode() for key in ("key_1", "key_2"))
            gone["wxyz".index(a) if a else 4, "pqr".index(b) if b else 3] = cell["hidden"]
        assert all(gone[places[rows["a"][i], rows["b"][i]]] for i in rich.tolist())
        low, high = attack(table, gone, least=0, whole=False)
        for (i, j), lowest, most in zip(np.argwhere(gone).tolist(), low, high, strict=True):
            of_cell = [v for a, b, v in zip(rows["a"], rows["b"], amounts.tolist(), strict=True)
                       if (i == 4 or a == "wxyz"[i]) and (j == 3 or b == "pqr"[j])]  # fmt: skip
            assert most > lowest
            assert most >= 2 * table[i, j] or max(of_cell) * 100 <= 75 * sum(of_cell)
