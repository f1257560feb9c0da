"""Codes of distinct values, sorted; the largest contributors beside a loop over cells."""

from collections import defaultdict
from itertools import product

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.group_by import coded, largest


@given(st.lists(st.none() | st.binary(max_size=3), max_size=30))
def test_codes_are_positions_in_the_sorted_distinct_values(words: list[bytes | None]) -> None:
    code, values = coded(pa.array(words, pa.binary()))
    assert values.to_pylist() == sorted({word for word in words if word})
    assert code.tolist() == [values.to_pylist().index(word) if word else len(values) for word in words]


@given(st.integers(1, 2), st.data())
def test_short_codes_are_sorted_and_sliced_arrays_read_in_place(width: int, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.binary(min_size=width, max_size=width), min_size=2, max_size=30))
    code, values = coded(pa.array([b"?" * width, *words], pa.binary()).slice(1))
    assert values.to_pylist() == sorted(set(words))
    assert [values[c].as_py() for c in code.tolist()] == words


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 4), st.integers(0, 9)), max_size=30),
    st.integers(1, 3),
)
def test_the_largest_contributors_of_every_cell_and_total(rows: list[tuple[int, int, int, int]], top: int) -> None:
    by_cell: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for a, b, subject, value in rows:
        for cell in product((a, 2), (b, 3)):
            by_cell[cell][subject] += value
    column = np.array(rows, np.int64).reshape(-1, 4).T
    found = largest(column[0] * 3 + column[1], column[2], column[3], (2, 3), top=top)
    assert found.shape == (3, 4)
    for cell in product(range(3), range(4)):
        assert found[cell] == sum(sorted(by_cell[cell].values(), reverse=True)[:top])
