"""gather and list: a share of the units meets the pairs that count.

gather  a share for its right units: each pair goes on to the share of its left one, with the component and the records
        of the right unit
list    a share for its left units: pairs of one component go to the share of that, with the units and what keeps them
        apart. Pairs across components join nothing; those that are listed go on with their records. Counts for the
        report: listed pairs, their patterns and weights. Rows of units without a match have their label
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link import edges
from cji_core.operations.link.declaration import Link
from cji_core.operations.stages.stage import Edge
from cji_operations.kernels.ranges import expand
from cji_operations.link.copies import MOST, listed, looked_at
from cji_operations.link.false_share import SCORES, sums
from cji_operations.link.score import log2_odds
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shard import Rows
from cji_operations.stages.task import Task

STEP: Final = 16
"""Weights of matches are counted in this part of a bit, for `Summed`."""
_STEPS: Final = 1 << 14
_NOWHERE: Final = 0xFFFF


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """Of one share: pairs of records that are looked at; the `sums` of listed ones, and if the job lists fewer.

    `matches`: pairs of units from each weight on, in steps, that match; the lowest step is that of the threshold.
    """

    looked_at: int
    sums: list[list[int]]
    fewer: list[list[int]]
    matches: list[int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Held:
    """The rows of some units, by unit, then row; columns of `edges.ROWS`. units int64[u], ascending, at `starts`.

    place int64[r]: the first row of each record; begin int64[u + 1]: where in `place` those of each unit begin.
    """

    columns: dict[str, Any]
    units: Ints
    starts: Ints
    begin: Ints
    place: Ints

    @classmethod
    def of(cls, batches: Sequence[pa.RecordBatch]) -> "Held":
        """From batches in any order."""
        schema = edges.ROWS.schema
        whole = pa.RecordBatch.from_arrays(
            [arrow.concat((batch.column(at) for batch in batches), kind) for at, kind in enumerate(schema.types)],
            schema=schema,
        )
        unit, row = (arrow.numbers(whole.column(at)) for at in (0, 1))
        whole = whole.take(arrow.from_numpy(np.argsort((unit.astype(np.uint64) << np.uint64(32)) | row)))
        columns: dict[str, Any] = {
            name: arrow.numbers(whole.column(at)).astype(np.int64)
            for at, name in enumerate(("unit", "row", "record", "twin"))
        }
        columns |= {name: arrow.bools(whole.column(name)) for name in ("keyed", "cut")} | {"id": whole.column("id")}
        first = np.flatnonzero(np.diff(columns["unit"], prepend=-1))
        starts = np.append(first, len(columns["unit"]))
        is_record = columns["row"] == columns["record"]
        return cls(
            columns=columns,
            units=columns["unit"][first],
            starts=starts,
            begin=np.append(0, np.cumsum(is_record))[starts],
            place=np.flatnonzero(is_record),
        )

    def batch(self, rows: Ints) -> pa.RecordBatch:
        """Some rows, as they came."""
        arrays = [
            column.take(arrow.from_numpy(rows))
            if isinstance(column, pa.Array)
            else arrow.from_numpy(column[rows], kind)
            for column, kind in zip(self.columns.values(), edges.ROWS.schema.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=edges.ROWS.schema)

    def twins(self) -> Ints:
        """int64[u]: a unit that is equal to each which stands for several records; the unit itself for the others."""
        twin = self.columns["twin"].copy()
        found = self.units.copy()
        others = np.flatnonzero(twin != self.columns["unit"])
        found[np.searchsorted(self.units, self.columns["unit"][others])] = twin[others]
        return found

    def names(self, units: Ints) -> tuple[Ints, pa.RecordBatch]:
        """(int64[k]: how many records each of these units has, and the first rows and ids of all, unit by unit)."""
        at = np.searchsorted(self.units, units)
        count = self.begin[at + 1] - self.begin[at]
        _, position = expand(self.begin[at], count)
        which = self.place[position]
        return count, pa.RecordBatch.from_arrays(
            [
                arrow.from_numpy(self.columns["row"][which], pa.uint32()),
                self.columns["id"].take(arrow.from_numpy(which)),
            ],
            schema=edges.BESIDE.schema,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Homes:
    """The units of a share that have a match, ascending: the component of each, and the share of that."""

    unit: Ints
    component: Ints
    share: Ints

    def find(self, units: Ints) -> tuple[Ints, Ints]:
        """(int64[k], int64[k]): component and share of each unit; the unit itself, and _NOWHERE, without a match."""
        component, share = units.copy(), np.full(len(units), _NOWHERE)
        if len(self.unit):
            at = np.minimum(np.searchsorted(self.unit, units), len(self.unit) - 1)
            there = self.unit[at] == units
            component[there], share[there] = self.component[at[there]], self.share[at[there]]
        return component, share


def starts(n: int, shares: int) -> Ints:
    """int64[shares + 1]: the first unit of each share of `n` units, and the end."""
    found: Ints = -(-np.arange(shares + 1, dtype=np.int64) * n // shares)
    return found


def share_of(units: npt.NDArray[Any], n: int, shares: int) -> Ints:
    """int64[k]: the share of each unit."""
    found: Ints = units.astype(np.int64) * shares // max(n, 1)
    return found


def gather(task: Task) -> None:
    """See the module."""
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    held, homes = _held(task), _homes(task)
    twins, least = held.twins(), log2_odds(task.parameters.clerical_review_threshold)
    for _, batch in task.read(edges.WEIGHED.name):
        left, right, pattern, weight = (arrow.numbers(column) for column in batch.columns)
        to = share_of(left, planned.facts.n, planned.shares)
        order = np.argsort(to, kind="stable")
        left, right, pattern, weight, to = (one[order] for one in (left, right, pattern, weight, to))
        units = right.astype(np.int64)
        component, _ = homes.find(units)
        shown = np.flatnonzero(weight >= least)
        copies = np.zeros(len(right), np.int64)
        copies[shown], names = held.names(units[shown])
        own = (twins[np.searchsorted(held.units, units)] == left) & (left != right)
        numbers = component.astype(np.uint32), copies.astype(np.uint32), own.astype(np.int8)
        columns = (left, right, pattern, weight, *numbers)
        ends = np.append(0, np.cumsum(copies))
        for share, some in slices(to, planned.shares):
            edge_data.write(task, edges.PAIRED, *(one[some] for one in columns), to=share)
            _write(task, edges.BESIDE, names.slice(ends[some.start], ends[some.stop] - ends[some.start]), to=share)


def list_(task: Task) -> None:
    """See the module."""
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    held, homes = _held(task), _homes(task)
    _send_inside(task, held, homes, planned)
    paired = _Paired.of(edge_data.read_numbers(task, edges.PAIRED), [one for _, one in task.read(edges.BESIDE.name)])
    component, share = homes.find(paired.left)
    inside = np.flatnonzero((component == paired.component) & (share != _NOWHERE))
    for consumer, some in chosen(share[inside], planned.shares):
        which = inside[some]
        pairs = (paired.left[which], paired.right[which], paired.pattern[which], paired.weight[which])
        numbers = (one.astype(kind) for one, kind in zip(pairs, ("u4", "u4", "i8", "f8"), strict=True))
        edge_data.write(task, edges.LINKED, *numbers, to=consumer)
    least = log2_odds(task.parameters.clerical_review_threshold)
    apart = np.ones(len(paired.left), np.bool_)
    apart[inside] = False
    _send_apart(task, held, paired, np.flatnonzero(apart & (paired.weight >= least)))
    _tally(task, held, paired, inside)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Paired:
    """Pairs by left, then right unit; columns of `edges.PAIRED`. The right unit's records begin in `names` at `at`."""

    left: Ints
    right: Ints
    pattern: Ints
    weight: npt.NDArray[np.float64]
    component: Ints
    copies: Ints
    own: Bools
    at: Ints
    names: pa.RecordBatch

    @classmethod
    def of(cls, columns: Sequence[npt.NDArray[Any]], names: Sequence[pa.RecordBatch]) -> "_Paired":
        left, right, pattern, weight, component, copies, own = columns
        left, right, component, copies = (one.astype(np.int64) for one in (left, right, component, copies))
        order = np.argsort((left << 32) | right)  # no pair comes twice
        at = np.cumsum(copies) - copies
        kinds = enumerate(edges.BESIDE.schema.types)
        whole = [arrow.concat((batch.column(i) for batch in names), kind) for i, kind in kinds]
        return cls(
            left=left[order],
            right=right[order],
            pattern=pattern[order],
            weight=weight[order],
            component=component[order],
            copies=copies[order],
            own=own[order].astype(np.bool_),
            at=at[order],
            names=pa.RecordBatch.from_arrays(whole, schema=edges.BESIDE.schema),
        )


def _send_inside(task: Task, held: Held, homes: _Homes, planned: Planned) -> None:
    """The rows and marks of units with a match to the shares of their components; the labels of the other rows."""
    _, share = homes.find(held.units)
    of_row = np.repeat(share, np.diff(held.starts))
    for consumer, rows in chosen(of_row, planned.shares):
        _write(task, edges.INSIDE, held.batch(rows), to=consumer)
    rows = np.flatnonzero(of_row == _NOWHERE)
    row, record, keyed, cut = (held.columns[name][rows] for name in ("row", "record", "keyed", "cut"))
    send_labels(task, edges.ALONE, planned.rows, row, record, keyed=keyed, cut=cut)
    unit, column, value = edge_data.read_numbers(task, edges.MARKED)
    _, share = homes.find(unit.astype(np.int64))
    for consumer, some in chosen(share, planned.shares):
        edge_data.write(task, edges.MARKS, unit[some], column[some], value[some], to=consumer)


def _send_apart(task: Task, held: Held, paired: _Paired, which: Ints) -> None:
    """Listed pairs of two components, with the records of both units."""
    for start in range(0, len(which), edge_data.ROWS):
        some = which[start : start + edge_data.ROWS]
        copies, of_left = held.names(paired.left[some])
        pattern, weight, of_right = paired.pattern[some], paired.weight[some], paired.copies[some]
        _, position = expand(paired.at[some], of_right)
        both = pa.Table.from_batches([of_left, paired.names.take(arrow.from_numpy(position))])
        ends = np.cumsum(copies) - copies, len(of_left) + np.cumsum(of_right) - of_right
        _, order = expand(np.stack(ends, 1).reshape(-1), np.stack((copies, of_right), 1).reshape(-1))
        edge_data.write(task, edges.APART, pattern, weight, copies.astype(np.uint32), of_right.astype(np.uint32))
        for batch in both.take(arrow.from_numpy(order)).combine_chunks().to_batches():
            _write(task, edges.ACROSS, batch)


def _tally(task: Task, held: Held, paired: _Paired, inside: Ints) -> None:
    """Counts of listed pairs, as `copies.of_records` lists them, and the weights of matches."""
    parameters: Link = task.parameters
    shown = np.flatnonzero(paired.weight >= log2_odds(parameters.clerical_review_threshold))
    at = np.searchsorted(held.units, paired.left[shown])
    left, right = held.begin[at + 1] - held.begin[at], paired.copies[shown]
    own_left = (held.twins()[at] == paired.right[shown]) & (left > 1)
    own_right = paired.own[shown] & (right > 1)
    itself = np.repeat(np.array([False, True]), (len(shown), len(own := np.flatnonzero(own_left | own_right))))
    which = np.concatenate((np.arange(len(shown)), own))
    left = np.concatenate((left, np.where(own_left[own], left[own], right[own])))
    right = np.concatenate((right, left[len(shown) :]))
    pattern, weight = paired.pattern[shown][which], paired.weight[shown][which]
    times = [listed(left, right, itself, most) for most in (MOST, 1)]
    codes, place = np.unique(pattern, return_inverse=True)
    counts = (added_up(place, one, len(codes)) for one in times)
    edge_data.write(task, edges.TALLIED, codes, *counts)
    scores = scores_of(parameters)
    matches = paired.weight[inside]
    matches = matches[matches >= log2_odds(parameters.match)]
    of_step = np.bincount(steps(matches, parameters), minlength=1)
    edge_data.write_document(
        task,
        edges.SUMMED,
        Summed(
            looked_at=int(looked_at(left, right, itself).sum()),
            sums=sums(weight, scores, times[0]).tolist(),
            fewer=sums(weight, scores, times[1]).tolist(),
            matches=of_step.tolist(),
        ),
    )


def scores_of(parameters: Link) -> list[float]:
    """Those of `thresholds`."""
    return [one for one in (*SCORES, parameters.match) if one >= parameters.clerical_review_threshold]


def steps(weights: npt.NDArray[np.float64], parameters: Link) -> Ints:
    """int64[k]: how far these weights are above a match."""
    found: Ints = ((weights - log2_odds(parameters.match)) * STEP).clip(0, _STEPS - 1).astype(np.int64)
    return found


def send_labels(task: Task, edge: Edge, rows: Rows, row: Ints, cluster: Ints, *, keyed: Bools, cut: Bools) -> None:
    """The labels of rows of the records, to the tasks of their shards. Of the side table none are needed."""
    ends = np.cumsum(rows.own)
    shard = np.searchsorted(ends, row, side="right")
    for consumer, some in chosen(shard, len(rows.own)):
        local = (row[some] - (ends[consumer] - rows.own[consumer])).astype(np.uint32)
        edge_data.write(task, edge, local, cluster[some].astype(np.uint64), keyed[some], cut[some], to=consumer)


def _held(task: Task) -> Held:
    return Held.of([batch for _, batch in task.read(edges.ROWS.name)])


def _homes(task: Task) -> _Homes:
    unit, component, share = (one.astype(np.int64) for one in edge_data.read_numbers(task, edges.HOMES))
    return _Homes(unit=unit, component=component, share=share)


def added_up(groups: Ints, times: Ints, n: int) -> Ints:
    """int64[n]: exact sums of whole numbers."""
    found = np.zeros(n, np.int64)
    np.add.at(found, groups, times)
    return found


def slices(to: Ints, n: int) -> Iterator[tuple[int, slice]]:
    """(consumer, slice) of a sorted array, of those that are there."""
    ends = np.searchsorted(to, np.arange(n + 1))
    return ((at, slice(int(ends[at]), int(ends[at + 1]))) for at in range(n) if ends[at] < ends[at + 1])


def chosen(to: Ints, n: int) -> Iterator[tuple[int, Ints]]:
    """(number below n, int64[k] the places that have it, ascending), of those that are there."""
    order = np.argsort(to, kind="stable")
    return ((consumer, order[some]) for consumer, some in slices(to[order], n))


def _write(task: Task, edge: Edge, batch: pa.RecordBatch, *, to: int = 0) -> None:
    for part in arrow.cut(batch, edge_data.ROWS):
        task.write(edge.name, part, to=to)
