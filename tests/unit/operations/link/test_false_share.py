"""The expected share of false pairs, by the definition, and its interval."""

import numpy as np
import pytest

from cji_operations.link.false_share import false_share, sums, thresholds
from cji_operations.link.score import log2_odds
from tests.reference.link import people
from tests.support.link_tools import given_model, linked, part


def test_the_share_is_the_mean_of_what_scores_leave() -> None:
    found = false_share(np.array([log2_odds(0.5), log2_odds(0.9), log2_odds(0.99)]))
    assert found is not None
    assert found.pairs == 3
    assert found.expected == pytest.approx((0.5 + 0.1 + 0.01) / 3)
    assert 0 <= found.low < found.expected < found.high <= 1


def test_the_interval_is_wide_where_pairs_are_few_or_uncertain() -> None:
    def width(scores: list[float]) -> float:
        found = false_share(np.array([log2_odds(score) for score in scores]))
        assert found is not None
        return found.high - found.low

    assert width([0.999]) > width([0.999] * 1000)
    assert width([0.6] * 1000) > 0.15 > width([0.99] * 1000)


def test_thresholds_that_no_pair_reaches_are_left_out() -> None:
    scores = [0.95, 0.9, 0.5, 0.9]
    (batch,) = thresholds(sums(np.array([log2_odds(0.93)]), scores), scores)
    assert batch.column("score").to_pylist() == [0.5, 0.9]
    assert [one.num_rows for one in thresholds(sums(np.empty(0), [0.5]), [0.5])] == [0]


def test_a_job_states_the_thresholds_from_which_pairs_are_listed() -> None:
    batch = people(last=["A", "A", "B", "B"])
    found = linked(batch, model=given_model(0.9, 1e-4), match=0.92, clerical_review_threshold=0.9)
    lines = part(found, "thresholds")
    assert [line["score"] for line in lines][:3] == [0.9, 0.92, 0.95]
    assert all(line["low"] <= line["false_share"] <= line["high"] for line in lines)
