"""An index of pairs, each with its records side by side and the evidence: what the worker's comparisons found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from cji_client.report.clusters import Record
from cji_client.report.link_levels import Weights
from cji_client.report.sample import Least, Row
from cji_core.page.markup import Part, element, number, table, value

MOST_COLUMNS: Final = 60
_MOST_OF_ID: Final = 40
"""Characters in the index; the whole id is inside."""
_OPEN_COLUMNS: Final = 16
"""A pair of records with more is not opened by itself: the page stays short."""
_NOT_FIELDS: Final = frozenset(("record_id", "cluster"))


@dataclass(slots=True, kw_only=True, eq=False)
class Pairs:
    """The pairs of a page: the model, the patterns of the shown pairs, and their records where they are known."""

    weights: Weights
    patterns: Mapping[int, Row]
    records: Mapping[Record, Row]
    linked_to: bool
    opened: bool = False

    def index(self, sample: Least) -> list[Element]:
        """An entry for each pair of a sample, and how many more there are. The first pair of a page is open."""
        more = sample.total - len(sample.rows)
        words = f"{more} more are in pairs." if more else "There are none." if not sample.total else ""
        entries = [self._entry(pair) for pair in sample.rows]
        return [*entries, *([element("p", words, class_="more")] if words else [])]

    def _entry(self, pair: Row) -> Element:
        left, right = (self.records.get(end, {}) for end in ends(pair, self.linked_to))
        pattern = self.patterns[pair["pattern"]]
        inside = [_chips(pair, self.linked_to)]
        if left and right:
            inside.append(self._side_by_side(left, right, pattern))
        inside.append(self.weights.table(pair, pattern))
        made = element("details", element("summary", *_summary(pair)), *inside, class_="card")
        if not self.opened and max(len(left), len(right)) <= _OPEN_COLUMNS:
            self.opened = True
            made.set("open", "open")
        return made

    def _side_by_side(self, left: Row, right: Row, pattern: Row) -> Element:
        names = [name for name in dict.fromkeys((*left, *right)) if name not in _NOT_FIELDS]
        rows = list[Sequence[Part]]()
        for name in names[:MOST_COLUMNS]:
            one, other = left.get(name), right.get(name)
            if one is None and other is None:
                continue
            cells = [value(one), value(other)]
            if one is None or other is None:
                rows.append((name, *cells, ""))
                continue
            found = self.weights.verdict(name, names, pattern)
            words = found.words
            if found.same:
                words = "the same" if cells[0].text == cells[1].text else "same, written otherwise"
            rows.append((name, *cells, element("mark", words) if found.against else words))
        return table(("column", "left", "right", "what the comparison found"), rows, class_="sides")


def ends(pair: Row, linked_to: bool) -> tuple[Record, Record]:
    """The records of a pair."""
    return (False, pair["left"]), (linked_to, pair["right"])


def _summary(pair: Row) -> Iterable[Part]:
    left, right = (element("bdi", _name(pair, side)) for side in ("left", "right"))
    return left, " and ", right, ": ", number(pair["weight"], 1, sign=True), " bits"


def _name(pair: Row, side: str) -> str:
    found = pair[f"{side}_id"]
    if found is None:
        return f"row {pair[side]}"
    text = found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else str(found)
    return text if len(text) <= _MOST_OF_ID else f"{text[:_MOST_OF_ID]}…"


def _chips(pair: Row, linked_to: bool) -> Element:
    words = (
        "match" if pair["match"] else "for a clerk",
        "in one cluster" if pair["joined"] else "in different clusters",
        f"match score {pair['probability']:.4f}",
        f"rows {pair['left']} and {pair['right']}{' of link_to' * linked_to}",
    )
    return element("p", *(element("span", each, class_="chip") for each in words))
