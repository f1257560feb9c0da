"""Levels that strangers reach together: a town and its postcodes, a given name and a sex.

Fellegi and Sunter take the comparisons of two persons as independent. Where a town has few postcodes, agreement on both
is hardly rarer than agreement on one, and a product of both takes neighbours for one person. So the probability of a
level among strangers depends on the level of one comparison before it, the one with the closest tie (C. K. Chow, C. N.
Liu, "Approximating Discrete Probability Distributions with Dependence Trees", IEEE Trans. Inf. Theory 14 (1968)
462-467), learnt from pairs of rows taken at random. Where that one has no value, the next closest one takes its place.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from cji_operations.kernels import em

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

LN2: Final = float(np.log(2.0))
_TIES: Final = 3
"""At most so many comparisons are tied to one, of which the closest with a value counts."""
_LEAST: Final = 30.0
"""A tie that explains less than this, in natural units of log-likelihood, is taken for chance."""
_PRIOR_PAIRS: Final = 5.0
"""u without the tie counts as much as this number of pairs."""
_RARER: Final = 0.5
"""An agreement with a tie has at least this part of its u."""
_RAREST: Final = 1e-3
"""A difference has at least this part of its u."""


class Tie(msgspec.Struct, frozen=True, kw_only=True):
    """A tie to the comparison `to`: u of each level here, for each level there."""

    to: int
    u: tuple[tuple[float, ...], ...]


Ties = tuple[tuple[Tie, ...], ...]
"""Of every comparison, the closest first."""


def learn(levels: Levels, weights: Floats, u: Sequence[Floats], *, trained: Sequence[bool]) -> Ties:
    """The ties among strangers, from levels int8[p, c] of pairs, each of which counts with its weight, float64[p].

    Only comparisons whose u is `trained` have ties. Ties form no circle: each is to a comparison that was taken before.
    """
    own = [i for i, is_trained in enumerate(trained) if is_trained]
    tables = {
        (i, j): _table(levels[:, i], levels[:, j], weights, (len(u[i]), len(u[j]))) for i in own for j in own if j < i
    }
    gain = np.zeros((len(u), len(u)))
    for (i, j), table in tables.items():
        gain[i, j] = gain[j, i] = _gain(table)
    gain[gain < _LEAST] = 0
    found: list[tuple[Tie, ...]] = [()] * len(u)
    for place, new in enumerate(order := _by_tie(gain)):
        before = sorted((j for j in order[:place] if gain[new, j] > 0), key=lambda j: (-gain[new, j], j))
        found[new] = tuple(
            Tie(to=j, u=_conditional(tables[new, j] if new > j else tables[j, new].T, u[new])) for j in before[:_TIES]
        )
    return tuple(found)


def _by_tie(gain: Floats) -> list[int]:
    """Comparisons in the order of a maximum spanning tree (Prim's), each tree from its closest pair on."""
    taken, rest = list[int](), list(range(len(gain)))
    while rest:
        to_taken = gain[np.ix_(rest, taken)].max(axis=1, initial=0.0)
        score = to_taken if to_taken.any() else gain[np.ix_(rest, rest)].max(axis=1)
        taken.append(rest.pop(int(score.argmax())))
    return taken


def _table(one: Levels, other: Levels, weights: Floats, shape: tuple[int, int]) -> Floats:
    """float64[k, l]: the weight of pairs with each level of one and of the other."""
    some = np.flatnonzero((one >= 0) & (other >= 0))
    number = one[some].astype(np.int64) * shape[1] + other[some]
    return np.bincount(number, weights[some], shape[0] * shape[1]).astype(np.float64).reshape(shape)


def _gain(table: Floats) -> float:
    """The log-likelihood that dependence explains, in natural units."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / max(table.sum(), 1e-300)
    some = table > 0
    return float((table[some] * np.log(table[some] / expected[some])).sum())


def _conditional(table: Floats, u: Floats) -> tuple[tuple[float, ...], ...]:
    """The probability of each level here, for each level there.

    An agreement is not much rarer than without the tie: of pairs that agree in both, some are left out as matches.
    """
    counted = table.T + _PRIOR_PAIRS * u
    tied = np.maximum(counted / counted.sum(axis=1, keepdims=True), _RARER * u)
    tied[:, -1] = np.maximum(1 - tied[:, :-1].sum(axis=1), _RAREST * u[-1])
    return tuple(map(tuple, (tied / tied.sum(axis=1, keepdims=True)).tolist()))


class Strangers:
    """Pairs of strangers: u of every level, and ties.

    `u` is that of levels without ties; `least` is the lowest `excess` that there can be.
    """

    def __init__(self, u: Sequence[Sequence[float] | Floats], ties: Ties = ()) -> None:
        """Without `ties`, comparisons are independent."""
        self.u = [np.array(values) for values in u]
        self.ties = ties or ((),) * len(u)
        self._tied = [[(tie.to, np.array(tie.u)) for tie in of_one] for of_one in self.ties]
        lowest = (
            min((float(np.log2(tied / alone).min()) for _, tied in of_one), default=0.0)
            for of_one, alone in zip(self._tied, self.u, strict=True)
        )
        self.least = min(sum(lowest), 0.0)

    def excess(self, levels: Levels, rare: Sequence[Floats | None] | None = None) -> Floats:
        """float64[p], bits: how much likelier the levels int8[c, p] are than if comparisons were independent.

        `rare` has for each comparison float64[p], the bits by which its values are rarer than u, or None. An agreement
        that is due to a tie is as likely for a rare value as for a frequent one.
        """
        total = np.zeros(levels.shape[1])
        for i, (here, ties, u) in enumerate(zip(levels, self._tied, self.u, strict=True)):
            untied = here >= 0
            for to, of_tie in ties:
                some = np.flatnonzero(untied & (levels[to] >= 0))
                untied[some] = False
                tied, alone = of_tie[levels[to][some], here[some]], u[here[some]]
                bits = None if rare is None else rare[i]
                rarer = np.ones(len(some)) if bits is None else np.exp2(-bits[some])
                due = np.maximum(tied - alone, 0.0) / (1 - alone)
                total[some] += np.log2(np.where(due > 0, due / (alone * rarer) + 1 - due, tied / alone))
        return total

    def log_ratio(self, levels: Levels, m: Sequence[Floats]) -> Floats:
        """float64[p]: ln(m/u) of levels int8[p, c], ties included."""
        return em.log_ratio(levels, m, self.u) - LN2 * self.excess(np.ascontiguousarray(levels.T))
