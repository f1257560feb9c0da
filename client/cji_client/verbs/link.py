"""`cji link evaluate`: the quality of a linkage on a sample that people have labelled. `link_*` have the others."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from cji_client.charts import check_chart_file
from cji_client.verbs.answers import Evaluated, PairQuality
from cji_client.verbs.link_chart import chart
from cji_client.verbs.link_count import count
from cji_client.verbs.link_labels import labels
from cji_client.verbs.link_sample import Floats, Sample, read_listed, read_sample
from cji_client.verbs.link_train import train
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, print_json
from cji_operations.link import Curve, Quality, calibration, false_share, log2_odds

_SHOWN = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_FROM = (0.5, 0.75, 0.9, 0.95, 0.99)
_BINS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@click.group()
def link() -> None:
    """Work with models and results of `link`."""


link.add_command(count)
link.add_command(labels)
link.add_command(train)


@link.command()
@click.argument("folder", metavar="RESULT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    type=FILE,
    required=True,
    help="A label file, as `cji link labels new` writes it; or a table with record_id and person of each record.",
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

    Pairs of a label file stand for all listed pairs of about their weight: the figures are estimates for all of them if
    the file has all pairs of a weight, or a random sample, as `cji link labels new` draws it. A pair that is unsure or
    undecided counts for nothing. Of a table with record_id and person, all pairs of its records count. Labelled pairs
    that the result does not list count as below every threshold.

    \b
    Examples:
      cji link evaluate linked/ --labels labels.csv
      cji link evaluate linked/ --labels persons.csv --chart thresholds.html
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    if chart_file is not None:
        check_chart_file(chart_file)
    sample = read_sample(folder, labels_file)
    curve = sample.curve()
    threshold, best = curve.best()
    if as_json:
        print_json(_evaluated(sample, curve, match))
    console = Console(quiet=as_json)
    labelled = f"{sample.pairs} labelled pairs, {curve.true:.0f} of one person"
    standing = float(sample.each.sum())
    if standing > len(sample.each):
        labelled = f"{sample.pairs} labelled pairs, which stand for {standing:.0f} listed ones"
    _print_left_out(console, sample)
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
    _print_false_pairs(console, read_listed(folder).weight, curve, sorted({*_FROM, match}))
    _print_calibration(console, sample)
    if chart_file is not None:
        chart(curve, match=match, title=labelled).save(chart_file)


def _evaluated(sample: Sample, curve: Curve, match: float) -> Evaluated:
    threshold, best = curve.best()
    return Evaluated(
        pairs=sample.pairs,
        true=round(curve.true),
        unsure=sample.unsure,
        undecided=sample.undecided,
        uncovered=sample.uncovered,
        match=match,
        at_match=_quality(curve.at(log2_odds(match))),
        best_bits=threshold,
        at_best=_quality(best),
        clusters=_quality(sample.clusters),
    )


def _quality(one: Quality) -> PairQuality:
    found, right = round(one.found), round(one.right)
    return PairQuality(found=found, right=right, precision=one.precision, recall=one.recall, f1=one.f1)


def _print_left_out(console: Console, sample: Sample) -> None:
    if sample.unsure or sample.undecided:
        console.print(f"not counted: {sample.unsure} pairs that are unsure, {sample.undecided} that are undecided")
    if sample.uncovered:
        console.print(
            f"not covered: {sample.uncovered} listed pairs have a weight of which no pair is labelled; "
            "`cji link labels new --sample` draws from all"
        )


def _print(console: Console, title: str, rows: Sequence[tuple[str, Quality]]) -> None:
    table = Table("", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("found", "right", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for name, one in rows:
        figures = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1))
        table.add_row(name, f"{one.found:.0f}", f"{one.right:.0f}", *figures)
    console.print(table)


def _print_false_pairs(console: Console, weights: Floats, curve: Curve, scores: Sequence[float]) -> None:
    """The share of false pairs that the job expects, beside that of the labels."""
    table = Table("match score from", title="False pairs: listed pairs", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("listed", "expected", "lowest", "highest", "by labels"):
        table.add_column(name, justify="right")
    for score in scores:
        stated, labelled = false_share(weights[weights >= log2_odds(score)]), curve.at(log2_odds(score))
        if stated is not None:
            shares = (f"{share:.4f}" for share in (stated.expected, stated.low, stated.high))
            by_labels = f"{1 - labelled.precision:.4f}" if labelled.found else ""
            table.add_row(f"{score:g}", str(stated.pairs), *shares, by_labels)
    console.print(table)


def _print_calibration(console: Console, sample: Sample) -> None:
    table = Table("probability", title="Calibration: listed pairs", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("pairs", "mean probability", "of one person"):
        table.add_column(name, justify="right")
    listed = np.isfinite(sample.weight)
    for one in calibration(sample.probability[listed], sample.same[listed], _BINS):
        table.add_row(f"{one.low:g} to {one.high:g}", str(one.pairs), f"{one.probability:.4f}", f"{one.share:.4f}")
    console.print(table)
