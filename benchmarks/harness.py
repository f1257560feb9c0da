"""How all benchmarks measure: pairs in turns, the first ones thrown away, medians with their range.

A B A B ... and not A A B B: what the machine does beside us then falls on both. A ratio is the median of the ratios
of neighbours, not the ratio of two medians.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import msgspec

__all__ = ["Paired", "Result", "Spread", "paired", "percentile"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark found. Names end in their unit; ratios have none, and more is better.

    `growth` is cost as the work grows: (records, value) by name and unit.
    """

    name: str
    machine: dict[str, str | int]
    figures: dict[str, float]
    ratios: dict[str, float]
    growth: dict[str, list[tuple[int, float]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some measurements, and the lowest and highest of them."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(middle=median(values), low=min(values), high=max(values))

    def text(self, places: int = 0) -> str:
        """As people read it: `312 (290 to 330)`."""
        return f"{self.middle:.{places}f} ({self.low:.{places}f} to {self.high:.{places}f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two rates measured in turns, in units a second, and the first over the second pair by pair."""

    subject: Spread
    peer: Spread
    ratio: Spread


def paired(subject: Callable[[], float], peer: Callable[[], float], *, pairs: int, warm_up: int = 1) -> Paired:
    """Call both in turns and compare the rates that they return; the first `warm_up` pairs do not count."""
    both = [(subject(), peer()) for _ in range(warm_up + pairs)][warm_up:]
    return Paired(
        subject=Spread.of([ours for ours, _ in both]),
        peer=Spread.of([theirs for _, theirs in both]),
        ratio=Spread.of([ours / theirs for ours, theirs in both]),
    )


def percentile(values: Sequence[float], per_cent: int) -> float:
    """The smallest of the values that at least `per_cent` per cent of them do not exceed (nearest rank)."""
    return sorted(values)[-(-len(values) * per_cent // 100) - 1]
