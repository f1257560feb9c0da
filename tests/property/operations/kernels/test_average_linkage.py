"""Average linkage is that of a slow twin, and every cluster is a claim about all its pairs."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.average_linkage import Marks, average_linkage, scattered
from tests.reference.average_linkage import across, linked

_UNLISTED = -9.0


@st.composite
def _listed(draw: st.DrawFn, weights: st.SearchStrategy[float]) -> tuple[int, dict[tuple[int, int], float]]:
    n = draw(st.integers(1, 14))
    pairs = list(combinations(range(n), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return n, {pair: draw(weights) for pair in chosen}


def _ours(
    n: int,
    listed: dict[tuple[int, int], float],
    *,
    match: float = -9.0,
    stop: float = 0.0,
    second: list[bool] | None = None,
) -> list[int]:
    left, right = np.array(list(listed), np.int64).reshape(-1, 2).T
    weight = np.array(list(listed.values()), np.float64)
    other = None if second is None else np.array(second)
    found: list[int] = average_linkage(
        n, left, right, weight, match=match, stop=stop, unlisted=_UNLISTED, second=other
    ).tolist()
    return found


@given(case=_listed(st.integers(-6, 20).map(float)), stop=st.integers(-4, 4), match=st.integers(-4, 9))
def test_linkage_is_that_of_a_slow_twin(case: tuple[int, dict[tuple[int, int], float]], stop: int, match: int) -> None:
    n, listed = case
    expected = linked(n, listed, match=match, stop=stop, unlisted=_UNLISTED)
    assert _ours(n, listed, match=match, stop=stop) == expected


@given(case=_listed(st.integers(-6, 20).map(float)), data=st.data())
def test_linkage_across_two_tables_is_that_of_a_twin(
    case: tuple[int, dict[tuple[int, int], float]], data: st.DataObject
) -> None:
    n, listed = case
    second = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    listed = {pair: weight for pair, weight in listed.items() if second[pair[0]] != second[pair[1]]}
    expected = linked(n, listed, match=3.0, stop=0.0, unlisted=_UNLISTED, second=second)
    assert _ours(n, listed, match=3.0, second=second) == expected


@given(case=_listed(st.integers(-6, 20).map(float)), data=st.data(), single=st.booleans())
def test_copies_and_marks_are_those_of_a_twin(
    case: tuple[int, dict[tuple[int, int], float]], data: st.DataObject, single: bool
) -> None:
    """A node that stands for several weighs so many times; two of one label or of no shared bit may be one."""
    n, listed = case
    copies = data.draw(st.lists(st.sampled_from([1, 1, 2, 9]), min_size=n, max_size=n), label="copies")
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n), label="labels")
    bits = data.draw(st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=n, max_size=n), label="bits")

    def apart(one: int, other: int) -> bool:
        return (labels[one] != labels[other] and min(labels[one], labels[other]) >= 0) or bool(bits[one] & bits[other])

    expected = linked(n, listed, match=1.0, stop=0.0, unlisted=_UNLISTED, copies=copies, apart=apart, single=single)
    left, right = np.array(list(listed), np.int64).reshape(-1, 2).T
    found = average_linkage(
        n,
        left,
        right,
        np.array(list(listed.values()), np.float64),
        match=1.0,
        stop=0.0,
        unlisted=_UNLISTED,
        copies=np.array(copies),
        marks=Marks(labels=np.array([labels]), bits=np.array([bits], np.uint64)),
        single=single,
    )
    assert found.tolist() == expected


@given(n=st.integers(2, 12), data=st.data())
def test_linkage_is_greedy_where_no_weights_tie(n: int, data: st.DataObject) -> None:
    """Weights are distinct powers of two: sums of different pairs differ."""
    pairs = list(combinations(range(n), 2))
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24))
    listed = {pair: 2.0**i for i, pair in enumerate(chosen)}
    expected = linked(n, listed, match=0.0, stop=0.0, unlisted=_UNLISTED, one_at_a_time=True)
    assert _ours(n, listed) == expected


@given(case=_listed(st.floats(-6.6, 40)))
def test_no_cluster_is_loose_and_none_can_be_joined(case: tuple[int, dict[tuple[int, int], float]]) -> None:
    n, listed = case
    root = _ours(n, listed, match=3.0)
    clusters = [tuple(row for row in range(n) if root[row] == low) for low in sorted(set(root))]
    for cluster in clusters:
        assert cluster[0] == min(cluster)
        pairs = list(combinations(cluster, 2))
        assert not pairs or sum(listed.get(pair, _UNLISTED) for pair in pairs) / len(pairs) >= -1e-9
    for one, other in combinations(clusters, 2):
        found = across(one, other, listed, unlisted=_UNLISTED, second=None)
        assert found is None or found[0] < 1e-9 or found[1] < 3.0


def test_a_bridge_joins_no_families() -> None:
    families = [(i, j) for low in (0, 5) for i, j in combinations(range(low, low + 5), 2)]
    listed = dict.fromkeys(families, 8.0) | {(4, 5): 7.0, (3, 5): 7.0}
    assert _ours(10, listed) == [0] * 5 + [5] * 5


def test_pairs_that_are_no_match_join_nothing() -> None:
    listed = dict.fromkeys(combinations(range(6), 2), 2.9)
    assert _ours(6, listed, match=3.0) == list(range(6))
    assert _ours(6, listed | {(2, 4): 3.0}, match=3.0) == [0, 1, 2, 3, 2, 5]


def test_clusters_without_a_match_across_them_stay_apart() -> None:
    """(0, 1) and (2, 3) have a match elsewhere, with 4 and 5, and only pairs for a clerk with each other."""
    clerk = dict.fromkeys([(0, 2), (0, 3), (1, 2), (1, 3)], 2.9)
    listed = clerk | {(0, 1): 10.0, (2, 3): 10.0, (0, 4): 3.0, (2, 5): 3.0}
    assert _ours(6, listed, match=3.0) == [0, 0, 2, 2, 4, 5]
    assert _ours(6, listed, match=2.9) == [0, 0, 0, 0, 4, 5]


def test_many_equal_records_take_few_rounds() -> None:
    """A round for each record would take minutes."""
    n = 700
    left, right = np.triu_indices(n, 1)
    assert not average_linkage(n, left, right, np.full(len(left), 9.0), match=3.0, stop=0.0, unlisted=-9.0).any()


def test_a_chain_of_rising_weights_takes_few_rounds() -> None:
    n = 200_000
    left = np.arange(n - 1)
    root = average_linkage(n, left, left + 1, np.linspace(1, 40, n - 1), match=1.0, stop=0.0, unlisted=-9.0)
    assert np.bincount(root).max() <= 5


@given(nodes=st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), unique=True, max_size=50))
def test_no_two_pairs_have_one_place_in_the_order(nodes: list[tuple[int, int]]) -> None:
    a, b = np.array(nodes, np.int64).reshape(-1, 2).T
    assert len(np.unique(scattered(a, b))) == len(nodes)
