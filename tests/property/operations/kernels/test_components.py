"""Connected components are those of a slow twin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.components import components
from tests.reference.link import (
    clusters,
)


@given(n=st.integers(1, 30), data=st.data())
def test_components_are_those_of_a_slow_twin(n: int, data: st.DataObject) -> None:
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    assert components(n, left, right).tolist() == clusters(n, edges)


def test_a_long_chain_is_one_component() -> None:
    nodes = np.random.default_rng(5).permutation(50_000)
    assert not components(len(nodes), nodes[:-1], nodes[1:]).any()
