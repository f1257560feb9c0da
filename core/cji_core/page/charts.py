"""Charts: bars in the cells of a table, and clusters as points and lines. Colours are the stylesheet's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, inf, pi, sin
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.page.markup import element

_LENGTH: Final = 100.0
_HEIGHT: Final = 10.0
_WIDTH, _MIDDLE, _RADIUS, _POINT = 320, 80, 60, 11


def share(part: float, whole: float, *, urgent: bool = False) -> Element:
    """A bar as long as `part` of `whole`."""
    kind = "against" if urgent else "for"
    return _bar(_rectangle("rail", 0, _LENGTH), _rectangle(kind, 0, _part(part, whole)))


def waterfall(weights: Sequence[float]) -> list[Element]:
    """A bar for each weight, which starts where the one before ended, and one for their sum."""
    ends = [0.0]
    for weight in weights:
        ends.append(ends[-1] + weight)
    low, span = min(ends), max(ends) - min(ends)
    spans = [*pairwise(ends), (0.0, ends[-1])]
    return [
        _bar(
            _rectangle("rail", 0, _LENGTH),
            _rectangle(
                "for" if last >= first else "against",
                _part(min(first, last) - low, span),
                _part(abs(last - first), span),
            ),
            _rectangle("zero", min(_part(-low, span), _LENGTH - 0.5), 0.5),
        )
        for first, last in spans
    ]


def _part(length: float, whole: float) -> float:
    """`length` on the scale of a bar."""
    return _LENGTH * (length / whole) if 0 < whole < inf else 0.0


def _bar(*rectangles: Element) -> Element:
    # the figure is in the cell before
    return element(
        "svg", *rectangles, class_="bar", viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true"
    )


def _rectangle(kind: str, start: float, length: float) -> Element:
    place = {"x": f"{start:.2f}", "y": "0", "width": f"{length:.2f}", "height": f"{_HEIGHT:g}"}
    return element("rect", class_=kind, **place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A pair of points, by number; `label` is shown when a reader points at it."""

    first: int
    second: int
    bridge: bool
    label: str


def graph(groups: Sequence[int], lines: Sequence[Line]) -> Element:
    """At most two clusters side by side, each a circle of `groups[i]` points, numbered from 1 on through all."""
    places = [place for i, size in enumerate(groups) for place in _circle(size, i, len(groups))]
    drawn = [_line(line, *places[line.first], *places[line.second]) for line in lines]
    points = [part for i, place in enumerate(places) for part in _point(i + 1, *place)]
    height = 2 * _MIDDLE
    return element(
        "svg",
        *drawn,
        *points,
        class_="graph",
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=f"{len(places)} records and {len(lines)} pairs between them",
    )


def _circle(size: int, group: int, groups: int) -> list[tuple[float, float]]:
    centre = _WIDTH * (2 * group + 1) / (2 * groups)
    radius = _RADIUS if size > 1 else 0
    facing = (
        0.0 if group < groups - 1 else pi
    )  # the first points of two clusters face each other: a bridge crosses none
    turns = [facing + 2 * pi * i / size for i in range(size)]
    return [(centre + radius * cos(turn), _MIDDLE + radius * sin(turn)) for turn in turns]


def _line(line: Line, x1: float, y1: float, x2: float, y2: float) -> Element:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return element("line", element("title", line.label), class_="bridge" if line.bridge else "inside", **ends)


def _point(name: int, x: float, y: float) -> tuple[Element, Element]:
    return (
        element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=str(_POINT)),
        element("text", str(name), x=f"{x:.1f}", y=f"{y + 4:.1f}"),
    )
