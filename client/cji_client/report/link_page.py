"""The page of `link` for an analyst: what came out and what to do next, then pairs, weights, the model, clusters.

What is found of a field is what the worker's comparisons found: no value is compared here. Row i of the result is row i
of the records where no other operation follows; else the page has ids and weights only. Its length does not grow with
the result: an index names some pairs of each kind, and the tables beside the page have the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa

from cji_client.report import link_charts
from cji_client.report.clusters import Record, draw_all, drawings
from cji_client.report.job import Job
from cji_client.report.link_levels import Weights
from cji_client.report.link_pairs import Pairs, ends
from cji_client.report.sample import NOT_WANTED, Least, Row, column, first_rows, rows_at
from cji_client.row_summary import RowSummary
from cji_core.operations.link import Link
from cji_core.operations.link.outputs import CLUSTER, SIDE
from cji_core.page.charts import share
from cji_core.page.markup import MOST_ROWS, Part, element, facts, number, section, table, value

MOST_PAIRS: Final = 10
"""Of each kind."""
MOST_PATTERNS: Final = 8
MOST_GAPS: Final = 4
"""Kinds of incomplete rows."""

_EXPECTED: Final = (
    "Of the pairs from a match score on, so many are expected to be of two persons. The estimate is the model's own; "
    "only decisions of people on these records can check it, and `cji link evaluate` compares them."
)
_FOLLOWED: Final = "Another operation follows, so the records themselves are not on this page."
_KINDS: Final = {
    "review": ("Pairs for a clerk", "Too likely to leave out, too unlikely to join. The likeliest first."),
    "bridges": ("Bridges", "Pairs that match, while their clusters as a whole do not. The strongest first."),
    "weak": ("The weakest matches", "Matches inside one cluster. Look here for records that are joined wrongly."),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """One pass over the pairs and the clusters: samples of pairs by kind, and numbers."""

    samples: Mapping[str, Least]
    linked: int
    clusters: int
    spared: int

    @property
    def pairs(self) -> list[Row]:
        """Of all samples."""
        return [row for sample in self.samples.values() for row in sample.rows]


def sections(job: Job, parameters: Link) -> Iterable[Element]:
    """The sections of a job's page."""
    linked_to, aligned = SIDE in job.sides, job.operations[-1] is parameters
    found = _found(job)
    shown = drawings(job, linked_to=linked_to) if aligned else []
    wanted = {record for drawing in shown for record in drawing.records} | {
        end for pair in found.pairs for end in ends(pair, linked_to)
    }
    records = _records(job, wanted) if aligned else {}
    weights = Weights.of(job.read("levels"))
    patterns = rows_at(job.read("patterns"), {pair["pattern"] for pair in found.pairs})
    pairs = Pairs(weights=weights, patterns=patterns, records=records, linked_to=linked_to)
    steps, _ = first_rows(job.read("weights"), MOST_ROWS * 2)
    gaps, of_gaps = _gaps(job)
    yield section(
        "Link: the result",
        facts(_figures(job, found, linked_to=linked_to)),
        *([] if aligned else [element("p", _FOLLOWED, class_="more")]),
        element("h3", "What to do next"),
        element("ol", *(element("li", *words) for words in _next_steps(found, of_gaps)), class_="steps"),
    )
    for kind, (title, words) in _KINDS.items():
        yield section(title, element("p", words), *pairs.index(found.samples[kind]))
    yield section("All weights", *_all_weights(steps, parameters))
    yield section("False pairs to expect", element("p", _EXPECTED), _false_pairs(job, parameters))
    yield section("Patterns of agreement", *_patterns(job, weights))
    yield section("The model", *_model(weights))
    yield section("Records that cannot match", *_cannot_match(steps, gaps, of_gaps, parameters))
    yield from _not_used(job, aligned=aligned)
    if shown:
        words = "A line is a pair that matches or is joined; a dashed line is a bridge. The squares have their bits."
        yield section("Clusters", element("p", words), *draw_all(shown, records))
    yield section("Blocking rules", _closed("Pairs that each rule made", _blocks(job)))


def _found(job: Job) -> _Found:
    samples = {
        "review": Least(MOST_PAIRS, lambda b: np.where(column(b, "match"), NOT_WANTED, -column(b, "weight"))),
        "bridges": Least(
            MOST_PAIRS,
            lambda b: np.where(column(b, "match") & ~column(b, "joined"), -column(b, "weight"), NOT_WANTED),
        ),
        "weak": Least(
            MOST_PAIRS, lambda b: np.where(column(b, "match") & column(b, "joined"), column(b, "weight"), NOT_WANTED)
        ),
    }
    linked, last = 0, -1
    for batch in job.read("pairs"):
        for sample in samples.values():
            sample.add(batch)
        left = column(batch, "left")[column(batch, "joined")].astype(np.int64)  # ascending over all batches
        linked += int(np.count_nonzero(np.diff(left, prepend=last)))
        last = int(left[-1]) if len(left) else last
    clusters = spared = 0
    for batch in job.read("clusters"):
        clusters += batch.num_rows
        spared += int((column(batch, "rows").astype(np.int64) - 1).sum())
    return _Found(samples=samples, linked=linked, clusters=clusters, spared=spared)


def _figures(job: Job, found: _Found, *, linked_to: bool) -> dict[str, Part]:
    matches = found.samples["bridges"].total + found.samples["weak"].total
    persons: dict[str, Part] = (
        {"records with one of link_to": number(found.linked)}
        if linked_to
        else {"persons": number(job.rows - found.spared), "of them with several records": number(found.clusters)}
    )
    return {
        "records": number(job.rows),
        **persons,
        "pairs that match": number(matches),
        "pairs for a clerk": number(found.samples["review"].total),
        "bridges": number(found.samples["bridges"].total),
    }


def _next_steps(found: _Found, of_gaps: Mapping[str, int]) -> Iterable[Sequence[Part]]:
    review, bridges, weak = (found.samples[kind].total for kind in _KINDS)
    if review:
        yield (
            "Decide the pairs for a clerk (",
            number(review),
            "): ",
            element("code", "cji link labels new RESULT"),
            " writes them into a label file; RESULT is the folder of this page.",
        )
    if bridges:
        yield "Look at the bridges (", number(bridges), "): the pair is wrong, or a record is in the wrong cluster."
    if weak:
        yield ("Look at the weakest matches, and at the clusters that hold together least.",)
    if review or bridges or weak:
        yield (
            "Measure: ",
            element("code", "cji link labels new RESULT --sample 300 -o sample.csv"),
            ", fill it in, then ",
            element("code", "cji link evaluate RESULT --labels sample.csv"),
            " states precision and recall at each threshold.",
        )
    if of_gaps["below_match"]:
        yield "Complete the rows that have too few values to match any other (", number(of_gaps["below_match"]), ")."
    if not (review or bridges or weak or of_gaps["below_match"]):
        yield ("Nothing: no pair is listed.",)


def _all_weights(steps: Sequence[Row], parameters: Link) -> list[Element]:
    counts = [row["pairs"] for row in steps]
    if not sum(counts):
        return [element("p", "No pair was compared.", class_="more")]
    clerk, match = parameters.clerical_review_threshold, parameters.match
    words = (
        ", by weight in bits, listed or not, on a logarithmic scale. A pair is for a clerk from match "
        f"score {clerk:g}, and matches from {match:g}. Two hills with few pairs between them are the best sign."
    )
    drawn = link_charts.all_weights(steps, parameters)
    return [element("p", "Compared pairs: ", number(sum(counts)), words), element("figure", drawn)]


def _patterns(job: Job, weights: Weights) -> list[Element]:
    sample = Least(MOST_PATTERNS, lambda batch: -column(batch, "pairs").astype(np.float64))
    for batch in job.read("patterns"):
        sample.add(batch)
    if not sample.total:
        return [element("p", "No pair is listed.", class_="more")]
    words = (
        "What listed pairs have in common, the commonest first: a square for each comparison, blue for one person, "
        "orange against, grey where a value is missing; the stronger the more bits."
    )
    entries = [
        element(
            "details",
            element(
                "summary",
                number(row["pairs"]),
                " pairs",
                weights.strip(row),
                number(row["weight"], 1, sign=True),
                " bits",
            ),
            element("ul", *(element("li", each) for each in row["words"].split("; ")), class_="records"),
            class_="card",
        )
        for row in sample.rows
    ]
    more = sample.total - len(sample.rows)
    return [
        element("p", words),
        *entries,
        *([element("p", f"{more} more are in patterns.", class_="more")] if more else []),
    ]


def _model(weights: Weights) -> list[Element]:
    words = (
        "How often each level occurs among pairs of one person (m, to the right) and of different persons (u, to the "
        "left), and the bits that follow: log2(m/u)."
    )
    return [
        element("p", words),
        element("p", weights.prior["words"], "."),
        *weights.charts(),
        element("details", element("summary", "Every weight of the model, in a sentence"), weights.levels()),
    ]


def _gaps(job: Job) -> tuple[list[Row], dict[str, int]]:
    """(the kinds of rows of which the most cannot match, numbers of all rows)."""
    names = ("rows", "below_match", "below_review")
    sample, total = Least(MOST_GAPS, _rank_of_gap), dict.fromkeys(names, 0)
    for batch in job.read("completeness"):
        sample.add(batch)
        for name in names:
            total[name] += int(column(batch, name).sum())
    return sample.rows, total


def _rank_of_gap(batch: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    below = column(batch, "below_match").astype(np.float64)
    return np.where(below > 0, -below, NOT_WANTED)


def _cannot_match(
    steps: Sequence[Row], gaps: Sequence[Row], total: Mapping[str, int], parameters: Link
) -> list[Element]:
    counts = [row["rows"] for row in steps]
    if not sum(counts):
        return [element("p", "There are no rows.", class_="more")]
    words: list[Part] = ["Each row beside itself, by weight. ", number(total["below_match"]), " of "]
    words += [number(total["rows"]), " rows would not match a record that agrees in all that they have, and "]
    words += [
        number(total["below_review"]),
        " would not even reach a clerk: they have too few values, or too common ones.",
    ]
    drawn = link_charts.unlinkables(steps, parameters)
    rows: list[Sequence[Part]] = [
        (
            _present(row),
            number(row["below_match"]),
            number(row["rows"]),
            share(row["below_match"], row["rows"], urgent=True),
        )
        for row in gaps
    ]
    lines = [table(("values for", "cannot match", "of rows", ""), rows)] if rows else []
    return [element("p", *words), element("figure", drawn), *lines]


def _present(row: Row) -> str:
    present, missing = row["present"], row["missing"]
    if not missing:
        return "everything"
    return f"all but {missing}" if 0 < len(missing) < len(present) else f"only {present}" if present else "nothing"


def _records(job: Job, wanted: Iterable[Record]) -> Mapping[Record, Row]:
    rows = {other: {row for of_other, row in wanted if of_other is other} for other in (False, True)}
    found = {(False, at): row for at, row in rows_at(job.read("result"), rows[False]).items()}
    if rows[True]:
        found |= {(True, at): row for at, row in rows_at(job.sides[SIDE](), rows[True]).items()}
    return found


def _false_pairs(job: Job, parameters: Link) -> Element:
    lines, total = first_rows(job.read("thresholds"), MOST_ROWS)
    listed = table(
        ("match score from", "pairs", "expected share of false pairs", "lowest", "highest"),
        [
            (
                f"{line['score']:g}",
                number(line["pairs"]),
                *(f"{100 * line[name]:.1f} %" for name in ("false_share", "low", "high")),
            )
            for line in lines
        ],
        total=total,
    )
    drawn = [element("figure", link_charts.thresholds(lines, parameters))] if lines else []
    return _closed("From each score on", *drawn, listed)


def _not_used(job: Job, *, aligned: bool) -> Iterable[Element]:
    """Values that counted as missing, and rows that could not be compared, by code and column."""
    first = next(iter(job.read("result")), None)
    known = [] if first is None or not aligned else [name for name in first.schema.names if name != CLUSTER]
    summary = RowSummary(columns=known)
    for batch in job.read("row_status"):
        summary.add(batch)
    rows: list[Sequence[Part]] = [
        (code.column or "", code.meaning, number(code.rows), number(code.first_row))
        for code in summary.commonest(MOST_ROWS)
    ]
    if rows:
        names = ("column", "why", "rows", "first row")
        found = table(names, rows, total=summary.kinds)
        yield section("Values that were not used", _closed("By column and reason", found))


def _closed(summary: str, *content: Element) -> Element:
    """An entry that a reader opens, so that the page stays short."""
    return element("details", element("summary", summary), *content)


def _left_out(rule: Row) -> Part:
    if rule["left_out"]:
        return "left out: too many pairs"
    if rule["oversized"]:
        return element(
            "span", "too large, left out: blocks ", number(rule["oversized"]), ", rows ", number(rule["oversized_rows"])
        )
    return ""


def _blocks(job: Job) -> Element:
    rules, total = first_rows(job.read("blocks"), MOST_ROWS)
    return table(
        ("rule", "pairs", "new pairs", "blocks", "largest block", ""),
        [
            (
                value(rule["rule"]),
                *(number(rule[name]) for name in ("pairs", "new_pairs", "blocks", "largest")),
                _left_out(rule),
            )
            for rule in rules
        ],
        total=total,
    )
