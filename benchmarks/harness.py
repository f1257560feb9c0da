"""The measurement method of all benchmarks: alternating pairs in the quietest window, medians with their range.

A B A B ... and not A A B B, so that other load on the machine affects both sides; the first pairs are discarded. A
ratio is the median of the ratios of neighbouring runs, not the ratio of two medians. Work of one process counts its
CPU time (`rate`): other load changes it less than the time on the wall. `quiet` chooses among windows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import msgspec

from benchmarks.quiet import WINDOWS, Measured, quietest

__all__ = ["Paired", "Result", "Spread", "paired", "percentile", "rate"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one benchmark. Names end in their unit; ratios have none, and higher is better.

    `growth` is cost as the work grows: (records, value) by name and unit.
    """

    name: str
    machine: dict[str, str | int]
    figures: dict[str, float]
    ratios: dict[str, float]
    growth: dict[str, list[tuple[int, float]]] = {}
    load: float | None = None
    """The share of the machine that others took during the benchmark; None for a result from before it was noted."""
    loads: dict[str, float] = {}
    """The same for figures and ratios that have a window of their own."""

    def after(self, load: float) -> Self:
        """Note the loads of its numbers; `load` is that of the whole benchmark."""
        numbers = {**self.figures, **self.ratios}
        loads = {name: round(number.load, 3) for name, number in numbers.items() if isinstance(number, Measured)}
        plain = [{name: float(number) for name, number in each.items()} for each in (self.figures, self.ratios)]
        return msgspec.structs.replace(self, figures=plain[0], ratios=plain[1], load=round(load, 3), loads=loads)

    def load_of(self, name: str) -> float | None:
        """The load beside this figure or ratio."""
        return self.loads.get(name, self.load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median, minimum and maximum of some measurements."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], *, load: float | None = None) -> Self:
        """Of at least one value; the median keeps the load of its window."""
        middle = median(values)
        return cls(middle=middle if load is None else Measured.of(middle, load), low=min(values), high=max(values))

    def text(self, places: int = 0) -> str:
        """For display: `312 (290 to 330)`."""
        return f"{self.middle:.{places}f} ({self.low:.{places}f} to {self.high:.{places}f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two rates measured alternately, in units per second, and the ratio of the first to the second, pair by pair."""

    subject: Spread
    peer: Spread
    ratio: Spread
    load: float
    """The share of the machine that others took in the window of these pairs."""
    runs: int
    """Pairs that were run, those included that do not count."""
    counted: slice
    """The pairs that count among them: those of the quietest window."""


def paired(
    subject: Callable[[], float],
    peer: Callable[[], float],
    *,
    pairs: int,
    warm_up: int = 1,
    windows: int = WINDOWS,
) -> Paired:
    """Call both alternately and compare the rates that they return; the first `warm_up` pairs do not count."""
    runs = 0

    def turns(count: int) -> list[tuple[float, float]]:
        nonlocal runs
        runs += count
        return [(subject(), peer()) for _ in range(count)]

    turns(warm_up)
    window = quietest(lambda: turns(pairs), windows=windows)
    first = warm_up + window.number * pairs
    return Paired(
        subject=Spread.of([ours for ours, _ in window.value], load=window.load),
        peer=Spread.of([theirs for _, theirs in window.value], load=window.load),
        ratio=Spread.of([ours / theirs for ours, theirs in window.value], load=window.load),
        load=window.load,
        runs=runs,
        counted=slice(first, first + pairs),
    )


def rate(units: int, work: Callable[[], object]) -> Callable[[], float]:
    """Units of this work, which this process does with one thread, per second of its CPU time, for `paired`."""

    def measure() -> float:
        started = time.process_time()
        work()
        return units / (time.process_time() - started)

    return measure


def percentile(values: Sequence[float], per_cent: int) -> float:
    """The smallest value that at least `per_cent` per cent of the values do not exceed (nearest rank)."""
    return sorted(values)[-(-len(values) * per_cent // 100) - 1]
