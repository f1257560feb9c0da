"""The measurement method of all benchmarks: alternating pairs, the first ones discarded, medians with their range.

A B A B ... and not A A B B, so that other load on the machine affects both sides. A ratio is the median of the ratios
of neighbouring runs, not the ratio of two medians.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import msgspec

__all__ = ["Paired", "Result", "Spread", "paired", "percentile"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one benchmark. Names end in their unit; ratios have none, and higher is better.

    `growth` is cost as the work grows: (records, value) by name and unit.
    """

    name: str
    machine: dict[str, str | int]
    figures: dict[str, float]
    ratios: dict[str, float]
    growth: dict[str, list[tuple[int, float]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median, minimum and maximum of some measurements."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(middle=median(values), low=min(values), high=max(values))

    def text(self, places: int = 0) -> str:
        """For display: `312 (290 to 330)`."""
        return f"{self.middle:.{places}f} ({self.low:.{places}f} to {self.high:.{places}f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two rates measured alternately, in units per second, and the ratio of the first to the second, pair by pair."""

    subject: Spread
    peer: Spread
    ratio: Spread


def paired(subject: Callable[[], float], peer: Callable[[], float], *, pairs: int, warm_up: int = 1) -> Paired:
    """Call both alternately and compare the rates that they return; the first `warm_up` pairs do not count."""
    both = [(subject(), peer()) for _ in range(warm_up + pairs)][warm_up:]
    return Paired(
        subject=Spread.of([ours for ours, _ in both]),
        peer=Spread.of([theirs for _, theirs in both]),
        ratio=Spread.of([ours / theirs for ours, theirs in both]),
    )


def percentile(values: Sequence[float], per_cent: int) -> float:
    """The smallest value that at least `per_cent` per cent of the values do not exceed (nearest rank)."""
    return sorted(values)[-(-len(values) * per_cent // 100) - 1]
