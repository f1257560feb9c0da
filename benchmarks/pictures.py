"""Pictures as files. An SVG is drawn in dark colours where its reader's system is dark."""

from io import BytesIO
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

__all__ = ["save"]

_METADATA: Final = b"</metadata>\n"
# hues stay as they are; white becomes the dark grey of a page, black a light one
_DARK: Final = (
    b' <style type="text/css">@media (prefers-color-scheme: dark) '
    b"{ #figure_1 { filter: invert(0.88) hue-rotate(180deg) } }</style>\n"
)


def save(figure: Figure, target: Path) -> None:
    """Write a figure; the suffix of the file selects the format (SVG, PNG, PDF). An SVG has no date in it."""
    if target.suffix != ".svg":
        figure.savefig(target)
        return
    drawn = BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    target.write_bytes(drawn.getvalue().replace(_METADATA, _METADATA + _DARK, 1))
