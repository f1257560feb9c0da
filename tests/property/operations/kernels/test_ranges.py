"""Joins of ranges beside a loop."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels import ranges


@given(st.lists(st.integers(0, 20)), st.lists(st.tuples(st.integers(-2, 22), st.integers(-2, 22))))
def test_ranges(keys: list[int], asked: list[tuple[int, int]]) -> None:
    keys.sort()
    low, high = (np.array([pair[i] for pair in asked], np.int64) for i in (0, 1))
    first, count = ranges.within(np.array(keys, np.int64), low, high)
    inside = [[i for i, key in enumerate(keys) if a <= key <= b] for a, b in asked]
    which, position = ranges.expand(first, count)
    assert list(zip(which.tolist(), position.tolist(), strict=True)) == [
        (i, position) for i, positions in enumerate(inside) for position in positions
    ]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12))
def test_cuts(counts: list[int], most: int) -> None:
    slices = ranges.cuts(np.array(counts, np.int64), most)
    assert [i for low, high in slices for i in range(low, high)] == list(range(len(counts)))
    for low, high in slices:
        assert sum(counts[low:high]) <= most or high == low + 1
    for (low, high), (_, after) in pairwise(slices):
        assert sum(counts[low : high + 1]) > most or after == high  # as few slices as there can be


@given(st.lists(st.lists(st.integers(-9, 9), max_size=7), max_size=8), st.integers(1, 5))
def test_refilled(pieces: list[list[int]], size: int) -> None:
    columns = ((np.array(piece, np.int64), -np.array(piece, np.float64)) for piece in pieces)
    found = [(one.tolist(), other.tolist()) for one, other in ranges.refilled(columns, size)]
    rows = [value for piece in pieces for value in piece]
    assert [one for one, _ in found] == [rows[at : at + size] for at in range(0, len(rows), size)]
    assert all([-value for value in one] == other for one, other in found)
