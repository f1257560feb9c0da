"""cluster and order: the clusters of each share's components, and the outputs that list pairs and clusters.

cluster  a share forms the clusters of its components, lists their pairs and those across components that a share of
         `list` with its number found, and gives every row its label
order    a share of rows, or of the weights of bridges: the outputs in their order
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Limit
from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link import edges, outputs
from cji_core.operations.link.declaration import Link
from cji_core.operations.stages.stage import Edge
from cji_operations.kernels.average_linkage import Marks
from cji_operations.link.blocking import too_many
from cji_operations.link.cluster_report import ClusterReport
from cji_operations.link.clusters import cluster as clustered
from cji_operations.link.conclusion import MEMORY, exceeds_memory
from cji_operations.link.copies import MOST, of_records, places
from cji_operations.link.marks import Marked, marks_of
from cji_operations.link.report import pair_batches
from cji_operations.link.rows import Rows
from cji_operations.link.score import Pairs, gather, log2_odds
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shares import Held, chosen, send_labels, share_of, steps
from cji_operations.link.units import Units
from cji_operations.stages.task import Task


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """`fewer`: more than `copies.MOST_LISTED` pairs of records are looked at. `bounds`: steps of weights.

    Bridges of at least bounds[i], and below those of the share before, are those of share i.
    """

    fewer: bool
    bounds: list[int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Outputs:
    """Targets of the lines of the outputs, and the patterns of pairs."""

    task: Task
    planned: Planned
    reported: Reported
    codes: Ints
    weights: npt.NDArray[np.float64]

    def pairs(self, pairs: Pairs, joined: npt.NDArray[np.bool_], rows: Rows) -> None:
        """Pairs of rows to the shares of their left ones."""
        match = log2_odds(self.task.parameters.match)
        pattern = np.searchsorted(self.codes, pairs.pattern)
        for batch in pair_batches(pairs, joined, rows, least=match, pattern=pattern, weights=self.weights):
            self.by_row(edges.PAIRS, batch)

    def by_row(self, edge: Edge, batch: pa.RecordBatch) -> None:
        """Lines to the shares of their first column."""
        rows = self.planned.rows
        n = rows.n if rows.first_of_second is None else rows.first_of_second
        self._send(edge, batch, share_of(arrow.numbers(batch.column(0)), n, self.planned.shares))

    def bridges(self, batch: pa.RecordBatch) -> None:
        """Bridges to the shares of their weights, the highest first."""
        step = steps(arrow.numbers(batch.column("weight")), self.task.parameters)
        bounds = np.array(self.reported.bounds, np.int64)
        self._send(edges.BRIDGES, batch, np.searchsorted(-bounds, -step, side="left"))

    def _send(self, edge: Edge, batch: pa.RecordBatch, to: Ints) -> None:
        for consumer, some in chosen(to, self.planned.shares):
            self.task.write(edge.name, batch.take(arrow.from_numpy(some)), to=consumer)


def cluster(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE for components that are too large for one task."""
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    same = edge_data.read_numbers(task, edges.SAME)
    held = Held.of([batch for _, batch in task.read(edges.INSIDE.name)])
    marks = _marks(task, held, same)
    pairs = _linked(task, held)
    apart = edge_data.read_numbers(task, edges.APART)
    across = [batch for _, batch in task.read(edges.ACROSS.name)]
    (reported,) = edge_data.read_documents(task, edges.REPORTED, Reported)
    codes, weights = edge_data.read_numbers(task, edges.CODES)
    lines = _Outputs(task=task, planned=planned, reported=reported, codes=codes, weights=weights)
    task.progress("cluster", 0)
    numbers = np.sort(held.columns["row"])
    units = _units(held, numbers)
    of_second = planned.facts.first_of_second
    second = None if of_second is None else held.units >= of_second
    parameters: Link = task.parameters
    found = clustered(pairs, units, second, marks, parameters, names=held.units)
    root = units.roots(found.root, found.together)
    by_row = np.argsort(held.columns["row"])
    keyed, cut = (held.columns[name][by_row] for name in ("keyed", "cut"))
    send_labels(task, edges.LABELS, planned.rows, numbers, numbers[root], keyed=keyed, cut=cut)
    ids = held.columns["id"].take(arrow.from_numpy(by_row))
    rows = Rows(ids=ids, first_of_second=planned.rows.first_of_second, numbers=numbers)
    report = ClusterReport(clusters=found, units=units, root=root, rows=rows, least=log2_odds(parameters.match))
    _write_inside(lines, pairs, report)
    _write_across(lines, apart, across)
    task.progress("cluster", 100)


def _write_inside(lines: _Outputs, pairs: Pairs, report: ClusterReport) -> None:
    """Pairs of one component, its clusters and its bridges."""
    root, least = report.root, log2_odds(lines.task.parameters.clerical_review_threshold)
    listed = of_records(pairs.from_weight(least), report.units, fewer=lines.reported.fewer)
    lines.pairs(listed, root[listed.left] == root[listed.right], report.rows)
    parts = report.batches()
    for batch in parts[outputs.CLUSTERS.name]:
        lines.by_row(edges.CLUSTERS, batch)
    for batch in parts[outputs.BRIDGES.name]:
        lines.bridges(batch)


def _write_across(lines: _Outputs, apart: list[npt.NDArray[Any]], across: list[pa.RecordBatch]) -> None:
    """Pairs of two components, each with the records of its left unit, then those of its right one."""
    pattern, weight, left, right = apart
    left, right = left.astype(np.int64), right.astype(np.int64)
    kinds = enumerate(edges.ACROSS.schema.types)
    row, ids = (arrow.concat((batch.column(at) for batch in across), kind) for at, kind in kinds)
    number = arrow.numbers(row).astype(np.int64)
    itself = np.zeros(len(left), np.bool_)
    which, one, other = places(left, right, itself, 1 if lines.reported.fewer else MOST)
    begin = np.cumsum(left + right) - left - right
    one, other = begin[which] + one, (begin + left)[which] + other
    later = number[one] > number[other]
    low, high = np.where(later, other, one), np.where(later, one, other)
    # places in `across` stand for rows, which come several times
    rows = Rows(ids=ids, first_of_second=lines.planned.rows.first_of_second, numbers=number)
    pairs = Pairs(left=low.astype(np.int32), right=high.astype(np.int32), pattern=pattern[which], weight=weight[which])
    lines.pairs(pairs, np.zeros(len(which), np.bool_), rows)


def _marks(task: Task, held: Held, same: list[npt.NDArray[np.uint64]]) -> Marks | None:
    unit, column, value = edge_data.read_numbers(task, edges.MARKS)
    of_column, values, stands = same
    for number in np.unique(of_column).tolist():
        some, known = np.flatnonzero(column == number), of_column == number  # `values` are in order
        at = np.minimum(np.searchsorted(values[known], value[some]), max(int(np.count_nonzero(known)) - 1, 0))
        there = values[known][at] == value[some]
        value[some[there]] = stands[known][at[there]]
    place = np.searchsorted(held.units, unit.astype(np.int64))
    found = Marked(unit=place, column=column.astype(np.int64), value=value)
    return marks_of(found, len(held.units), task.parameters)


def _linked(task: Task, held: Held) -> Pairs:
    pieces, kept = list[Pairs](), 0
    for _, batch in task.read(edges.LINKED.name):
        left, right, pattern, weight = (arrow.numbers(column) for column in batch.columns)
        one, other = (np.searchsorted(held.units, side.astype(np.int64)).astype(np.int32) for side in (left, right))
        pieces.append(Pairs(left=one, right=other, pattern=pattern, weight=weight))
        kept += batch.num_rows
        if exceeds_memory(len(held.columns["row"]), kept, MEMORY):
            raise too_many(Limit.LINK_MEMORY)
    return gather(pieces)


def _units(held: Held, numbers: Ints) -> Units:
    """The units of the share; rows are places in `numbers`."""
    row, record = (np.searchsorted(numbers, held.columns[name]) for name in ("row", "record"))
    first = row[held.starts[:-1]]
    of_unit = np.repeat(np.arange(len(first)), np.diff(held.starts))
    others = np.ones(len(row), np.bool_)
    others[held.starts[:-1]] = False
    others_at = np.flatnonzero(others)
    others_at = others_at[np.argsort(row[others_at])]
    twin = first[np.searchsorted(held.units, held.columns["twin"][others_at])]
    return Units(first=first, row=row[others_at], record=record[others_at], head=first[of_unit[others_at]], twin=twin)


def order(task: Task) -> None:
    """See the module."""
    for edge, spec, keys in (
        (edges.PAIRS, outputs.PAIRS, ("left", "right")),
        (edges.CLUSTERS, outputs.CLUSTERS, ("cluster",)),
        (edges.BRIDGES, outputs.BRIDGES, ("weight", "left", "right")),
    ):
        table = pa.Table.from_batches((batch for _, batch in task.read(edge.name)), spec.schema.arrow)
        columns = [table.column(name).combine_chunks() for name in keys]
        found = np.lexsort([_key(column) for column in reversed(columns)])
        for batch in _taken(table, found):
            task.output(spec.name, batch)


def _key(column: pa.Array) -> npt.NDArray[np.float64] | Ints:
    """Weights from the highest on, rows from the first on."""
    values = arrow.numbers(column)
    return -values if values.dtype.kind == "f" else values.astype(np.int64)


def _taken(table: pa.Table, which: Ints) -> Iterator[pa.RecordBatch]:
    portions = (which[start : start + edge_data.ROWS] for start in range(0, len(which), edge_data.ROWS))
    tables = (table.take(arrow.from_numpy(portion)).combine_chunks() for portion in portions)
    return chain.from_iterable(one.to_batches() for one in tables)
