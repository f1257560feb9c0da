"""Curves between 0 and 1, such as precision and recall by threshold, each with its name at its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

from cji_core.page.distributions import Mark
from cji_core.page.markup import element

Scale: TypeAlias = Callable[[float], float]

_WIDTH: Final = 336.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 26.0, 66.0, 30.0, 30.0
_HEIGHT: Final = 204.0
_LINE: Final = 12.0
"""Between two names."""
_TICKS: Final = 8
MOST_CURVES: Final = 3
"""The stylesheet has this number of colours and dashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points (x, y), x ascending, y between 0 and 1."""

    name: str
    points: Sequence[tuple[float, float]]


def curves(drawn: Sequence[Curve], marks: Sequence[Mark], axis: str, what: str) -> Element:
    """At most MOST_CURVES curves over one axis, which is named; at most two marks are vertical lines."""
    every = [x for curve in drawn for x, _ in curve.points] + [mark.at for mark in marks]
    low, high = min(every, default=0.0), max(every, default=1.0)
    span = (high - low) or 1.0
    inner = _WIDTH - _LEFT - _RIGHT

    def at_x(x: float) -> float:
        return _LEFT + (x - low) / span * inner

    def at_y(y: float) -> float:
        return _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM)

    parts = [*_grid(low, span, at_x, at_y), *_marks(marks, at_x)]
    ends = _apart([at_y(curve.points[-1][1]) if curve.points else 0.0 for curve in drawn])
    for number, (curve, end) in enumerate(zip(drawn[:MOST_CURVES], ends, strict=False), 1):
        path = " L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in curve.points)
        parts.append(element("path", element("title", curve.name), class_=f"curve curve-{number}", d=f"M{path}"))
        parts.append(_text(curve.name, _WIDTH - _RIGHT + 4, end + 4, f"side curve-{number}"))
    parts.append(_text(axis, _LEFT + inner / 2, _HEIGHT - 4))
    label = "; ".join((what, *(f"{mark.name} {mark.at:.3g}" for mark in marks), *map(_described, drawn)))
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return element("svg", *parts, class_="plot", viewBox=box, role="img", aria_label=label)


def _grid(low: float, span: float, at_x: Scale, at_y: Scale) -> list[Element]:
    parts = list[Element]()
    for tenths in range(0, 11, 2):
        y = at_y(tenths / 10)
        ends = {"x1": f"{_LEFT:g}", "x2": f"{_WIDTH - _RIGHT:g}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        parts.append(element("line", class_="axis", **ends))
        parts.append(_text(f"{tenths / 10:g}", _LEFT - 4, y + 4, "end"))
    step = next(each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, inf) if span / each <= _TICKS)
    tick = ceil(low / step) * step if step < inf else inf
    while tick <= low + span:
        parts.append(_text(f"{round(tick, 1):g}", at_x(tick), _HEIGHT - _BOTTOM + 13))
        tick += step
    return parts


def _marks(marks: Sequence[Mark], at_x: Scale) -> list[Element]:
    parts = list[Element]()
    for number, mark in enumerate(marks):
        x, y = at_x(mark.at), 10 + _LINE * number
        ends = {"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": f"{y + 3:g}", "y2": f"{_HEIGHT - _BOTTOM:g}"}
        left = x > _WIDTH / 2
        name = _text(mark.name, x + (-4 if left else 4), y, "end" if left else "side")
        parts += [element("line", class_="mark", **ends), name]
    return parts


def _apart(positions: list[float]) -> list[float]:
    """Places for names that would lie on each other, a line apart."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    for one, other in pairwise(order):
        positions[other] = max(positions[other], positions[one] + _LINE)
    return positions


def _text(text: str, x: float, y: float, kind: str = "") -> Element:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", **({"class_": kind} if kind else {}))


def _described(curve: Curve) -> str:
    """The ends of a curve, for anyone who cannot see it."""
    if not curve.points:
        return f"{curve.name}: nothing"
    (first, from_), (last, to) = curve.points[0], curve.points[-1]
    return f"{curve.name}: {from_:.3f} at {first:.3g}, {to:.3f} at {last:.3g}"
