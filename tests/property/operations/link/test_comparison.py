"""Pairs of values are compared once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.link.comparison import _reduced


@given(values=st.lists(st.integers(0, 1 << 62), max_size=200))
def test_reduced_values_stand_for_all(values: list[int]) -> None:
    kept, which = _reduced(np.array(values, np.int64))
    assert kept[which].tolist() == values
    assert len(kept) <= len(values)


def test_equal_values_are_reduced() -> None:
    kept, _ = _reduced(np.tile(np.arange(100, dtype=np.int64), 1000))
    assert len(kept) <= 110
