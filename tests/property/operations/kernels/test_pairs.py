"""Every pair of a block comes once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.pairs import blocks, grouped, pairs_at
from cji_operations.kernels.pairs import pairs_of as pairs_of_places
from tests.reference.link import (
    pairs_of,
)


@given(groups=st.lists(st.integers(-1, 5), max_size=40), cut=st.integers(0, 40), linking=st.booleans())
def test_every_pair_of_a_block_comes_once(groups: list[int], cut: int, linking: bool) -> None:
    second = np.arange(len(groups)) >= cut if linking else None
    rows, lengths = grouped([np.array(groups, np.int32)])
    found = blocks(rows, lengths, None if second is None else second[rows])
    left, right = pairs_of_places(found, 0, len(found.rows))
    listed = list(zip(left.tolist(), right.tolist(), strict=True))
    assert len(listed) == len(set(listed)) == found.pairs
    assert set(listed) == pairs_of(groups, None if second is None else second.tolist())
    assert int(found.lengths.sum()) == len(found.rows)
    by_number = pairs_at(found, np.arange(found.pairs))
    assert list(zip(*(one.tolist() for one in by_number), strict=True)) == listed


_CODES = st.integers(-1, 3) | st.sampled_from([2**16, 2**17, 2**17 + 1, 2**31 - 3, 2**31 - 2])


@given(rows=st.lists(st.tuples(_CODES, _CODES, _CODES), min_size=1, max_size=30))
def test_rows_are_grouped_by_all_codes(rows: list[tuple[int, int, int]]) -> None:
    """However large the codes are."""
    found, lengths = grouped([np.array(code, np.int32) for code in zip(*rows, strict=True)])
    groups = [part.tolist() for part in np.split(found, np.cumsum(lengths)[:-1])] if len(lengths) else []
    by_code: dict[tuple[int, int, int], list[int]] = {}
    for number, row in enumerate(rows):
        if min(row) >= 0:
            by_code.setdefault(row, []).append(number)
    assert sorted(groups) == sorted(by_code.values())
