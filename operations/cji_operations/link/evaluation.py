"""How good linkage is on pairs whose truth is known: precision, recall and F1 by threshold, and calibration.

Precision is the share of pairs above the threshold that are of one person, recall the share of pairs of one person that
are above it, F1 their harmonic mean.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Of `found` pairs, `right` are among the `true` ones; estimates where a sample stands for more pairs."""

    found: float
    right: float
    true: float

    @property
    def precision(self) -> float:
        """1 where no pair is found: none of them is wrong."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """1 where there is nothing to find."""
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """0 to 1."""
        total = self.found + self.true
        return 2 * self.right / total if total else 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Curve:
    """Quality at every threshold that makes a difference: weight float64[k], falling; found, right float64[k]."""

    weight: Floats
    found: Floats
    right: Floats
    true: float

    def at(self, weight: float) -> Quality:
        """With the pairs of at least this weight."""
        return self._quality(int(np.searchsorted(-self.weight, -weight, side="right")) - 1)

    def best(self) -> tuple[float, Quality]:
        """(threshold, quality) of the highest F1; infinity where no pair is better than none."""
        f1 = self.f1
        best = int(f1.argmax()) if len(f1) and f1.max() > self._quality(-1).f1 else -1
        return (float(self.weight[best]) if best >= 0 else np.inf), self._quality(best)

    def recall_at(self, precision: float) -> float:
        """The highest recall at a threshold with at least this precision."""
        return max((float(recall) for recall in self.recall[self.precision >= precision]), default=0.0)

    @property
    def precision(self) -> Floats:
        """float64[k]."""
        return self.right / self.found

    @property
    def recall(self) -> Floats:
        """float64[k]."""
        return self.right / max(self.true, 1)

    @property
    def f1(self) -> Floats:
        """float64[k]."""
        return 2 * self.right / (self.found + self.true)

    def _quality(self, number: int) -> Quality:
        if number < 0:
            return Quality(found=0, right=0, true=self.true)
        return Quality(found=float(self.found[number]), right=float(self.right[number]), true=self.true)


def curve(weight: Floats, same: Bools, true: float, each: Floats | None = None) -> Curve:
    """The quality of pairs of these weights, float64[p]; same bool[p]: of one person; `true` ones there are in all.

    each float64[p]: how many pairs each one stands for, where they are a sample; else one.
    """
    order = np.argsort(-weight, kind="stable")
    falling = weight[order]
    last = np.flatnonzero(np.append(np.diff(falling) != 0, np.ones(min(len(falling), 1), np.bool_)))
    share = np.ones(len(weight)) if each is None else each[order]
    found, right = np.cumsum(share)[last], np.cumsum(share * same[order])[last]
    return Curve(weight=falling[last], found=found, right=right, true=true)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Pairs with probabilities from `low` to below `high`: their mean, and the share of them that is of one person."""

    low: float
    high: float
    pairs: int
    probability: float
    share: float


def calibration(probability: Floats, same: Bools, edges: tuple[float, ...]) -> list[Bin]:
    """The bins between these edges that have pairs; with calibrated probabilities, the two columns are equal."""
    bins = list[Bin]()
    for low, high in pairwise(edges):
        rows = np.flatnonzero((probability >= low) & ((probability < high) | (high == edges[-1])))
        if len(rows):
            mean, share = float(probability[rows].mean()), float(same[rows].mean())
            bins.append(Bin(low=low, high=high, pairs=len(rows), probability=mean, share=share))
    return bins


def calibration_error(probability: Floats, same: Bools, edges: tuple[float, ...]) -> float:
    """How far mean probability and share are apart in the bins between these edges, weighed by their pairs."""
    bins = calibration(probability, same, edges)
    pairs = sum(one.pairs for one in bins)
    return sum(abs(one.probability - one.share) * one.pairs for one in bins) / pairs if pairs else 0.0


def cluster_quality(cluster: Ints, person: Ints) -> Quality:
    """Quality of clusters: pairs of rows of one cluster, beside pairs of rows of one person; both int64[n], from 0."""

    def pairs(groups: Ints) -> int:
        sizes = np.unique(groups, return_counts=True)[1]
        return int((sizes * (sizes - 1) // 2).sum())

    both = cluster.astype(np.int64) * (int(person.max(initial=0)) + 1) + person
    return Quality(found=pairs(cluster), right=pairs(both), true=pairs(person))
