"""The EM algorithm of the Fellegi-Sunter model, over distinct patterns of agreement instead of pairs.

I. P. Fellegi, A. B. Sunter, "A Theory for Record Linkage", JASA 64 (1969) 1183-1210; W. E. Winkler, "Using the EM
Algorithm for Weight Computation in the Fellegi-Sunter Model of Record Linkage", ASA Survey Research Methods (1988)
667-671. Given that a pair is a match, or that it is none, its comparisons are independent; m and u are the
probabilities of their levels in the two cases. A comparison with a missing value contributes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Ints

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Fit:
    """The fit: `m` of each comparison, and the share of matches among the pairs."""

    m: tuple[Floats, ...]
    share: float


def log_ratio(levels: Levels, m: Sequence[Floats], u: Sequence[Floats]) -> Floats:
    """float64[p]: ln(m/u) of each pattern, summed over comparisons. levels int8[p, c], -1 where a value is missing."""
    total = np.zeros(len(levels))
    for column, of_m, of_u in zip(levels.T, m, u, strict=True):
        total += np.append(np.log(of_m / of_u), 0.0)[column]  # -1 is the last one
    return total


def match_probability(log_ratios: Floats, share: float) -> Floats:
    """float64[p]: the probability that a pair is a match, where `share` of all pairs are; above 0 and below 1."""
    log_odds = log_ratios + np.log(share) - np.log1p(-share)
    probability: Floats = 0.5 * (1 + np.tanh(log_odds / 2))  # the logistic function, without overflow
    return probability


def shares(levels: Ints | Levels, weights: Floats, prior: Floats) -> Floats:
    """float64[k], positive, sum 1: the weight of each level from 0 on, with `prior` added; -1 does not count."""
    present = levels >= 0
    counted = np.bincount(levels[present], weights[present], len(prior)) + prior
    found: Floats = counted / counted.sum()
    return found


def capped(values: Floats, most: Floats) -> Floats:
    """float64[k]: probabilities of sum 1, of which none is more than `most`; what is cut off goes to the others.

    The others keep their proportions, which makes it the most likely distribution under these limits. Their sum is more
    than 1.
    """
    held = np.zeros(len(values), np.bool_)
    found = values
    while ((found > most) & ~held).any():
        held |= found > most
        rest = 1 - most[held].sum()
        found = np.where(held, most, values * (rest / values[~held].sum()))
    return found


def maximise(
    levels: Levels,
    counts: Floats,
    *,
    m: Sequence[Floats],
    most: Sequence[Floats],
    u: Sequence[Floats],
    share: float,
    most_share: float,
    prior_pairs: float,
) -> Fit:
    """Fit m and the share of matches to `counts` pairs of each pattern; u stays as it is, and m does not exceed `most`.

    levels int8[p, c]; counts float64[p]; m, most and u per comparison, positive. `m` is where to start, and counts as
    much as `prior_pairs` matches (a Dirichlet prior), so that no probability becomes 0. The share starts at `share` and
    does not exceed `most_share`: with a single comparison, any higher share fits as well, with m nearer to u.
    """
    start = tuple(m)
    total, share = float(counts.sum()), min(share, most_share)
    for _ in range(_ITERATIONS):
        matches = counts * match_probability(log_ratio(levels, m, u), share)
        found = tuple(
            capped(shares(column, matches, prior_pairs * first), limit)
            for column, first, limit in zip(levels.T, start, most, strict=True)
        )
        new_share = min((float(matches.sum()) + 0.5) / (total + 1), most_share)
        moved = max((float(np.abs(a - b).max()) for a, b in zip(found, m, strict=True)), default=0.0)
        moved = max(moved, abs(new_share - share))
        m, share = found, new_share
        if moved < _TOLERANCE:
            break
    return Fit(m=tuple(m), share=share)


def share_of(log_ratios: Floats, counts: Floats) -> float:
    """The share of matches among `counts` float64[p] pairs whose ln(m/u) is given, m and u being what they are."""
    share = 0.5
    for _ in range(_ITERATIONS):
        matches = float(counts @ match_probability(log_ratios, share))
        new = (matches + 0.5) / (float(counts.sum()) + 1)
        moved, share = abs(new - share), new
        if moved < _TOLERANCE:
            break
    return share
