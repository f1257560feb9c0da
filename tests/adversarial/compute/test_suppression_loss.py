"""What suppression hides beside the least that any suppression has to hide, on tables small enough to try them all.

Measured in rows of hidden cells that were not small. The optimum is over every set of cells, protected against a solver
that knows that no hidden cell is empty.
"""

import heapq
from typing import Final

import numpy as np
import pytest

from cji_operations.aggregate.suppression import protect
from tests.adversarial.compute.test_aggregate_attack import THRESHOLD, Mask, Table, attack, random_table

SHAPES: Final = ((3,), (5,), (2, 2), (2, 3), (3, 3), (2, 2, 2))
MOST: Final = 1.7
"""Rows hidden beside small cells, over the optimum: 1.52 when it was measured."""


def is_safe(table: Table, gone: Mask) -> bool:
    if any((gone.sum(axis=axis) == 1).any() for axis in range(gone.ndim)):
        return False
    low, high = attack(table, gone, least=1, whole=False)
    small = table[gone] < THRESHOLD
    return all(most - least >= THRESHOLD - 1 for least, most, s in zip(low, high, small, strict=True) if s)


def optimum(table: Table, bound: int) -> int:
    """The least rows that have to be hidden beside small cells, `bound` where nothing less is safe; best first."""
    flat, small = table.ravel(), (table > 0) & (table < THRESHOLD)
    others = sorted(np.flatnonzero(flat >= THRESHOLD).tolist(), key=lambda at: int(flat[at]))
    heap: list[tuple[int, int, tuple[int, ...]]] = [(0, -1, ())]
    while heap:
        cost, last, chosen = heapq.heappop(heap)
        if cost >= bound:
            break
        gone = small.copy()
        gone.ravel()[list(chosen)] = True
        if is_safe(table, gone):
            return cost
        for at in range(last + 1, len(others)):
            dearer = cost + int(flat[others[at]])
            if dearer < bound:
                heapq.heappush(heap, (dearer, at, (*chosen, others[at])))
    return bound


def test_suppression_hides_little_more_than_it_must() -> None:
    ours = least = 0
    for shape in SHAPES:
        rng = np.random.default_rng(3)
        for turn in range(6):
            table = random_table(rng, shape, sparse=turn % 2 == 1)
            gone = protect([table], table, THRESHOLD).hidden
            found = int(table[gone & (table >= THRESHOLD)].sum())
            ours += found
            least += optimum(table, found)
    assert least > 1000, "nothing had to be hidden"
    assert ours <= MOST * least


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ([10, 3, 4, 5], {0, 1, 2, 3}),  # the small ones hide each other, and their total stays
        ([5, 40, 90], {0, 1}),  # the smaller partner
    ],
)
def test_small_cells_hide_each_other_before_others_are_taken(inner: list[int], expected: set[int]) -> None:
    table = np.array([*inner, sum(inner)])
    assert set(np.flatnonzero(protect([table], table, THRESHOLD).hidden).tolist()) == expected
