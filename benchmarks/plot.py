"""Results as a picture: every ratio relative to 1, and cost by size of the work."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.harness import Result

__all__ = ["write"]


def write(results: Sequence[Result], target: Path) -> None:
    """Draw the results; the suffix of the file selects the format (SVG, PNG, PDF)."""
    ratios = [(f"{result.name} / {peer}", ratio) for result in results for peer, ratio in result.ratios.items()]
    curves = [
        (f"{result.name}, {what}", points) for result in results for what, points in result.growth.items() if points
    ]
    figure = Figure(figsize=(13 if curves else 7, 1.5 + 0.3 * max(len(ratios), 8)), layout="constrained")
    axes = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    names, values = zip(*reversed(ratios), strict=True) if ratios else ((), ())
    axes[0].hlines(names, 1, values, colors=["tab:blue" if value >= 1 else "tab:orange" for value in values])
    for name, value in zip(names, values, strict=True):
        axes[0].plot(value, name, "o", color="tab:blue" if value >= 1 else "tab:orange")
        axes[0].annotate(f"{value:.2g}", (value, name), (0, 5), textcoords="offset points", ha="center")
    axes[0].axvline(1, color="black", linewidth=0.8)
    axes[0].set_xscale("log")
    axes[0].xaxis.set_major_formatter("{x:g}")
    axes[0].xaxis.set_minor_formatter("{x:g}")
    axes[0].margins(x=0.15, y=0.1)
    axes[0].set_title("ratio to the peer in the same run; more is better")
    if curves:
        for name, points in curves:
            axes[1].loglog(*zip(*points, strict=True), "o-", label=name)
        axes[1].set_xlabel("records")
        axes[1].set_title("cost as the work grows, one thread")
        axes[1].grid(visible=True, which="major", alpha=0.3)
        axes[1].legend()
    figure.savefig(target)
