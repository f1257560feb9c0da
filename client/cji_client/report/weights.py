"""The weight of a pair, taken apart: the prior, each comparison, how rare the values are, relatives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from xml.etree.ElementTree import Element

import pyarrow as pa

from cji_client.report.sample import Row
from cji_core.page.charts import waterfall
from cji_core.page.markup import number, table


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
