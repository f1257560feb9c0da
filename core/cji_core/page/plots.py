"""Plots of amounts over time: columns side by side, and a week of hours. Colours are the stylesheet's.

A plot is as wide as a phone in its own units, so its labels are never smaller than they are there. Each column and hour
has a title with its exact amount; anyone who cannot see the plot gets its description.
"""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from cji_core.page.markup import element

_WIDTH: Final = 336.0
_COLUMN_HEIGHT: Final = 80.0
_TOP: Final = 16.0
_BOTTOM: Final = 16.0
_MOST_AMOUNTS: Final = 12
"""Columns above which each amount is written."""
_SIDE: Final = 28.0
_CELL: Final = 15.0
_GAP: Final = 1.5
_HOURS: Final = 24


def columns(amounts: Sequence[int], labels: Sequence[str], what: str) -> Element:
    """A column for each amount above its label; an empty label leaves room for its neighbours.

    The amount is written above each column if there are few, else above the highest only.
    """
    most, step = max(amounts, default=0), _WIDTH / max(len(amounts), 1)
    base = _TOP + _COLUMN_HEIGHT
    highest = amounts.index(most) if most else -1
    drawn = [element("line", class_="axis", x1="0", y1=f"{base:g}", x2=f"{_WIDTH:g}", y2=f"{base:g}")]
    for i, (amount, label) in enumerate(zip(amounts, labels, strict=True)):
        height = _COLUMN_HEIGHT * amount / most if most else 0.0
        middle = step * (i + 0.5)
        bar = {"x": f"{step * i + _GAP:.2f}", "width": f"{step - 2 * _GAP:.2f}"}
        bar |= {"y": f"{base - height:.2f}", "height": f"{height:.2f}"}
        drawn.append(element("rect", element("title", f"{label}: {amount}"), class_="for", **bar))
        if amount and (len(amounts) <= _MOST_AMOUNTS or i == highest):
            at = min(max(middle, 3 * len(short(amount))), _WIDTH - 3 * len(short(amount)))
            drawn.append(element("text", short(amount), class_="amount", x=f"{at:.1f}", y=f"{base - height - 4:.1f}"))
        if label:
            drawn.append(element("text", label, x=f"{middle:.1f}", y=f"{base + 12:.1f}"))
    return _plot(base + _BOTTOM, drawn, f"{what}: {_listed(labels, amounts)}")


def week_of_hours(amounts: Sequence[int], days: Sequence[str], what: str) -> Element:
    """A square for each of 24 hours of each day, the stronger the more there was in it."""
    most = max(amounts, default=0)
    width = (_WIDTH - _SIDE) / _HOURS
    drawn = [
        element("text", f"{hour}:00", x=f"{_SIDE + width * (hour + 0.5):.1f}", y="10") for hour in range(2, _HOURS, 4)
    ]
    for day, name in enumerate(days):
        y = _TOP + day * _CELL
        drawn.append(element("text", name, class_="side", x="0", y=f"{y + 11:.1f}"))
        for hour in range(_HOURS):
            amount = amounts[day * _HOURS + hour]
            square = {"x": f"{_SIDE + hour * width:.2f}", "y": f"{y:.2f}", "width": f"{width - _GAP:.2f}"}
            square |= {"height": f"{_CELL - _GAP:.2f}"}
            title = element("title", f"{name} {hour}:00: {amount}")
            square["fill_opacity"] = f"{0.35 + 0.65 * amount / most:.2f}" if amount else "0.4"
            drawn.append(element("rect", title, class_="for" if amount else "rail", **square))
    sums = [sum(amounts[day * _HOURS : (day + 1) * _HOURS]) for day in range(len(days))]
    return _plot(_TOP + len(days) * _CELL, drawn, f"{what}, by hour: {_listed(days, sums)}")


def short(amount: float) -> str:
    """An amount in at most five characters: 950, 1.2k, 34M."""
    for unit, name in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= unit:
            found = int(amount / unit * 10) / 10
            return f"{found:.1f}{name}" if found < 10 and found % 1 else f"{int(found)}{name}"
    return f"{amount:g}"


def _listed(labels: Sequence[str], amounts: Sequence[int]) -> str:
    return ", ".join(f"{label} {amount}" for label, amount in zip(labels, amounts, strict=True) if label)


def _plot(height: float, drawn: Sequence[Element], label: str) -> Element:
    box = f"0 0 {_WIDTH:g} {height:g}"
    return element("svg", *drawn, class_="plot", viewBox=box, role="img", aria_label=label)
