"""The threshold chart of `cji link evaluate`: one file, without a network, for light and dark screens and for paper."""

from html import escape
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_operations.link import Curve, log2_odds

Floats = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 120, 44, 56
_POINTS: Final = 400
_LINES: Final = (("precision", "a"), ("recall", "b"), ("F1", "c"))
_STYLE: Final = """
svg { color: #1c1c1c; background: #ffffff; font: 13px system-ui, sans-serif; --a: #0b62a4; --b: #b3470b; --c: #4d7a1f; }
@media (prefers-color-scheme: dark) {
  svg { color: #e6e6e6; background: #161616; --a: #6cb2eb; --b: #f0965a; --c: #a3cf6f; }
}
@media print { svg { color: #000000; background: #ffffff; --a: #0b62a4; --b: #b3470b; --c: #4d7a1f; } }
text { fill: currentColor; } .grid { stroke: currentColor; stroke-opacity: 0.15; } .axis { stroke: currentColor; }
.match { stroke: currentColor; stroke-dasharray: 4 3; } path { fill: none; stroke-width: 2; }
path.a { stroke: var(--a); } path.b { stroke: var(--b); stroke-dasharray: 8 3; }
path.c { stroke: var(--c); stroke-dasharray: 2 2; }
text.a { fill: var(--a); } text.b { fill: var(--b); } text.c { fill: var(--c); }
"""


def chart(curve: Curve, *, match: float, title: str, page: bool) -> str:
    """Precision, recall and F1 by match weight, as SVG, or as a `page` of HTML with it."""
    svg = _svg(curve, match=match, title=title)
    if not page:
        return svg
    name = escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="color-scheme" content="light dark"></head><body>\n{svg}</body></html>\n'
    )


def _svg(curve: Curve, *, match: float, title: str) -> str:
    low, high = _span(curve, log2_odds(match))
    at = np.linspace(low, high, _POINTS)
    qualities = [curve.at(float(weight)) for weight in at]
    lines = {
        "precision": np.array([one.precision for one in qualities]),
        "recall": np.array([one.recall for one in qualities]),
        "F1": np.array([one.f1 for one in qualities]),
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" width="{_WIDTH}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 22, escape(title)),
        *_grid(low, high),
    ]
    x = _x(np.array([log2_odds(match)]), low, high)[0]
    parts.append(f'<line class="match" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>')
    parts.append(_text(x + 4, _TOP - 4, f"match {match:g}"))
    ends = {name: float(_y(values[-1:])[0]) for name, values in lines.items()}
    for (name, style), y in zip(_LINES, _apart([ends[name] for name, _ in _LINES]), strict=True):
        points = " L".join(f"{px:.1f} {py:.1f}" for px, py in zip(_x(at, low, high), _y(lines[name]), strict=True))
        parts.append(f'<path class="{style}" d="M{points}"/>')
        parts.append(f'<text class="{style}" x="{_WIDTH - _RIGHT + 8}" y="{y + 4:.1f}">{name}</text>')
    return "\n".join((*parts, "</svg>\n"))


def _grid(low: float, high: float) -> list[str]:
    parts = list[str]()
    for value in np.linspace(0, 1, 6):
        y = float(_y(np.array([value]))[0])
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{value:.1f}", anchor="end"))
    step = max(1, int((high - low) // 10))
    for weight in range(int(np.ceil(low)), int(high) + 1, step):
        x = float(_x(np.array([float(weight)]), low, high)[0])
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, str(weight), anchor="middle"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, "match weight in bits", anchor="middle"))
    return parts


def _span(curve: Curve, match: float) -> tuple[float, float]:
    """The weights that are shown: those of the pairs, and the threshold."""
    weights = np.append(curve.weight, match)
    return float(weights.min()) - 0.5, float(weights.max()) + 0.5


def _apart(positions: list[float]) -> list[float]:
    """Places for labels that would lie on each other, a line apart."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    for one, other in pairwise(order):
        positions[other] = max(positions[other], positions[one] + 16)
    return positions


def _x(weights: Floats, low: float, high: float) -> Floats:
    found: Floats = _LEFT + (weights - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
    return found


def _y(values: Floats) -> Floats:
    found: Floats = _HEIGHT - _BOTTOM - values * (_HEIGHT - _TOP - _BOTTOM)
    return found


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
