"""`cji link evaluate`: the quality of a linkage on a sample that people have labelled. `link_count` has `count`."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from cji_client.errors import SpecError
from cji_client.verbs.answers import Evaluated, PairQuality
from cji_client.verbs.link_chart import chart
from cji_client.verbs.link_count import count
from cji_client.verbs.link_sample import Sample, read_sample
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, print_json
from cji_operations.link import Quality, calibration, log2_odds

_SHOWN = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_BINS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@click.group()
def link() -> None:
    """Work with models and results of `link`."""


link.add_command(count)


@link.command()
@click.argument("folder", metavar="RESULT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    type=FILE,
    required=True,
    help="The labelled sample, .csv, .parquet or .arrow: left_id, right_id and same (1 or 0), or record_id and person.",
)
@click.option("--match", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9, show_default=True)
@click.option(
    "--chart",
    "chart_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new .svg or .html file: precision, recall and F1 by threshold.",
)
@answers(Evaluated)
@explained
def evaluate(folder: Path, *, labels_file: Path, match: float, chart_file: Path | None, as_json: bool) -> None:
    """Compare the pairs and clusters in RESULT, the output folder of a job with `link`, with a labelled sample.

    The records need record ids. A sample of pairs lists pairs of ids; a sample of records lists the person of each, and
    all their pairs count. Pairs that the result does not list count as below every threshold.

    \b
    Examples:
      cji link evaluate linked/ --labels sample.csv
      cji link evaluate linked/ --labels persons.csv --chart thresholds.html
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    if chart_file is not None and (chart_file.suffix.lower() not in {".svg", ".html"} or chart_file.exists()):
        raise SpecError(f"{chart_file} exists, or is not .svg or .html", remedy="Choose another --chart.")
    sample = read_sample(folder, labels_file)
    curve = sample.curve()
    threshold, best = curve.best()
    if as_json:
        print_json(
            Evaluated(
                pairs=sample.pairs,
                true=curve.true,
                match=match,
                at_match=_quality(curve.at(log2_odds(match))),
                best_bits=threshold,
                at_best=_quality(best),
                clusters=_quality(sample.clusters),
            )
        )
    console = Console(quiet=as_json)
    labelled = f"{sample.pairs} labelled pairs, {curve.true} of one person"
    rows = [(f"{probability:g}", curve.at(log2_odds(probability))) for probability in sorted({*_SHOWN, match})]
    _print(console, f"Pairs by threshold: {labelled}", rows)
    _print(
        console,
        "At a glance",
        [
            (f"match {match:g}", curve.at(log2_odds(match))),
            (f"highest F1, from {threshold:.1f} bits", best),
            ("clusters", sample.clusters),
        ],
    )
    _print_calibration(console, sample)
    if chart_file is not None:
        chart_file.write_text(chart(curve, match=match, title=labelled, page=chart_file.suffix.lower() == ".html"))


def _quality(one: Quality) -> PairQuality:
    return PairQuality(found=one.found, right=one.right, precision=one.precision, recall=one.recall, f1=one.f1)


def _print(console: Console, title: str, rows: Sequence[tuple[str, Quality]]) -> None:
    table = Table("", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("found", "right", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for name, one in rows:
        figures = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1))
        table.add_row(name, str(one.found), str(one.right), *figures)
    console.print(table)


def _print_calibration(console: Console, sample: Sample) -> None:
    table = Table("probability", title="Calibration: listed pairs", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("pairs", "mean probability", "of one person"):
        table.add_column(name, justify="right")
    listed = np.isfinite(sample.weight)
    for one in calibration(sample.probability[listed], sample.same[listed], _BINS):
        table.add_row(f"{one.low:g} to {one.high:g}", str(one.pairs), f"{one.probability:.4f}", f"{one.share:.4f}")
    console.print(table)
