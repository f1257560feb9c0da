"""EM takes the steps of a slow twin, and finds what made the pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.link import (
    em_round,
)
from worker.compute.kernels import em


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
        share=0.3,
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
        share=0.3,
        prior_pairs=1.0,
    )
    assert fit.share == pytest.approx(share, abs=0.003)
    assert [one[0] for one in fit.m] == pytest.approx(m, abs=0.02)
