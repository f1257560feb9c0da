"""A chart over time: a column for each step, oldest first, with what went well below and what did not above it."""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.page.markup import element, number

_HEIGHT: Final = 100.0
_GAP: Final = 0.15


def columns(steps: Sequence[tuple[int, int]], *, unit: str, first: str, last: str) -> Element:
    """The chart with its scale: each step is a count of what went well, and of what did not.

    `unit` is what is counted, in the plural and with its step; `first` and `last` name the two ends of time.
    """
    most, total = max((sum(step) for step in steps), default=0), sum(map(sum, steps))
    drawn = [part for i, step in enumerate(steps) for part in _column(i, *step, most=most)]
    base = element("rect", class_="zero", x="0", y=f"{_HEIGHT - 1:g}", width=str(len(steps)), height="1")
    svg = element(
        "svg",
        *drawn,
        base,
        class_="timeline",
        viewBox=f"0 0 {len(steps)} {_HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{unit}: {total} in all, {most} at most",
    )
    top = element("p", "most: ", number(most), f" {unit}", class_="scale")
    axis = element("p", element("span", first), element("span", last), class_="span")
    return element("figure", top, svg, axis)


def _column(position: int, good: int, bad: int, *, most: int) -> list[Element]:
    scale = (_HEIGHT - 1) / most if most else 0.0
    found = []
    floor = _HEIGHT - 1
    for kind, count in (("for", good), ("against", bad)):
        if count:
            height = count * scale
            floor -= height
            place = {"x": f"{position + _GAP / 2:g}", "y": f"{floor:.2f}", "width": f"{1 - _GAP:g}"}
            found.append(element("rect", class_=kind, height=f"{height:.2f}", **place))
    return found
