"""The page of `link`: pairs side by side with the sentence for each weight, clusters with their bridges, the model.

Row i of the result is row i of the records where no other operation follows; else the page has ids and weights only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa

from cji_client.report.clusters import Record, draw, drawings
from cji_client.report.job import Job
from cji_client.report.sample import NOT_WANTED, Least, Row, column, first_rows, rows_at
from cji_core.operations.link import Link
from cji_core.page.charts import waterfall
from cji_core.page.markup import MOST_ROWS, element, facts, number, section, table, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The levels of a model, from the output `levels`: of each comparison the weight and the sentence of each level."""

    prior: Row
    relatives: Row | None
    comparisons: list[list[Row]] = field(default_factory=list)

    @classmethod
    def of(cls, levels: Iterable[pa.RecordBatch]) -> Self:
        """The first line is the prior; that of relatives, if there is one, has no m either."""
        prior, *rest = [row for batch in levels for row in batch.to_pylist()]
        relatives = next((row for row in rest if row["m"] is None), None)
        comparisons = list[list[Row]]()
        for row in rest:
            if row["m"] is None:
                continue
            if row["level"] == 0:
                comparisons.append([])
            comparisons[-1].append(row)
        return cls(prior=prior, relatives=relatives, comparisons=comparisons)

    def parts(self, pair: Mapping[str, Any], pattern: Mapping[str, Any]) -> list[tuple[str, float]]:
        """Sentences and bits, which add up to the weight of the pair."""
        parts: list[tuple[str, float]] = [(f"prior: {self.prior['words']}", self.prior["weight"])]
        for levels, level in zip(self.comparisons, pattern["levels"], strict=True):
            missing = f"{levels[0]['comparison']}: a value is missing, which says nothing"
            parts.append((levels[level]["words"], levels[level]["weight"]) if level >= 0 else (missing, 0.0))
        if pair["frequency"]:
            parts.append(("frequency: how rare the values are that agree", pair["frequency"]))
        if self.relatives is not None:
            parts.append((f"relatives: {self.relatives['words']}", pattern["relatives"]))
        return parts

    def table(self, pair: Mapping[str, Any], pattern: Mapping[str, Any]) -> Element:
        """The parts of the weight, with a waterfall."""
        parts = self.parts(pair, pattern)
        bars = waterfall([weight for _, weight in parts])
        rows = [*parts, ("together", pair["weight"])]
        return table(
            ("evidence", "bits", "sum so far"),
            [(words, number(bits, 1, sign=True), bar) for (words, bits), bar in zip(rows, bars, strict=True)],
            class_="weights",
        )

    def levels(self) -> Element:
        """All levels, whether a shown pair has them or not."""
        rows = [
            self.prior,
            *([self.relatives] if self.relatives else []),
            *(r for one in self.comparisons for r in one),
        ]
        return table(("sentence", "bits"), [(row["words"], number(row["weight"], 1, sign=True)) for row in rows])


SIDE: Final = "link_to"
MOST_PAIRS: Final = 10
"""Of each kind."""
MOST_COLUMNS: Final = 60

_FOLLOWED: Final = "Another operation follows, so the records themselves are not on this page."


def sections(job: Job, parameters: Link) -> Iterable[Element]:
    """The sections of a job's page."""
    linked_to, aligned = SIDE in job.sides, job.operations[-1] is parameters
    review = Least(MOST_PAIRS, lambda b: np.where(column(b, "match"), NOT_WANTED, -column(b, "weight")))
    bridges = Least(
        MOST_PAIRS,
        lambda b: np.where(column(b, "match") & ~column(b, "joined"), -column(b, "weight"), NOT_WANTED),
    )
    weak = Least(
        MOST_PAIRS, lambda b: np.where(column(b, "match") & column(b, "joined"), column(b, "weight"), NOT_WANTED)
    )
    for batch in job.read("pairs"):
        for sample in (review, bridges, weak):
            sample.add(batch)
    shown = drawings(job, linked_to=linked_to) if aligned else []
    pairs = [*review.rows, *bridges.rows, *weak.rows]
    wanted = {record for drawing in shown for record in drawing.records} | {
        r for p in pairs for r in _ends(p, linked_to)
    }
    records = _records(job, wanted) if aligned else {}
    weights = Weights.of(job.read("levels"))
    patterns = rows_at(job.read("patterns"), {pair["pattern"] for pair in pairs})

    def cards(sample: Least) -> list[Element]:
        return [_card(pair, weights.table(pair, patterns[pair["pattern"]]), records, linked_to) for pair in sample.rows]

    yield section(
        "Link",
        facts(
            {
                "pairs that match": number(bridges.total + weak.total),
                "pairs for a clerk": number(review.total),
                "bridges": number(bridges.total),
                "match from": f"probability {parameters.match:g}",
                "for a clerk from": f"probability {parameters.clerical_review_threshold:g}",
            }
        ),
        *([] if aligned else [element("p", _FOLLOWED, class_="more")]),
    )
    for title, words, sample in (
        ("Pairs for a clerk", "Too likely to leave out, too unlikely to join. The likeliest first.", review),
        ("Bridges", "Pairs that match, while their clusters as a whole do not. The strongest first.", bridges),
        ("The weakest matches", "Matches inside one cluster. Look here for records that are joined wrongly.", weak),
    ):
        yield section(title, element("p", words), *cards(sample), *_rest(sample))
    if shown:
        words = "A line is a pair that matches or is joined; a dashed line is a bridge."
        yield section("Clusters", element("p", words), *(draw(drawing, records) for drawing in shown))
    yield section("Every weight of the model", weights.levels())
    yield section("Blocking rules", _blocks(job))


def _ends(pair: Row, linked_to: bool) -> tuple[Record, Record]:
    return (False, pair["left"]), (linked_to, pair["right"])


def _records(job: Job, wanted: Iterable[Record]) -> Mapping[Record, Row]:
    rows = {other: {row for of_other, row in wanted if of_other is other} for other in (False, True)}
    found = {(False, at): row for at, row in rows_at(job.read("result"), rows[False]).items()}
    if rows[True]:
        found |= {(True, at): row for at, row in rows_at(job.sides[SIDE](), rows[True]).items()}
    return found


def _card(pair: Row, weights: Element, records: Mapping[Record, Row], linked_to: bool) -> Element:
    left, right = (records.get(end, {}) for end in _ends(pair, linked_to))
    verdict = "match" if pair["match"] else "for a clerk"
    joined = "in one cluster" if pair["joined"] else "in different clusters"
    return element(
        "div",
        element("h3", value(pair["left_id"]), " and ", value(pair["right_id"])),
        element(
            "p",
            element("span", verdict, class_="chip"),
            element("span", joined, class_="chip"),
            element("span", f"probability {pair['probability']:.4f}", class_="chip"),
            element("span", f"rows {pair['left']} and {pair['right']}{' of link_to' * linked_to}", class_="chip"),
        ),
        *([_side_by_side(left, right)] if left and right else []),
        weights,
        class_="card",
    )


def _side_by_side(left: Row, right: Row) -> Element:
    names = [name for name in dict.fromkeys((*left, *right)) if name not in {"record_id", "cluster"}]
    rows = []
    for name in names[:MOST_COLUMNS]:
        one, other = left.get(name), right.get(name)
        if one is None and other is None:
            continue
        cells = [value(one), value(other)]
        differ = one is not None and other is not None and cells[0].text != cells[1].text
        verdict = "differs" if differ else "" if one is None or other is None else "the same"
        rows.append((name, *cells, element("mark", verdict) if differ else verdict))
    return table(("column", "left", "right", ""), rows)


def _rest(sample: Least) -> list[Element]:
    more = sample.total - len(sample.rows)
    words = f"{more} more are in pairs." if more else "There are none." if not sample.total else ""
    return [element("p", words, class_="more")] if words else []


def _blocks(job: Job) -> Element:
    rules, total = first_rows(job.read("blocks"), MOST_ROWS)
    return table(
        ("rule", "pairs", "new pairs", "blocks", "largest block", ""),
        [
            (
                value(rule["rule"]),
                *(number(rule[name]) for name in ("pairs", "new_pairs", "blocks", "largest")),
                "left out: too many pairs" if rule["left_out"] else "",
            )
            for rule in rules
        ],
        total=total,
    )
