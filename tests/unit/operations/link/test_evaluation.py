"""Quality of pairs and clusters, by the definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.link import calibration, calibration_error, cluster_quality, curve

_PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), max_size=30)


@given(pairs=_PAIRS, unlisted=st.integers(0, 5), threshold=st.sampled_from([-9.0, -1.5, 0.0, 2.0, 3.0, 9.0]))
def test_quality_at_a_threshold_is_that_of_the_definition(
    pairs: list[tuple[int, bool]], unlisted: int, threshold: float
) -> None:
    weight, same = np.array([w for w, _ in pairs], np.float64), np.array([s for _, s in pairs], np.bool_)
    true = int(same.sum()) + unlisted
    found = [s for w, s in pairs if w >= threshold]
    at = curve(weight, same, true).at(threshold)
    assert (at.found, at.right, at.true) == (len(found), sum(found), true)
    assert at.precision == (sum(found) / len(found) if found else 1.0)
    assert at.recall == (sum(found) / true if true else 1.0)
    if at.precision + at.recall and (found or true):
        assert at.f1 == pytest.approx(
            2 * (sum(found) / len(found) if found else 0) * at.recall / (at.precision + at.recall) if true else 0.0
        )


@given(pairs=_PAIRS)
def test_the_best_threshold_is_the_best_of_all(pairs: list[tuple[int, bool]]) -> None:
    weight, same = np.array([w for w, _ in pairs], np.float64), np.array([s for _, s in pairs], np.bool_)
    found = curve(weight, same, int(same.sum()) + 1)
    threshold, best = found.best()
    assert best.f1 == max(found.at(w).f1 for w in (-9.0, *range(-3, 4), 9.0))
    assert found.at(threshold) == best
    recalls = [found.at(w).recall for w in range(-3, 4) if found.at(w).found and found.at(w).precision >= 0.9]
    assert found.recall_at(0.9) == max(recalls, default=0.0)


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=15))
def test_quality_of_clusters_is_that_of_their_pairs(rows: list[tuple[int, int]]) -> None:
    cluster, person = np.array(rows, np.int64).reshape(-1, 2).T
    pairs = list(combinations(rows, 2))
    joined = [a[1] == b[1] for a, b in pairs if a[0] == b[0]]
    found = cluster_quality(cluster, person)
    assert (found.found, found.right) == (len(joined), sum(joined))
    assert found.true == sum(a[1] == b[1] for a, b in pairs)


def test_calibration_compares_what_is_said_with_what_is() -> None:
    probability = np.array([0.02, 0.06, 0.5, 0.95, 1.0])
    same = np.array([False, True, True, True, False])
    low, middle, high = calibration(probability, same, (0.0, 0.1, 0.9, 1.0))
    assert (low.pairs, low.share) == (2, 0.5)
    assert (middle.pairs, middle.share) == (1, 1.0)
    assert (high.pairs, high.share) == (2, 0.5)
    assert [low.probability, high.probability] == pytest.approx([0.04, 0.975])
    assert [one.low for one in calibration(probability, same, (0.0, 0.01, 0.1, 1.0))] == [0.01, 0.1]


def test_the_calibration_error_is_weighed_by_pairs() -> None:
    probability, same = np.array([0.2, 0.2, 0.2, 0.8]), np.array([False, False, True, True])
    expected = (3 * (1 / 3 - 0.2) + 1 * (1 - 0.8)) / 4
    assert calibration_error(probability, same, (0.0, 0.5, 1.0)) == pytest.approx(expected)
    assert calibration_error(probability[:0], same[:0], (0.0, 0.5, 1.0)) == 0
