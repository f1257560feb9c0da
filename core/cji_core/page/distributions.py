"""Distributions and evidence: a histogram with thresholds, m beside u, a pattern as a strip, a matrix of weights.

Like `plots`, each drawing is as wide as a phone in its own units, states its figures as titles and describes itself to
anyone who cannot see it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log1p
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.page.markup import element, visible

_WIDTH: Final = 336.0
_HEIGHT: Final = 90.0
_TOP: Final = 32.0
_MOST_COLUMNS: Final = 84
_ZONES: Final = ("rest", "against", "for")
_LINE: Final = 15.0
_LABEL: Final = 28
"""Characters of a label beside bars."""
_CENTRE: Final = 232.0
_REACH: Final = 64.0
_END: Final = 3.0
_CELL: Final = 26.0
_SQUARE: Final = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A threshold in a histogram, with its name."""

    at: float
    name: str


def histogram(first: float, counts: Sequence[int], marks: Sequence[Mark], what: str) -> Element:
    """Columns of a unit's width from `first` on, on a logarithmic scale, and at most two ascending marks.

    Columns from the first mark on, and from the second on, have colours of their own.
    """
    low, high = min(first, *(mark.at for mark in marks)) - 1, max(first + len(counts), *(mark.at for mark in marks)) + 1
    each = ceil((high - low) / _MOST_COLUMNS)
    start = int(low // each) * each
    sums = dict[int, int]()
    for number, count in enumerate(counts):
        column = int((first + number - start) // each)
        sums[column] = sums.get(column, 0) + count
    step, most = _WIDTH / ceil((high - start) / each), log1p(max(sums.values(), default=0))
    base = _TOP + _HEIGHT
    drawn = [element("line", class_="axis", x1="0", y1=f"{base:g}", x2=f"{_WIDTH:g}", y2=f"{base:g}")]
    for column, count in sorted(sums.items()):
        if count:
            at = start + column * each
            zone = _ZONES[sum(mark.at < at + each / 2 for mark in marks)]
            height = _HEIGHT * log1p(count) / most
            place = {"x": f"{column * step + step * 0.06:.2f}", "width": f"{step * 0.88:.2f}"}
            place |= {"y": f"{base - height:.2f}", "height": f"{height:.2f}"}
            drawn.append(element("rect", element("title", f"{at:g} to {at + each:g}: {count}"), class_=zone, **place))
    for number, mark in enumerate(marks):
        drawn += _mark(mark, (mark.at - start) / each * step, 10.0 + 14 * number, base)
    drawn += _ticks(start, each, step, base)
    words = ", ".join(f"{mark.name} from {mark.at:.1f}" for mark in marks)
    return _drawing(base + 16, drawn, f"{what}: {sum(counts)} in all; {words}")


def _mark(mark: Mark, x: float, y: float, base: float) -> list[Element]:
    line = element("line", class_="mark", x1=f"{x:.1f}", y1=f"{y + 3:g}", x2=f"{x:.1f}", y2=f"{base:g}")
    left = x > _WIDTH / 2
    text = element(
        "text",
        f"{mark.name} {mark.at:+.1f}",
        class_="end" if left else "side",
        x=f"{x + (-4 if left else 4):.1f}",
        y=f"{y:g}",
    )
    return [line, text]


def _ticks(start: int, each: int, step: float, base: float) -> list[Element]:
    width = _WIDTH / step * each
    apart = next(some for some in (2, 5, 10, 20, 50, 100) if width / some <= 9)
    first = ceil((start + width * 0.04) / apart) * apart
    places = range(first, int(start + width * 0.97) + 1, apart)
    return [
        element("text", f"{at:+d}" if at else "0", x=f"{(at - start) / each * step:.1f}", y=f"{base + 12:g}")
        for at in places
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A level of a comparison: its share among pairs of one person and of different persons, and its weight."""

    label: str
    m: float
    u: float
    weight: float


def opposed(outcomes: Sequence[Outcome], what: str) -> Element:
    """A line for each outcome: u to the left, m to the right, and the weight."""
    drawn = [
        element("text", "different", class_="end", x=f"{_CENTRE - _END:g}", y="9"),
        element("text", "one person", class_="side", x=f"{_CENTRE + _END:g}", y="9"),
        element("text", "bits", class_="end", x=f"{_WIDTH:g}", y="9"),
    ]
    for number, one in enumerate(outcomes):
        y = 14 + number * _LINE
        place = {"y": f"{y + 2:g}", "height": f"{_LINE - 4:g}"}
        left, right = _REACH * one.u, _REACH * one.m
        title = f"{one.label}: m {100 * one.m:.3g} %, u {100 * one.u:.3g} %, {one.weight:+.1f} bits"
        drawn += [
            element("text", _clipped(one.label), class_="side ink", x="0", y=f"{y + 11:g}"),
            element("rect", class_="against", x=f"{_CENTRE - left:.2f}", width=f"{left:.2f}", **place),
            element("rect", element("title", title), class_="for", x=f"{_CENTRE:g}", width=f"{right:.2f}", **place),
            element("text", f"{round(one.weight, 1) + 0.0:+.1f}", class_="end ink", x=f"{_WIDTH:g}", y=f"{y + 11:g}"),
        ]
    height = 14 + len(outcomes) * _LINE
    drawn.append(element("line", class_="axis", x1=f"{_CENTRE:g}", y1="12", x2=f"{_CENTRE:g}", y2=f"{height:g}"))
    words = "; ".join(f"{one.label}: m {one.m:.3g}, u {one.u:.3g}, {one.weight:+.1f} bits" for one in outcomes)
    return _drawing(height + 2, drawn, f"{what}: {words}")


def _clipped(label: str) -> str:
    return label if len(label) <= _LABEL else f"{visible(label[: _LABEL - 1], _LABEL)}…"


def strip(weights: Sequence[float | None], titles: Sequence[str], what: str) -> Element:
    """A square for each comparison of a pattern: for, against, or a value is missing; the stronger the more bits."""
    most = max((abs(weight) for weight in weights if weight is not None), default=0.0)
    drawn = []
    for number, (weight, title) in enumerate(zip(weights, titles, strict=True)):
        kind = "rail" if weight is None else "for" if weight >= 0 else "against"
        strength = 1.0 if weight is None or not most else 0.25 + 0.75 * abs(weight) / most
        place = {"x": f"{number * _SQUARE:g}", "y": "0", "width": f"{_SQUARE - 2:g}", "height": f"{_SQUARE - 2:g}"}
        drawn.append(element("rect", element("title", title), class_=kind, fill_opacity=f"{strength:.2f}", **place))
    box = f"0 0 {max(len(weights), 1) * _SQUARE:g} {_SQUARE - 2:g}"
    return element("svg", *drawn, class_="strip", viewBox=box, role="img", aria_label=what)


def matrix(size: int, weights: Mapping[tuple[int, int], float], what: str) -> Element:
    """The weight of each pair of `size` things, numbered from 1; a pair (first, second) without one is not listed."""
    side = (size + 1) * _CELL
    most = max(map(abs, weights.values()), default=0.0)
    drawn = []
    for number in range(size):
        middle = f"{(number + 1.5) * _CELL:g}"
        drawn += [
            element("text", str(number + 1), x=middle, y=f"{_CELL * 0.7:g}"),
            element("text", str(number + 1), x=f"{_CELL / 2:g}", y=f"{(number + 1.65) * _CELL:g}"),
        ]
    for first in range(size):
        for second in range(size):
            weight = weights.get((min(first, second), max(first, second)))
            x, y = (second + 1) * _CELL, (first + 1) * _CELL
            kind = "rail" if first == second or weight is None else "for" if weight >= 0 else "against"
            strength = 0.15 if weight is None or not most else 0.15 + 0.45 * abs(weight) / most
            place = {"x": f"{x + 1:g}", "y": f"{y + 1:g}", "width": f"{_CELL - 2:g}", "height": f"{_CELL - 2:g}"}
            drawn.append(element("rect", class_=kind, fill_opacity=f"{strength:.2f}", **place))
            if weight is not None and first != second:
                inside = {"x": f"{x + _CELL / 2:g}", "y": f"{y + _CELL * 0.65:g}"}
                drawn.append(element("text", f"{round(weight) + 0.0:+.0f}", class_="ink", **inside))
    words = ", ".join(f"{a + 1} and {b + 1} {weight:+.1f}" for (a, b), weight in sorted(weights.items()))
    return element(
        "svg",
        *drawn,
        class_="matrix",
        viewBox=f"0 0 {side:g} {side:g}",
        width=f"{side:g}",
        role="img",
        aria_label=f"{what}: {words}",
    )


def _drawing(height: float, drawn: Sequence[Element], label: str) -> Element:
    box = f"0 0 {_WIDTH:g} {height:g}"
    return element("svg", *drawn, class_="plot", viewBox=box, role="img", aria_label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floating:
    """A bar from `start` to `end` on a common scale, beside its label; `text` is its figure, `title` what it means."""

    label: str
    start: float
    end: float
    text: str
    title: str


def floating(bars: Sequence[Floating], what: str) -> Element:
    """A line for each bar: the label, the bar on one scale for all, and its figure. 0 is a line through all."""
    ends = [0.0, *(at for bar in bars for at in (bar.start, bar.end))]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0
    left, reach = _CENTRE - _REACH, 2 * _REACH - 12

    def at(x: float) -> float:
        return left + (x - low) / span * reach

    drawn = list[Element]()
    for number, bar in enumerate(bars):
        y, first, last = 2 + number * _LINE, at(min(bar.start, bar.end)), at(max(bar.start, bar.end))
        place = {"x": f"{first:.2f}", "y": f"{y + 2:g}", "width": f"{last - first:.2f}", "height": f"{_LINE - 4:g}"}
        kind = "for" if bar.end >= bar.start else "against"
        drawn += [
            element("text", _clipped(bar.label), class_="side ink", x="0", y=f"{y + 11:g}"),
            element("rect", element("title", bar.title), class_=kind, **place),
            element("text", bar.text, class_="end ink", x=f"{_WIDTH:g}", y=f"{y + 11:g}"),
        ]
    height = 2 + len(bars) * _LINE
    drawn.append(element("line", class_="axis", x1=f"{at(0):.1f}", y1="0", x2=f"{at(0):.1f}", y2=f"{height:g}"))
    return _drawing(height + 2, drawn, f"{what}: {'; '.join(f'{bar.label} {bar.text}' for bar in bars)}")
