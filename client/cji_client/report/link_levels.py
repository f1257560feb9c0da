"""The model of a `link` as its output `levels` has it: the parts of a weight, what it found of a field, its charts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from xml.etree.ElementTree import Element

import pyarrow as pa

from cji_client.report.sample import Row
from cji_core.operations.link.model import OF_OTHERS
from cji_core.page.charts import waterfall
from cji_core.page.distributions import Outcome, opposed, strip
from cji_core.page.markup import element, number, table

MOST_CHARTED: Final = 40
"""Levels in charts that are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The worker's finding on a column of two records: `same` as values, `against` one person, or neither."""

    words: str
    same: bool = False
    against: bool = False


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

    def found(self, pattern: Mapping[str, Any]) -> list[tuple[list[Row], Row | None]]:
        """The levels of each comparison, and the one that the pattern has; None: a value is missing."""
        both = zip(self.comparisons, pattern["levels"], strict=True)
        return [(levels, levels[level] if level >= 0 else None) for levels, level in both]

    def parts(self, pair: Mapping[str, Any], pattern: Mapping[str, Any]) -> list[tuple[str, float]]:
        """Words and bits, which add up to the weight of the pair. What is missing is one line."""
        parts: list[tuple[str, float]] = [("prior: two records taken at random", self.prior["weight"])]
        missing = list[str]()
        for levels, level in self.found(pattern):
            if level is None:
                missing.append(levels[0]["comparison"])
            else:
                parts.append((f"{level['comparison']}: {level['label']}", level["weight"]))
        if missing:
            parts.append((f"a value is missing, which says nothing: {', '.join(missing)}", 0.0))
        if pair["frequency"]:
            parts.append(("frequency: how rare the values are that agree", pair["frequency"]))
        if pattern["dependence"]:
            parts.append(("dependence: levels that come together more often than by chance", pattern["dependence"]))
        if self.relatives is not None:
            parts.append(("relatives: what two of one household have in common", pattern["relatives"]))
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

    def strip(self, pattern: Mapping[str, Any]) -> Element:
        """The pattern as squares, one for each comparison."""
        found = self.found(pattern)
        titles = [
            f"{levels[0]['comparison']}: {'a value is missing' if level is None else level['label']}"
            for levels, level in found
        ]
        return strip([None if level is None else level["weight"] for _, level in found], titles, "; ".join(titles))

    def verdict(self, column: str, columns: Collection[str], pattern: Mapping[str, Any]) -> Verdict:
        """The finding of the comparisons of a column. `columns` are those of the record; others may be made from them.

        The comparison of the fewest columns speaks first; of others, only what is more than "none of these".
        """
        made = {name for name, others in OF_OTHERS.items() if column in others and name not in columns}
        of_column = made | {column}
        about = [(set(levels[0]["columns"].split()), levels, level) for levels, level in self.found(pattern)]
        about = sorted((one for one in about if one[0] & of_column), key=lambda one: len(one[0]))
        if not about:
            return Verdict(words="not compared")
        found = [(levels, level) for _, levels, level in about if level is not None]
        if not found:
            return Verdict(words="counts as missing")
        if column == "NAM" and len(of_column) > 1:
            return self._of_name(found)
        (_, level), others = found[0], [level["label"] for levels, level in found[1:] if level is not levels[-1]]
        same = column in level["same"].split()
        words = [level["label"], *others]
        return Verdict(words="; ".join(words), same=same and not others, against=level["weight"] < 0 and not others)

    @staticmethod
    def _of_name(found: list[tuple[list[Row], Row]]) -> Verdict:
        """Of a name whose parts were compared."""
        told = [one for one in found if " " not in one[0][0]["columns"] or one[1] is not one[0][-1]]
        words = "; ".join(f"{level['comparison']}: {level['label']}" for _, level in told)
        return Verdict(
            words=words,
            same=all(level["same"] for _, level in told),
            against=sum(level["weight"] for _, level in told) < 0,
        )

    def charts(self) -> list[Element]:
        """M and u of the levels of each comparison; comparisons after the first MOST_CHARTED levels are closed."""
        drawn, levels, opened = list[Element](), 0, 0
        for one in self.comparisons:
            outcomes = [Outcome(label=row["label"], m=row["m"], u=row["u"], weight=row["weight"]) for row in one]
            name = one[0]["comparison"]
            drawn.append(element("figure", element("h3", name), opposed(outcomes, name)))
            levels += len(one)
            opened += levels <= MOST_CHARTED
        shown = [element("div", *drawn[:opened], class_="plots")]
        if more := drawn[opened:]:
            title = element("summary", f"m and u of {len(more)} more comparisons")
            shown.append(element("details", title, element("div", *more, class_="plots")))
        return shown

    def levels(self) -> Element:
        """All levels, whether a shown pair has them or not."""
        rows = [
            self.prior,
            *([self.relatives] if self.relatives else []),
            *(r for one in self.comparisons for r in one),
        ]
        return table(
            ("sentence", "bits"),
            [(row["words"], number(row["weight"], 1, sign=True)) for row in rows],
            total=len(rows),
            where="levels",
            class_="weights",
        )
