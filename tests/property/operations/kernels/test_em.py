"""EM takes the steps of a slow twin, and finds what made the pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels import em
from tests.reference.link import (
    em_round,
)


@given(data=st.data())
def test_em_takes_the_steps_of_a_slow_twin(data: st.DataObject) -> None:
    levels = [2, 3]
    rows = st.tuples(*(st.integers(-1, k - 1) for k in levels))
    patterns = data.draw(st.lists(rows, min_size=1, max_size=12, unique=True))
    counts = data.draw(st.lists(st.integers(1, 1000), min_size=len(patterns), max_size=len(patterns)))
    start = [[0.9, 0.1], [0.7, 0.2, 0.1]]
    u = [[0.05, 0.95], [0.01, 0.09, 0.9]]
    m, share = start, 0.3
    for _ in range(100):
        new, new_share = em_round(patterns, counts, m, u, share, start=start, prior_pairs=5.0)
        moved = max(abs(a - b) for old, fresh in zip(m, new, strict=True) for a, b in zip(old, fresh, strict=True))
        moved = max(moved, abs(new_share - share))
        m, share = new, new_share
        if moved < 1e-5:
            break
    fit = em.maximise(
        np.array(patterns, np.int8),
        np.array(counts, np.float64),
        m=[np.array(one) for one in start],
        u=[np.array(one) for one in u],
        most=[np.ones(k) for k in levels],
        share=0.3,
        most_share=0.9999,
        prior_pairs=5.0,
    )
    assert fit.share == pytest.approx(share, abs=1e-9)
    for found, expected in zip(fit.m, m, strict=True):
        assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_em_finds_the_parameters_that_made_the_pairs() -> None:
    rng = np.random.default_rng(1)
    n, share = 400_000, 0.05
    m, u = [0.9, 0.8, 0.95, 0.7], [0.1, 0.02, 0.3, 0.05]
    match = rng.random(n) < share
    agree = rng.random((n, 4)) < np.where(match[:, None], m, u)
    patterns, counts = np.unique((~agree).astype(np.int8), axis=0, return_counts=True)
    fit = em.maximise(
        patterns,
        counts.astype(np.float64),
        m=[np.array([0.6, 0.4])] * 4,
        u=[np.array([one, 1 - one]) for one in u],
        most=[np.ones(2)] * 4,
        share=0.3,
        most_share=0.999,
        prior_pairs=1.0,
    )
    assert fit.share == pytest.approx(share, abs=0.003)
    assert [one[0] for one in fit.m] == pytest.approx(m, abs=0.02)


@given(
    weights=st.lists(st.integers(1, 1000), min_size=2, max_size=6),
    limits=st.lists(st.sampled_from([0.05, 0.2, 0.5, 1.0]), min_size=6, max_size=6),
)
def test_a_limit_is_kept_and_the_rest_keeps_its_proportions(weights: list[int], limits: list[float]) -> None:
    values = np.array(weights) / sum(weights)
    most = np.array(limits[: len(weights)])
    most[-1] = 1.0
    found = em.capped(values, most)
    assert found.sum() == pytest.approx(1)
    assert (found <= most + 1e-12).all()
    free = found < most - 1e-12
    ratios = found[free] / values[free]
    assert ratios.max(initial=0) == pytest.approx(ratios.min(initial=ratios.max(initial=0)))
    assert (found[~free] <= values[~free] * (1 + 1e-9)).all() or free.any()
    if (values <= most).all():
        assert found.tolist() == values.tolist()


@given(counts=st.lists(st.integers(0, 500), min_size=3, max_size=3), share=st.floats(0.01, 0.99))
def test_the_share_of_matches_is_where_it_is_most_likely(counts: list[int], share: float) -> None:
    ratio = np.log(np.array([90.0, 1.0, 0.1]))
    weights = np.array(counts, np.float64)

    def likelihood(of: float) -> float:
        return float(weights @ np.log(of * np.exp(ratio) + 1 - of))

    found = em.share_of(ratio, weights)
    assert 0 < found < 1
    assert likelihood(found) >= likelihood(share) - 0.05 * (1 + weights.sum() / 100)
