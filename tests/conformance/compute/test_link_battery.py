"""Match scores beside the truth, on corpora of many kinds; `benchmarks.battery` makes them."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.battery import KEPT, KINDS, Corpus, make
from cji_core.operations.link import Link
from cji_operations.link import Linked, cluster_quality, link, log2_odds
from cji_operations.link.false_share import false_share
from cji_operations.link.score import probability
from tests.reference.link import ignore

pytestmark = pytest.mark.vectors

Floats = npt.NDArray[np.float64]

_NOT_TOLD_APART = frozenset(("households", "families with dates"))
"""Fathers and sons of one name and address: nothing in the records separates them from one person."""
_LEAST_PAIRS = 120


@cache
def _linked(name: str) -> tuple[Corpus, Linked]:
    corpus = make((KINDS | KEPT)[name])
    side = None if corpus.side is None else [corpus.side]
    return corpus, link([corpus.records], corpus.records.schema, Link(), ignore, side=side)


def _scored(name: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    corpus, found = _linked(name)
    pairs = found.report.pairs
    return probability(pairs.weight), corpus.person[pairs.left] == corpus.person[pairs.right]


@pytest.mark.parametrize("name", [name for name in KINDS if name not in _NOT_TOLD_APART])
def test_scores_are_near_the_share_of_true_pairs(name: str) -> None:
    score, same = _scored(name)
    some = (score >= 0.5) & (score < 0.99)
    if some.sum() >= _LEAST_PAIRS:
        assert score[some].mean() == pytest.approx(same[some].mean(), abs=0.08)
    if np.count_nonzero(score >= 0.5) >= 20:
        assert score[score >= 0.5].mean() == pytest.approx(same[score >= 0.5].mean(), abs=0.03)


def test_intervals_have_the_true_share_of_false_pairs() -> None:
    """On the kinds with other shares, fathers and sons among them, at nine of ten thresholds or more."""
    widths, held = list[float](), list[bool]()
    for name in KEPT:
        corpus, found = _linked(name)
        pairs = found.report.pairs
        same = corpus.person[pairs.left] == corpus.person[pairs.right]
        for score in np.arange(0.5, 0.995, 0.05):
            some = pairs.weight >= log2_odds(float(score))
            if (stated := false_share(pairs.weight[some])) is None:
                continue
            widths.append(stated.high - stated.low)
            held.append(stated.low <= 1 - same[some].mean() <= stated.high)
    assert len(held) >= 150
    assert np.mean(held) >= 0.95
    assert np.mean(np.array(widths) <= 0.15) >= 0.9


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("few surnames", 0.97),
        ("two tables", 0.95),
        ("correlated errors", 0.98),
        ("copied errors", 0.99),
        ("administrative", 0.94),
        ("aliases", 0.95),
    ],
)
def test_dependence_costs_no_pairs(name: str, least: float) -> None:
    corpus, _ = _linked(name)
    score, same = _scored(name)
    found, right = np.count_nonzero(score >= 0.9), np.count_nonzero(same & (score >= 0.9))
    assert 2 * right / (found + corpus.true_pairs) >= least


@pytest.mark.parametrize(
    ("name", "least"), [("few surnames", 0.975), ("historical", 0.79), ("many each", 0.995), ("placeholders", 0.9)]
)
def test_clusters_hold_on_corpora_of_other_kinds(name: str, least: float) -> None:
    corpus, found = _linked(name)
    assert cluster_quality(found.cluster, corpus.person).f1 >= least


def test_no_persons_are_found_where_none_is_twice() -> None:
    _, found = _linked("none twice")
    assert np.bincount(found.cluster).max() == 1
