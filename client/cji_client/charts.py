"""Charts of a job with `link`: `result.chart.weights()` and the others, in the words of Splink.

    with worker.run("people.csv", "job.toml") as result:
        result.chart.weights()                        # in a notebook, the drawing
        result.chart.unlinkables().save("chart.svg")  # or .html

A chart is one SVG without a script and without values of records: notebooks are saved and sent. The page of a job,
report.html, has the same drawings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.report import link_charts
from cji_client.report.link_levels import Weights
from cji_client.report.sample import first_rows, rows_at
from cji_core.command.output import write_text
from cji_core.format.paths import FileName
from cji_core.operations.link import Link
from cji_core.page.markup import MOST_ROWS, standalone

_SUFFIXES: Final = (".svg", ".html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing: shown by a notebook, or saved as a file."""

    title: str
    svg: str = field(repr=False)

    @classmethod
    def of(cls, title: str, drawing: Element) -> "Chart":
        """The drawing of a page, by itself."""
        return cls(title=title, svg=standalone(drawing, title))

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, file: FileName) -> None:
        """Write it into a new file, .svg or .html, for its owner alone. SpecError if that is not possible."""
        path = Path(file)
        suffix = check_chart_file(path)
        about = (
            f'<meta charset="utf-8"><title>{escape(self.title)}</title><meta name="color-scheme" content="light dark">'
        )
        page = [f'<!DOCTYPE html>\n<html lang="en"><head>{about}</head><body>\n', self.svg, "</body></html>\n"]
        pieces = [self.svg] if suffix == ".svg" else page
        try:
            write_text(path, iter(pieces))
        except OSError as error:
            raise SpecError(f"{path} cannot be written ({error.strerror})") from None


def check_chart_file(path: Path) -> str:
    """The suffix of a new file for a chart; SpecError unless it is .svg or .html, and not there."""
    if path.suffix.lower() not in _SUFFIXES or path.exists():
        raise SpecError(f"{path} exists, or is not .svg or .html", remedy="Choose another name for the chart.")
    return path.suffix.lower()


class LinkCharts:
    """The charts of one result; each reads its outputs when it is drawn."""

    def __init__(self, read: Callable[[str], Iterator[pa.RecordBatch]], parameters: Link) -> None:
        """`read` gives the batches of an output, `parameters` are those of the job's `link`."""
        self._read, self._parameters = read, parameters

    def weights(self) -> Chart:
        """The bits that each level of each comparison adds."""
        return Chart.of("Match weights", link_charts.match_weights(Weights.of(self._read("levels"))))

    def waterfall(self, pair: int) -> Chart:
        """How the weight of one pair adds up; `pair` is its row in the output `pairs`, from 0."""
        found = rows_at(self._read("pairs"), {pair}).get(pair)
        if found is None:
            raise SpecError(f"the output pairs has no row {pair}", remedy="Rows count from 0.")
        pattern = rows_at(self._read("patterns"), {found["pattern"]})[found["pattern"]]
        weights = Weights.of(self._read("levels"))
        return Chart.of(f"Pair {pair}", link_charts.pair_waterfall(weights, found, pattern))

    def thresholds(self) -> Chart:
        """The share of false pairs to expect from each threshold on, with its interval."""
        lines, _ = first_rows(self._read("thresholds"), MOST_ROWS)
        return Chart.of("False pairs to expect", link_charts.thresholds(lines, self._parameters))

    def unlinkables(self) -> Chart:
        """Rows by their weight beside themselves: those below a threshold can match nothing."""
        steps, _ = first_rows(self._read("weights"), MOST_ROWS * 2)
        return Chart.of("Records that cannot match", link_charts.unlinkables(steps, self._parameters))
