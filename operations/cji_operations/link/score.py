"""The weight of every pair, and the pairs whose weight is high enough to be kept.

The weight is the binary logarithm of the odds that a pair is of one person: that of the prior, plus log2(m/u) of every
comparison without a missing value (Fellegi and Sunter, 1969). Where a level has a frequency, the share of rows with the
value takes the place of u of the level of equality: agreement on a rare name weighs more (W. E. Winkler,
"Frequency-Based Matching in Fellegi-Sunter Model of Record Linkage", US Census Bureau RR2000-06).

Two persons may be strangers or relatives. What is shared agrees for relatives as it does for one person, so against
relatives only the other comparisons weigh, and the odds of relatives take the place of the prior. The chances of both
are added: of a pair that agrees in surname and address, it is the given name that counts.

Where u was trained, every share is reduced by the part that is due to the person's own records, so that records of two
persons agree as often as u. Where most pairs that agree are of one person, how frequent a value is shows how many
records the person has: the adjustment counts to the power of the share of such pairs that are of two persons.

Comparisons are not independent: to the sum come the bits by which the levels are likelier for one person whose records
have many errors (`poor_records`), less those by which they are likelier for strangers (`dependence`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.model import Comparison
from cji_operations.kernels.ranges import refilled
from cji_operations.link.column import Column
from cji_operations.link.comparison import Comparer, best
from cji_operations.link.dependence import Strangers
from cji_operations.link.facts import Facts
from cji_operations.link.patterns import CHUNK, Radix
from cji_operations.link.poor_records import Matches
from cji_operations.link.training import Trained

Floats = npt.NDArray[np.float64]


def log2_odds(probability: float) -> float:
    """The weight at which a pair has this probability."""
    return float(np.log2(probability) - np.log2(1 - probability))


def probability(weights: Floats) -> Floats:
    """float64[p]: the probability of a match at these weights."""
    found: Floats = 0.5 * (1 + np.tanh(weights * (np.log(2) / 2)))
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Pairs:
    """`p` pairs of units that count, 24 bytes each: left, right int32[p]; weight float64[p].

    pattern int64[p]: the levels of all comparisons in one number, see `Radix`.
    """

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    pattern: Ints
    weight: Floats

    def __len__(self) -> int:
        return len(self.left)

    def from_weight(self, least: float) -> "Pairs":
        """Those of at least this weight."""
        if len(self) == 0 or self.weight.min() >= least:
            return self
        return self.some(np.flatnonzero(self.weight >= least))

    def some(self, which: Bools | Ints) -> "Pairs":
        """These of them."""
        return Pairs(
            left=self.left[which], right=self.right[which], pattern=self.pattern[which], weight=self.weight[which]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Frequency:
    """The term-frequency adjustment for each value of a level's column, float64[k], and the value of every row."""

    added: Floats
    column: Column


class Weights:
    """The weight of every level of a trained model, without frequencies."""

    def __init__(self, comparisons: Sequence[Comparison], trained: Trained) -> None:
        """Of all comparisons of the model, in its order."""
        self.base = log2_odds(trained.prior)
        self.of_relatives = float(np.log2(trained.prior / trained.relatives)) if trained.relatives else None
        self.tells = [not one.shared for one in comparisons]
        self.of_level = tuple(np.log2(np.array(m) / np.array(u)) for m, u in zip(trained.m, trained.u, strict=True))
        self.radix = Radix.of(comparisons)
        self.strangers = Strangers(trained.u, trained.ties)
        self.matches = Matches(trained.m, trained.poor, trained.poor_share)

    def weigh(self, levels: npt.NDArray[np.int8], rare: Sequence[Floats | None]) -> Floats:
        """float64[p]: the weight of pairs with levels int8[c, p], and of each comparison the bits of its frequency."""
        weight, telling = np.full(levels.shape[1], self.base), np.zeros(levels.shape[1])
        for column, values, bits, tells in zip(levels, self.of_level, rare, self.tells, strict=True):
            added = np.append(values, 0.0)[column]
            if bits is not None:
                added += bits
            weight += added
            if tells:
                telling += added
        of_matches = self.matches.excess(levels)
        weight += of_matches - self.strangers.excess(levels, rare)
        return self.less_relatives(weight, telling + of_matches)

    def of(self, levels: npt.NDArray[np.int8]) -> tuple[Floats, Floats, Floats]:
        """(float64[k]: the weight of each pattern without frequencies; what dependence adds; what relatives take)."""
        independent, telling = np.full(len(levels), self.base), np.zeros(len(levels))
        for column, values, tells in zip(levels.T, self.of_level, self.tells, strict=True):
            added = np.append(values, 0.0)[column]
            independent += added
            if tells:
                telling += added
        found = np.ascontiguousarray(levels.T)
        of_matches, of_strangers = self.matches.excess(found), self.strangers.excess(found)
        strangers = independent + of_matches - of_strangers
        weight = self.less_relatives(strangers, telling + of_matches)
        return weight, strangers - independent, weight - strangers

    def less_relatives(self, strangers: Floats, telling: Floats) -> Floats:
        """The weight against strangers or relatives: odds of one person over the sum of the chances of the two."""
        if self.of_relatives is None:
            return strangers
        found: Floats = -np.logaddexp2(-strangers, -(self.of_relatives + telling))
        return found


class Scorer:
    """A trained model, bound to the rows of a table."""

    def __init__(
        self, comparers: Sequence[Comparer], trained: Trained, facts: Facts, seen: Callable[[Floats], None]
    ) -> None:
        """The comparers of all comparisons, in the order of the model. `seen` gets the weights of all scored pairs."""
        self._seen = seen
        self._comparers = list(comparers)
        self._weights = Weights([one.comparison for one in comparers], trained)
        self._frequencies = [
            [_frequency(one, level, u, facts) for level in range(len(one.comparison.levels))]
            for one, u in zip(comparers, trained.u, strict=True)
        ]

    def scored(self, chunks: Iterable[tuple[int, int, Ints, Ints]], new: Ints, least: float) -> Iterator[Pairs]:
        """`score` of `Blocking.chunks`. Adds to `new`, int64 by rule, how many pairs no rule before it has."""

        def pairs() -> Iterator[tuple[Ints, Ints]]:
            for rule, _, left, right in chunks:
                new[rule] += len(left)
                yield left, right

        return (self.score(left, right, least) for left, right in refilled(pairs(), CHUNK))

    def score(self, left: Ints, right: Ints, least: float) -> Pairs:
        """Those of the pairs whose weight is at least `least`."""
        found, rows = best(self._comparers, left, right)
        weight, telling = np.full(len(left), self._weights.base), np.zeros(len(left))
        for i, (column, values) in enumerate(zip(found, self._weights.of_level, strict=True)):
            added = np.append(values, 0.0)[column]
            if (rare := self._rare(i, column, *rows[i])) is not None:
                added += rare
            weight += added
            if self._weights.tells[i]:
                telling += added
        self._add_dependence(found, rows, weight, telling, least=least)
        weight = self._weights.less_relatives(weight, telling)
        self._seen(weight)
        kept = np.flatnonzero(weight >= least)
        return Pairs(
            left=left[kept].astype(np.int32),
            right=right[kept].astype(np.int32),
            pattern=self._weights.radix.numbers(np.ascontiguousarray(found[:, kept])),
            weight=weight[kept],
        )

    def _add_dependence(
        self,
        found: npt.NDArray[np.int8],
        rows: Sequence[tuple[Ints, Ints]],
        weight: Floats,
        telling: Floats,
        *,
        least: float,
    ) -> None:
        """Add what dependence adds to the weights, where they may become `least`; `rows` by comparison."""
        matches, strangers = self._weights.matches, self._weights.strangers
        some = np.flatnonzero(weight >= least + strangers.least - matches.most)
        more = matches.excess(np.ascontiguousarray(found[:, some]))
        weight[some] += more
        telling[some] += more
        some = some[weight[some] >= least + strangers.least]
        here = np.ascontiguousarray(found[:, some])
        rare = [self._rare(i, column, rows[i][0][some], rows[i][1][some]) for i, column in enumerate(here)]
        weight[some] -= strangers.excess(here, rare)

    def _rare(self, i: int, column: npt.NDArray[np.int8], left: Ints, right: Ints) -> Floats | None:
        """float64[p]: the bits by which values are rarer than u; None where no level has a frequency."""
        total: Floats | None = None
        for level, frequency in enumerate(self._frequencies[i]):
            if frequency is None:
                continue
            total = np.zeros(len(column)) if total is None else total
            pairs = np.flatnonzero(column == level)
            code = frequency.column.code
            # the more frequent of two values: what it adds is less
            total[pairs] = np.minimum(frequency.added[code[left[pairs]]], frequency.added[code[right[pairs]]])
        return total


_NOTHING: Final = Pairs(
    left=np.empty(0, np.int32), right=np.empty(0, np.int32), pattern=np.empty(0, np.int64), weight=np.empty(0)
)


def gather(pieces: Sequence[Pairs]) -> Pairs:
    """All pairs of all pieces, by left, then right."""
    pieces = [_NOTHING, *pieces]
    left, right = np.concatenate([one.left for one in pieces]), np.concatenate([one.right for one in pieces])
    order = np.argsort((left.astype(np.int64) << 32) | right)  # no pair comes twice
    return Pairs(
        left=left[order],
        right=right[order],
        pattern=np.concatenate([one.pattern for one in pieces])[order],
        weight=np.concatenate([one.weight for one in pieces])[order],
    )


def _frequency(one: Comparer, level: int, u: Sequence[float], facts: Facts) -> _Frequency | None:
    found = one.comparison.levels[level]
    name = found.tf_adjustment_column
    if not name:
        return None
    column = one.columns[name]
    return _Frequency(added=frequency_weights(one.comparison, level, u, column.counts, facts), column=column)


def frequency_weights(one: Comparison, level: int, u: Sequence[float], counts: Ints, facts: Facts) -> Floats:
    """float64[k]: what a level with a term frequency adds for values that so many rows have; u of all its levels."""
    found = one.levels[level]
    name = found.tf_adjustment_column
    of_equality = u[one.equality(name) or 0]
    rows = max(facts.filled[name], 1)
    share, power = counts / rows, found.tf_adjustment_weight
    if found.u is None:
        squares = facts.squares[name] / rows**2
        share = np.maximum(share - max(squares - of_equality, 0.0), min(of_equality, 1 / rows))
        power *= min(of_equality / squares, 1.0) if squares else 1.0
    added: Floats = power * np.log2(of_equality / share)
    return added
