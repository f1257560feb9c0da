"""Every pair of a block comes once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.link import (
    pairs_of,
)
from worker.compute.kernels.pairs import blocks, pairs_at
from worker.compute.kernels.pairs import pairs_of as pairs_of_places


@given(groups=st.lists(st.integers(-1, 5), max_size=40), seed=st.integers(0, 9), linking=st.booleans())
def test_every_pair_of_a_block_comes_once(groups: list[int], seed: int, linking: bool) -> None:
    second = np.random.default_rng(seed).random(len(groups)) < 0.5 if linking else None
    found = blocks(np.array(groups, np.int32), second)
    left, right = pairs_of_places(found, 0, len(found.rows))
    listed = list(zip(left.tolist(), right.tolist(), strict=True))
    assert len(listed) == len(set(listed)) == found.pairs
    assert set(listed) == pairs_of(groups, None if second is None else second.tolist())
    by_number = pairs_at(found, np.arange(found.pairs))
    assert list(zip(*(one.tolist() for one in by_number), strict=True)) == listed
