"""Clusters to draw, of three records or more: those that bridges lead to, and those that hold together least."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa

from cji_client.report.job import Job
from cji_client.report.sample import NOT_WANTED, Least, Row, column, first_rows, starts
from cji_core.page.charts import Line, graph
from cji_core.page.distributions import matrix
from cji_core.page.markup import Part, element, value

MOST_DRAWINGS: Final = 6
"""Of bridges, and again of clusters."""
LEAST_DRAWN: Final = 3
"""Of two records, the pair says it all."""
MOST_POINTS: Final = 12
"""Records of a cluster in a drawing."""

_OPEN_POINTS: Final = 4

Record = tuple[bool, int]
"""Whether it is one of link_to, and its row."""


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """A cluster, or a record of link_to that is alone: its records in a drawing, and how many it has in all."""

    records: list[Record] = field(default_factory=list)
    size: int = 1
    cohesion: float | None = None

    def add(self, record: Record, *, always: bool = False) -> None:
        """Draw this record; the end of a bridge is drawn always."""
        if record not in self.records and (always or len(self.records) < MOST_POINTS):
            self.records.append(record)


@dataclass(slots=True, kw_only=True, eq=False)
class Drawing:
    """Two groups with a bridge between them, or one."""

    groups: tuple[Group, ...]
    bridge: Row | None = None
    lines: list[tuple[Record, Record, float, bool]] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """In the order of their numbers."""
        return [record for group in self.groups for record in group.records]


def drawings(job: Job, *, linked_to: bool) -> list[Drawing]:
    """The drawings of a `link` whose result has the column `cluster`."""
    groups = dict[int, Group]()
    found = _of_bridges(job, groups, linked_to=linked_to)
    loose = Least(
        MOST_DRAWINGS,
        lambda batch: np.where(column(batch, "rows") >= LEAST_DRAWN, column(batch, "cohesion"), NOT_WANTED),
    )
    for batch in job.read("clusters"):
        loose.add(batch)
        here = np.flatnonzero(np.isin(column(batch, "cluster"), [*groups]))
        for row in batch.take(pa.array(here)).to_pylist():
            _note(groups[row["cluster"]], row)
    for row in loose.rows:
        _note(groups.setdefault(row["cluster"], Group()), row)
        found.append(Drawing(groups=(groups[row["cluster"]],)))
    _members(job.read("result"), groups)
    if linked_to:
        _members_of_other(job.read("pairs"), groups)
    found = [drawing for drawing in found if sum(group.size for group in drawing.groups) >= LEAST_DRAWN]
    _lines(job.read("pairs"), found, linked_to=linked_to)
    return found


def _note(group: Group, row: Row) -> None:
    group.size, group.cohesion = row["rows"], row["cohesion"]


def _of_bridges(job: Job, groups: dict[int, Group], *, linked_to: bool) -> list[Drawing]:
    """One drawing of each two clusters, of the first bridges."""
    found = dict[tuple[int | None, int | None], Drawing]()
    bridges, _ = first_rows(job.read("bridges"), MOST_DRAWINGS * 4)
    for row in bridges:
        ends = (row["left_cluster"], row["right_cluster"])
        if (None not in ends and ends in found) or len(found) == MOST_DRAWINGS:
            continue
        left, right = (Group() if end is None else groups.setdefault(end, Group()) for end in ends)
        left.add((False, row["left"]), always=True)
        right.add((linked_to, row["right"]), always=True)
        found[ends if None not in ends else (ends[0], -1 - row["right"])] = Drawing(groups=(left, right), bridge=row)
    return [*found.values()]


def _members(result: Iterable[pa.RecordBatch], groups: Mapping[int, Group]) -> None:
    for first, batch in starts(result):
        cluster = column(batch, "cluster")
        for at in np.flatnonzero(np.isin(cluster, [*groups])).tolist():
            groups[int(cluster[at])].add((False, first + at))


def _members_of_other(pairs: Iterable[pa.RecordBatch], groups: Mapping[int, Group]) -> None:
    of_record = {row: group for group in groups.values() for other, row in group.records if not other}
    for batch in pairs:
        joined = column(batch, "joined") & np.isin(column(batch, "left"), [*of_record])
        for row in batch.take(pa.array(np.flatnonzero(joined))).to_pylist():
            of_record[row["left"]].add((True, row["right"]))


def _lines(pairs: Iterable[pa.RecordBatch], found: Sequence[Drawing], *, linked_to: bool) -> None:
    drawn = {record for drawing in found for record in drawing.records}
    left = [row for other, row in drawn if not other]
    right = [row for other, row in drawn if other is linked_to]
    for batch in pairs:
        both = np.isin(column(batch, "left"), left) & np.isin(column(batch, "right"), right)
        for row in batch.take(pa.array(np.flatnonzero(both))).to_pylist():
            ends = ((False, row["left"]), (linked_to, row["right"]))
            for drawing in found:
                if set(ends) <= set(drawing.records) and (row["match"] or row["joined"]):
                    drawing.lines.append((*ends, row["weight"], not row["joined"]))


def draw_all(found: Sequence[Drawing], records: Mapping[Record, Row]) -> list[Element]:
    """The drawings as entries of an index; the first one of few records is open."""
    drawn = [_draw(each, records) for each in found]
    small = next((i for i, each in enumerate(found) if len(each.records) <= _OPEN_POINTS), None)
    if small is not None:
        drawn[small].set("open", "open")
    return drawn


def _draw(drawing: Drawing, records: Mapping[Record, Row]) -> Element:
    """A drawing, the weights of its pairs, and the records behind its numbers."""
    at = {record: i for i, record in enumerate(drawing.records)}
    lines = [
        Line(first=at[a], second=at[b], bridge=bridge, label=f"{at[a] + 1} and {at[b] + 1}: {weight:+.1f} bits")
        for a, b, weight, bridge in drawing.lines
    ]
    weights = {(min(at[a], at[b]), max(at[a], at[b])): weight for a, b, weight, _ in drawing.lines}
    picture = graph([len(group.records) for group in drawing.groups], lines)
    names = element("ol", *(_named(record, records) for record in at), class_="records")
    return element(
        "details",
        element("summary", _title(drawing)),
        element(
            "div",
            element("div", picture, matrix(len(at), weights, "bits of the listed pairs")),
            element("div", names, *_more(drawing)),
            class_="drawing",
        ),
        class_="card",
    )


def _title(drawing: Drawing) -> str:
    if drawing.bridge is None:
        (group,) = drawing.groups
        return f"A cluster of {group.size} records, cohesion {group.cohesion:+.1f} bits"
    bridge = drawing.bridge
    sizes = " and ".join(f"{group.size}" for group in drawing.groups)
    return (
        f"A bridge of {bridge['weight']:+.1f} bits between clusters of {sizes} records; "
        f"the mean between the two is {bridge['mean']:+.1f} bits"
    )


def _more(drawing: Drawing) -> list[Element]:
    missing = sum(max(0, group.size - len(group.records)) for group in drawing.groups)
    return [element("p", f"{missing} more records are not drawn.", class_="more")] if missing else []


def _named(record: Record, records: Mapping[Record, Row]) -> Element:
    row = records.get(record, {})
    place = f"row {record[1]}" + (" of link_to" if record[0] else "")
    name: list[Part] = [value(row["record_id"]), " "] if row.get("record_id") is not None else []
    words: list[Part] = [part for each in _telling(row) for part in (" ", value(row[each]))]
    return element("li", *name, element("span", place, class_="row"), *words)


def _telling(row: Row, most: int = 4) -> Collection[str]:
    """The first columns that have a value."""
    return [name for name, found in row.items() if name not in {"record_id", "cluster"} and found is not None][:most]
