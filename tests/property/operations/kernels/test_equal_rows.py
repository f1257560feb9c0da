"""Equal rows: repeats and numbers beside a loop over rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.equal_rows import numbered, repeats


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 1)), max_size=12))
def test_repeats(rows: list[tuple[int, int, int]]) -> None:
    group, first, second = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    seen: set[tuple[int, int, int]] = set()
    expected = []
    for row in rows:
        expected.append(row[1] >= 0 and row in seen)
        if row[1] >= 0:
            seen.add(row)
    assert repeats([group, first, second], first >= 0).tolist() == expected


@given(st.lists(st.binary(min_size=3, max_size=3)))
def test_equal_rows_have_equal_numbers(rows: list[bytes]) -> None:
    order: dict[bytes, int] = {}
    expected = [order.setdefault(row, len(order)) for row in rows]
    assert numbered(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 3)).tolist() == expected
