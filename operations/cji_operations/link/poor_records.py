"""Pairs of one person in which a record has many errors.

Errors come together: a clerk who misheard the name misheard the street. If the errors of a record were independent, a
pair with three of them would hardly ever be of one person. So pairs of one person are of two kinds, with few errors and
with many, and each comparison has an m for both. Their mean is the m that training found.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_operations.kernels import em

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

_ROUNDS: Final = 10
_START: Final = 0.2
"""The share of pairs with many errors, to start from."""
_SHARE: Final = (0.01, 0.4)
"""That share is in these bounds."""
_LEAST_MATCHES: Final = 100.0
"""With fewer pairs of one person, one kind is all that can be learnt."""
_PRIOR_PAIRS: Final = 20.0
_PART: Final = 0.95
"""Of the m of a level, at most this part is due to pairs with many errors."""


class Matches:
    """Pairs of one person: m of every level, and of this `share` of them, m is `poor`. `most` bounds their `excess`."""

    def __init__(self, m: Sequence[Sequence[float] | Floats], poor: Sequence[Sequence[float] | Floats], share: float):
        """Without a share, all pairs are of one kind; `poor` is held below what the mean allows."""
        self.share = share
        if not share:
            self.poor, self.most = [np.array(of_m) for of_m in m], 0.0
            return
        mean = [np.array(of_m) for of_m in m]
        limited = [np.minimum(of_poor, _PART * of_m / share) for of_m, of_poor in zip(mean, poor, strict=True)]
        self.poor = [values / values.sum() for values in limited]
        good = [np.maximum(of_m - share * p, (1 - _PART) * of_m) for of_m, p in zip(mean, self.poor, strict=True)]
        self._good = [np.log2(values / values.sum() / of_m) for of_m, values in zip(mean, good, strict=True)]
        self._poor = [np.log2(values / of_m) for of_m, values in zip(mean, self.poor, strict=True)]
        self.most = max(float(sum(values.max() for values in one)) for one in (self._good, self._poor)) + 1

    def excess(self, levels: Levels) -> Floats:
        """float64[p], bits: how much likelier the levels int8[c, p] are than if errors were independent."""
        if not self.share:
            return np.zeros(levels.shape[1])
        found: Floats = np.logaddexp2(*self._kinds(levels))
        return found

    def is_poor(self, levels: Levels) -> Floats:
        """float64[p]: the probability that a pair of one person with the levels int8[c, p] has many errors."""
        good, poor = self._kinds(levels)
        found: Floats = np.exp2(poor - np.logaddexp2(good, poor))
        return found

    def _kinds(self, levels: Levels) -> tuple[Floats, Floats]:
        good, poor = (np.full(levels.shape[1], np.log2(share)) for share in (1 - self.share, self.share))
        for column, of_good, of_poor in zip(levels, self._good, self._poor, strict=True):
            good += np.append(of_good, 0.0)[column]  # -1 is the last one
            poor += np.append(of_poor, 0.0)[column]
        return good, poor


def fit(levels: Levels, counts: Floats, m: Sequence[Floats], probability: Callable[[Floats], Floats]) -> Matches:
    """Fit both kinds to `counts` pairs of each pattern, levels int8[c, p].

    `probability` maps an excess to the probability that a pair of each pattern is of one person.
    """
    odds = [of_m * np.where(np.arange(len(of_m)) > 0, 3.0, 1.0) for of_m in m]
    found = Matches(m, [values / values.sum() for values in odds], _START)
    for _ in range(_ROUNDS):
        matches = counts * probability(found.excess(levels))
        total = float(matches.sum())
        if total < _LEAST_MATCHES:
            return Matches(m, m, 0.0)
        poor = matches * found.is_poor(levels)
        share = float(np.clip(poor.sum() / total, *_SHARE))
        columns = [em.shares(column, poor, _PRIOR_PAIRS * of_m) for column, of_m in zip(levels, m, strict=True)]
        found = Matches(m, columns, share)
    return found
