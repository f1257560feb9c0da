"""The expected share of false pairs among those from a threshold on, and how far it may be from the truth.

thresholds    of each threshold: score, weight, pairs from it on, false_share (the mean of 1 - score of these pairs),
              low and high

A match score is not a probability that was checked on these records. An error of the model is mostly the same for many
pairs, and only people can find it; so the interval is the share if all weights were too low by `_LOW` bits, or too high
by `_HIGH`, and some pairs (`_UNSEEN`) were of relatives of one name or other doubles that no column separates, widened
by the chance in so many pairs. These numbers are chosen by corpora of known persons.

Shares are added up as whole numbers, so the sum does not depend on the order of pairs, or on who has which of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records.column import Ints
from cji_core.operations.link.outputs import THRESHOLDS
from cji_operations.link.score import log2_odds, probability

Floats = npt.NDArray[np.float64]

SCORES: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
_LOW: Final = 3.0
_HIGH: Final = 2.0
_UNSEEN: Final = 0.03
_ONE: Final = float(1 << 32)
"""The whole number that stands for a share of 1: 2**31 pairs can be added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseShare:
    """Of `pairs` pairs from a threshold on, this share is expected to be of two persons; it is in [low, high]."""

    pairs: int
    expected: float
    low: float
    high: float


def false_share(weights: Floats) -> FalseShare | None:
    """Of pairs of these weights, float64[p]; None without any."""
    return _of(_summed(weights, None))


def sums(weights: Floats, scores: Sequence[float], times: Ints | None = None) -> Ints:
    """int64[k, 4]: for `thresholds`: of the pairs that reach each score, pairs and the sums of their shares.

    weights float64[p]; times int64[p]: how many pairs each stands for.
    """
    found = np.zeros((len(set(scores)), 4), np.int64)
    for line, score in zip(found, sorted(set(scores)), strict=True):
        some = weights >= log2_odds(score)
        line[:] = _summed(weights[some], None if times is None else times[some])
    return found


def _summed(weights: Floats, times: Ints | None) -> Ints:
    shares = [np.rint((1 - probability(weights + bits)) * _ONE).astype(np.int64) for bits in (_LOW, 0.0, -_HIGH)]
    if times is None:
        return np.array([len(weights), *(int(one.sum()) for one in shares)], np.int64)
    return np.array([times.sum(), *(one @ times for one in shares)], np.int64)


def _of(summed: Ints) -> FalseShare | None:
    n = int(summed[0])
    if not n:
        return None
    low, expected, high = (float(one) / _ONE / n for one in summed[1:])
    high += _UNSEEN
    return FalseShare(
        pairs=n,
        expected=expected,
        low=max(low - _deviation(low, n) - 0.5 / n, 0.0),
        high=min(high + _deviation(min(high, 0.5), n) + 0.25 / n, 1.0),
    )


def _deviation(share: float, n: int) -> float:
    return float(np.sqrt(share * (1 - share) / n))


def thresholds(summed: Ints, scores: Sequence[float]) -> Iterator[pa.RecordBatch]:
    """The output of these `sums`: a line for each of the scores that some pair reaches."""
    lines = list[tuple[float, float, int, float, float, float]]()
    for score, line in zip(sorted(set(scores)), summed, strict=True):
        found = _of(line)
        if found is not None:
            lines.append((score, log2_odds(score), found.pairs, found.expected, found.low, found.high))
    schema = THRESHOLDS.schema.arrow
    columns = zip(*lines, strict=True) if lines else [()] * len(schema)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
