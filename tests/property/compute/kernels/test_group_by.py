"""Codes of distinct values, sorted."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from worker.compute.kernels.group_by import coded


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
