"""Levels that strangers reach together, and pairs of one person with many errors, on patterns by the definitions."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from cji_operations.kernels import em
from cji_operations.link.dependence import Strangers, learn
from cji_operations.link.poor_records import Matches, fit

U = [np.array([0.01, 0.99]), np.array([0.02, 0.08, 0.9]), np.array([0.1, 0.9])]
ALL = np.array(list(product(range(2), range(3), range(2))), np.int8)


def _town(share: float) -> npt.NDArray[np.float64]:
    """The probability of each pattern of ALL where agreement in 0 brings agreement in 1 with this probability."""
    given = np.where(np.arange(3) == 0, share, (1 - share) / 2)
    of_1 = np.where(ALL[:, 0] == 0, given[ALL[:, 1]], U[1][ALL[:, 1]])
    found: npt.NDArray[np.float64] = U[0][ALL[:, 0]] * of_1 * U[2][ALL[:, 2]]
    return found


def _independent(levels: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.exp(em.log_ratio(levels, U, [np.ones(len(values)) for values in U]))
    return found


def test_a_tie_is_found_and_no_other() -> None:
    ties = learn(ALL, 1e6 * _town(0.7), U, trained=[True] * 3)
    assert sorted(len(of_one) for of_one in ties) == [0, 0, 1]
    strangers = Strangers(U, ties)
    both, one = np.array([[0], [0], [-1]], np.int8), np.array([[0], [-1], [0]], np.int8)
    assert 2 ** strangers.excess(both)[0] == pytest.approx(0.7 / 0.02, rel=0.05)
    assert strangers.excess(one)[0] == 0


def test_levels_with_ties_are_a_distribution() -> None:
    strangers = Strangers(U, learn(ALL, 1e6 * _town(0.7), U, trained=[True] * 3))
    for missing in ((), (0,), (1,), (2,), (0, 1)):
        levels = ALL.copy()
        levels[:, list(missing)] = -1
        levels = np.unique(levels, axis=0)
        total = _independent(levels) * 2 ** strangers.excess(np.ascontiguousarray(levels.T))
        assert total.sum() == pytest.approx(1, abs=1e-6)
        assert (strangers.excess(np.ascontiguousarray(levels.T)) >= strangers.least).all()


def test_given_levels_have_no_ties() -> None:
    assert learn(ALL, 1e6 * _town(0.7), U, trained=[True, False, True]) == ((), (), ())


def test_chance_is_no_tie() -> None:
    assert learn(ALL, 1e6 * _independent(ALL), U, trained=[True] * 3) == ((), (), ())


def test_what_is_left_out_as_a_match_makes_no_tie_against() -> None:
    """Where pairs that agree in both are all taken for matches, agreement in both looks rarer than by chance."""
    counts = 1e6 * _independent(ALL) * ((ALL[:, 0] > 0) | (ALL[:, 1] > 0))
    strangers = Strangers(U, learn(ALL, counts, U, trained=[True] * 3))
    assert strangers.excess(np.array([[0], [0], [-1]], np.int8))[0] >= -1.5


def test_a_tied_agreement_is_as_likely_for_a_rare_value() -> None:
    strangers = Strangers(U, learn(ALL, 1e6 * _town(0.7), U, trained=[True] * 3))
    both = np.array([[0, 0], [0, 0], [-1, -1]], np.int8)
    rare = np.array([0.0, 6.0])
    plain, rarer = strangers.excess(both, [rare, rare, None])
    assert rarer - plain == pytest.approx(6, abs=0.3)  # takes back what the rare value added


def test_pairs_with_many_errors_are_told_apart() -> None:
    good, poor, share = [[0.98, 0.02]] * 5, [[0.4, 0.6]] * 5, 0.2
    levels = np.array(list(product(range(2), repeat=5)), np.int8)

    def of(m: list[list[float]]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = np.prod([np.array(m[i])[levels[:, i]] for i in range(5)], axis=0)
        return found

    true = (1 - share) * of(good) + share * of(poor)
    mean = [(1 - share) * np.array(a) + share * np.array(b) for a, b in zip(good, poor, strict=True)]
    found = fit(np.ascontiguousarray(levels.T), 5000 * true, mean, lambda excess: np.ones(len(excess)))
    assert found.share == pytest.approx(share, abs=0.05)
    assert found.poor[0][1] == pytest.approx(0.6, abs=0.08)
    modelled = of([values.tolist() for values in mean]) * 2 ** found.excess(np.ascontiguousarray(levels.T))
    assert modelled.sum() == pytest.approx(1, abs=1e-6)
    assert np.abs(np.log2(modelled / true)).max() < 0.6
    assert (found.excess(np.ascontiguousarray(levels.T)) <= found.most).all()


def test_few_matches_are_of_one_kind() -> None:
    levels = np.array([[0, 1]], np.int8)
    found = fit(levels, np.array([50.0, 1.0]), [np.array([0.9, 0.1])], lambda excess: np.ones(len(excess)))
    assert found.share == 0
    assert found.excess(levels).tolist() == [0, 0]


def test_without_a_share_m_is_what_it_was() -> None:
    m = [np.array([0.9, 0.1])]
    assert [values.tolist() for values in Matches(m, m, 0.0).poor] == [[0.9, 0.1]]
