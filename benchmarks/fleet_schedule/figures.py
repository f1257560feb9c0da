"""The plots of docs/fleet/: how a fleet becomes ready, how a revocation reaches it, how an outage passes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.fleet_schedule import scenarios
from benchmarks.fleet_schedule.scenarios import Setting
from benchmarks.pictures import save

__all__ = ["write"]

_SIZE: Final = (7.2, 3.8)
Line = Sequence[tuple[float, float]]


def write(folder: Path, *, seed: int = 1) -> None:
    """Draw all plots as SVG; the same bytes for the same seed and versions of the libraries."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(
        {"svg.hashsalt": "fleet", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        _draw(
            folder / "start.svg",
            {
                "100 × 1": _shares(scenarios.start(Setting(workers=100), seed=seed).times),
                "300 × 1": _shares(scenarios.start(Setting(workers=300), seed=seed).times),
                "1000 × 1": _shares(scenarios.start(Setting(workers=1000), seed=seed).times),
                "1000 × 2": _shares(scenarios.start(Setting(workers=1000, versions=2), seed=seed).times),
                "1000 × 2, 5 vaults": _shares(
                    scenarios.start(Setting(workers=1000, versions=2, vaults=5), seed=seed).times
                ),
            },
            title="Workers with every key after a start at once (workers × versions)",
            x="minutes since the start",
            y="workers that are ready, %",
        )
        _draw(
            folder / "revocation.svg",
            {
                "100 × 1, 1 h": _falling(Setting(workers=100), seed),
                "1000 × 1, 1 h": _falling(Setting(workers=1000), seed),
                "1000 × 2, 1 h": _falling(Setting(workers=1000, versions=2), seed),
                "100 × 1, 15 min": _falling(Setting(workers=100, lifetime=900.0), seed),
            },
            title="Workers that still use a disabled key (workers × versions, lifetime)",
            x="minutes since it was disabled",
            y="workers that use it, %",
        )
        _draw(
            folder / "outage.svg",
            {
                f"{s.workers} × {s.versions}, {m} min": [
                    (at, 100 * share) for at, share in scenarios.outage(s, seconds=60.0 * m, seed=seed).curve
                ]
                for s, m in (
                    (Setting(workers=100), 60),
                    (Setting(workers=1000), 60),
                    (Setting(workers=1000, versions=2), 30),
                )
            },
            title="Workers that lack a key when the vault is away (workers × versions, outage)",
            x="minutes since the vault went away",
            y="workers that lack a key, %",
        )


def _shares(times: Sequence[float]) -> Line:
    return [(0.0, 0.0), *((at, 100 * (count + 1) / len(times)) for count, at in enumerate(times))]


def _falling(setting: Setting, seed: int) -> Line:
    return [(at, 100 - share) for at, share in _shares(scenarios.revocation(setting, seed=seed).times)]


def _draw(target: Path, lines: Mapping[str, Line], *, title: str, x: str, y: str) -> None:
    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    axes: Axes = figure.subplots()
    for (label, points), style in zip(lines.items(), ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))), strict=False):
        axes.plot([at / 60 for at, _ in points], [value for _, value in points], label=label, linestyle=style)
    axes.set_title(title, fontsize=10)
    axes.set(xlabel=x, ylabel=y, ylim=(0, 101))
    axes.set_xlim(left=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
    save(figure, target)
