"""The drawings of a `link`, for its page and for `result.chart`: from the outputs alone, without values of records."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from cji_client.report.link_levels import Weights
from cji_client.report.sample import Row
from cji_core.operations.link import Link
from cji_core.page.curves import Curve, curves
from cji_core.page.distributions import Floating, Mark, floating, histogram


def marks(parameters: Link) -> list[Mark]:
    """The thresholds of the job, in bits."""
    names = {"for a clerk": parameters.clerical_review_threshold, "match": parameters.match}
    return [Mark(at=float(np.log2(score / (1 - score))), name=name) for name, score in names.items()]


def all_weights(steps: Sequence[Row], parameters: Link) -> Element:
    """Compared pairs by weight; `steps` are rows of the output `weights`, at least one."""
    counts = [row["pairs"] for row in steps]
    return histogram(steps[0]["weight"], counts, marks(parameters), "pairs by weight in bits")


def unlinkables(steps: Sequence[Row], parameters: Link) -> Element:
    """Rows by their weight beside themselves."""
    first, counts = (steps[0]["weight"] if steps else 0.0), [row["rows"] for row in steps]
    return histogram(first, counts, marks(parameters), "rows by their weight beside themselves")


def match_weights(weights: Weights) -> Element:
    """The bits of every level, comparison by comparison, and the prior."""
    bars = [_bar("prior", 0.0, weights.prior["weight"], weights.prior["words"])]
    for levels in weights.comparisons:
        bars += [_bar(f"{row['comparison']}: {row['label']}", 0.0, row["weight"], row["words"]) for row in levels]
    return floating(bars, "match weights in bits")


def pair_waterfall(weights: Weights, pair: Mapping[str, Any], pattern: Mapping[str, Any]) -> Element:
    """The parts of the weight of a pair, each from where the one before ended, and their sum."""
    bars, at = list[Floating](), 0.0
    for words, bits in weights.parts(pair, pattern):
        bars.append(_bar(words, at, at + bits, words))
        at += bits
    return floating([*bars, _bar("together", 0.0, pair["weight"], "together")], "the weight of a pair in bits")


def thresholds(lines: Sequence[Row], parameters: Link) -> Element:
    """The expected share of false pairs from each weight on, and its interval; `lines` of the output `thresholds`."""
    rows = sorted(lines, key=lambda row: row["weight"])
    names = {"expected": "false_share", "highest": "high", "lowest": "low"}
    drawn = [
        Curve(name=name, points=[(row["weight"], row[column]) for row in rows if row[column] is not None])
        for name, column in names.items()
    ]
    return curves(drawn, marks(parameters), "match weight in bits", "false pairs to expect")


def _bar(label: str, start: float, end: float, title: str) -> Floating:
    bits = round(end - start, 1) + 0.0
    return Floating(label=label, start=start, end=end, text=f"{bits:+.1f}", title=title)
