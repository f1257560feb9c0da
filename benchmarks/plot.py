"""Results as pictures: every ratio beside its peer, and cost by size of the work, one unit an axis.

    python -m benchmarks.plot core.json core.svg

draws what `--json` wrote. A ratio has a row of its own with its peer's name on the left and its value on the right, so
that nothing overlaps however many there are. Curves of one unit share an axis and have their names at their ends.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.harness import Result
from benchmarks.kept import read
from benchmarks.peers import PEERS
from benchmarks.pictures import save

__all__ = ["by_unit", "draw", "write"]

Curve = tuple[str, Sequence[tuple[int, float]]]

_BETTER: Final = "#0b62a4"
_WORSE: Final = "#b3470b"
_ROW: Final = 0.3
_CURVES: Final = 2.6
_STYLE: Final = {"svg.hashsalt": "benchmarks", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_UNITS: Final = {"seconds": "seconds", "MiB": "MiB"}


def write(results: Sequence[Result], target: Path) -> None:
    """Draw the results; the suffix of the file selects the format (SVG, PNG, PDF)."""
    with mpl.rc_context(_STYLE):
        save(draw(results), target)


def draw(results: Sequence[Result]) -> Figure:
    """The figure: ratios first, then one axis for each unit of growth."""
    ratios = [
        (f"{result.name}: {name}\nover {PEERS.get((result.name, name), 'its peer')}", value)
        for result in results
        for name, value in result.ratios.items()
    ]
    units = by_unit(results)
    heights = ([1 + _ROW * 1.5 * len(ratios)] if ratios else []) + [_CURVES] * len(units)
    figure = Figure(figsize=(8, sum(heights) + 0.6), layout="constrained", facecolor="white")
    figure.suptitle(_where(results), fontsize=9, x=0.01, ha="left")
    axes: list[Axes] = []
    if heights:
        axes.extend(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    if ratios:
        _ratios(axes[0], ratios)
    for axis, (unit, curves) in zip(axes[1 if ratios else 0 :], units.items(), strict=True):
        _growth(axis, unit, curves)
    return figure


def by_unit(results: Iterable[Result]) -> dict[str, list[Curve]]:
    """The curves of all results by their unit, with what is left of their names."""
    found: dict[str, list[Curve]] = {}
    for result in results:
        for what, points in result.growth.items():
            unit = next((unit for name, unit in _UNITS.items() if what.endswith(name)), what)
            rest = what.removesuffix(unit).strip(" ,")
            if points:
                found.setdefault(unit, []).append((f"{result.name}, {rest}" if rest else result.name, points))
    return found


def _where(results: Sequence[Result]) -> str:
    """The machines and the days, as the results state them."""
    machines = {result.machine["cpu"]: result.machine["cores"] for result in results}
    days = sorted({f"{result.machine['date']}" for result in results})
    where = "; ".join(f"{cpu}, {cores} cores" for cpu, cores in machines.items())
    return f"{where}; {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def _ratios(axis: Axes, ratios: Sequence[tuple[str, float]]) -> None:
    rows = range(len(ratios))[::-1]
    for row, (_, value) in zip(rows, ratios, strict=True):
        colour = _BETTER if value >= 1 else _WORSE
        axis.plot([1, value], [row, row], color=colour, linewidth=1.5)
        axis.plot([value], [row], "o", color=colour, markersize=5)
        axis.text(1.02, row, f"{value:.2g}", transform=axis.get_yaxis_transform(), va="center", color=colour)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(list(rows), [name for name, _ in ratios], fontsize=8)
    axis.set_ylim(-0.6, len(ratios) - 0.4)
    axis.set_xscale("log")
    axis.margins(x=0.08)
    # only powers and halves of ten: more labels would run into each other
    axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.grid(visible=True, axis="x", alpha=0.25)
    axis.set_title("ratio to the peer in the same run; more is better", fontsize=9, loc="left")


def _growth(axis: Axes, unit: str, curves: Sequence[Curve]) -> None:
    styles = ("-", "--", "-.", ":")
    for i, (name, points) in enumerate(curves):
        axis.loglog(*zip(*points, strict=True), f"o{styles[i % len(styles)]}", markersize=3, label=name)
    axis.set(xlabel="records", ylabel=unit)
    axis.set_title(f"{unit} as the work grows", fontsize=9, loc="left")
    axis.grid(visible=True, which="major", alpha=0.25)
    # beside the lines, never over them
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8)


def main() -> None:
    """Draw the results in a file of `--json`."""
    source, target = map(Path, sys.argv[1:])
    write(read(source), target)


if __name__ == "__main__":
    main()
