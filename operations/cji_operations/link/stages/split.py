"""split: each task sends its units along the routes, and the units of random pairs, with frequencies of values.

Each unit is compared with itself, for `weight_report`. A unit goes wherever one of its rows has to go, with all its
rows: blocks are made of that row, and all are compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link import edges
from cji_operations.kernels import hashing
from cji_operations.kernels.ranges import expand
from cji_operations.link.blocking import Blocking, Counted
from cji_operations.link.blocking import Bound as BoundRule
from cji_operations.link.columns import Table
from cji_operations.link.comparison import bound_to
from cji_operations.link.facts import filled_of, frequency_columns
from cji_operations.link.frequent import without
from cji_operations.link.key_hashes import rule_hashes
from cji_operations.link.marks import SOURCE, Marked, marked
from cji_operations.link.observation import is_trained, random_pairs, random_total
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.aligned_tables import read_tables
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.routes import SLOTS, anchor_hashes, slots
from cji_operations.link.stages.shard import Bound
from cji_operations.link.stages.shares import chosen, share_of, slices
from cji_operations.link.stages.tables import Packer
from cji_operations.link.stages.unite import value_tasks
from cji_operations.link.units import Units
from cji_operations.link.weight_report import beside_themselves
from cji_operations.stages.task import Task

_NAMED: Final = edges.NAMED.schema.types


def split(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    ((table, _),) = read_tables(task, edges.COLUMNS)
    ((_, members),) = edge_data.read_arrays(task, edges.MEMBERS, type(None))
    names = [batch for _, batch in task.read(edges.NAMED.name)]
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    ranks = edge_data.read_numbers(task, edges.RANKS)[0].astype(np.int64)
    table = without(replace(table, rows=ranks), planned.frequent)
    counts = _frequencies(task, table, bound)
    edge_data.write_document(task, edges.FILLED, filled_of(table))
    packer = Packer(table, bound.columns, counts)
    tasks = planned.assignment.tasks
    numbers = ranks[table.units_of(np.arange(table.n))]
    for route, which, to in _routed(task, table, bound, planned):
        rows, to_task, here = _whole(table, which, to, tasks)
        order = np.argsort(to_task.astype(np.int16), kind="stable")  # by radix
        starts = np.searchsorted(to_task[order], np.arange(tasks + 1))
        for consumer in range(tasks):
            some = order[starts[consumer] : starts[consumer + 1]]
            mine = rows[some]
            for batch in packer.pieces(route, mine, numbers[mine], None if here is None else here[some]):
                task.write(edges.TABLE.name, batch, to=consumer)
    _write_random(task, table, bound, planned, packer)
    comparers = [bound_to(comparison, table) for comparison in bound.model.comparisons]
    for pattern, of_values in beside_themselves(comparers, table, bound.model, counts):
        edge_data.write(task, edges.OWN, *(pa.array([one.tobytes()], pa.binary()) for one in (pattern, of_values)))
    _write_units(task, planned, ranks, members, names, keyed=_kept_rules(table, bound, planned).keyed)
    _write_marks(task, planned, marked(table, task.parameters))


def _write_units(
    task: Task,
    planned: Planned,
    ranks: Ints,
    members: Sequence[npt.NDArray[np.uint32]],
    names: Sequence[pa.RecordBatch],
    *,
    keyed: Bools,
) -> None:
    """All rows, with their ids, to the shares of their units, whose numbers are `ranks`."""
    *of_units, cut = (one.astype(np.int64) for one in members)
    first, row, record, head, twin = of_units
    units = Units(first=first, row=row, record=record, head=head, twin=twin)
    unit = np.concatenate((np.arange(len(first)), np.searchsorted(first, head)))
    twin = np.concatenate((np.arange(len(first)), np.searchsorted(first, twin)))
    row, record = np.concatenate((first, row)), np.concatenate((first, record))
    order = np.lexsort((row, unit))
    unit, twin, row, record = (one[order] for one in (unit, twin, row, record))
    known = [arrow.concat((batch.column(at) for batch in names), kind) for at, kind in enumerate(_NAMED)]
    ids = known[1].take(arrow.from_numpy(np.searchsorted(arrow.numbers(known[0]), row)))
    columns = [
        *(one.astype(np.uint32) for one in (ranks[unit], row, record, ranks[twin])),
        keyed[unit],
        np.isin(row, cut),
    ]
    to = share_of(ranks[unit], planned.facts.n, planned.shares)
    for share, some in slices(to, planned.shares):
        mine = ids.slice(some.start, some.stop - some.start)
        edge_data.write(task, edges.ROWS, *(one[some] for one in columns), mine, to=share)
    heavy, equal = units.twins
    edge_data.write(task, edges.TWINS, ranks[equal].astype(np.uint32), ranks[heavy].astype(np.uint32))


def _write_marks(task: Task, planned: Planned, found: Marked) -> None:
    """Marks of units to their shares; values that one unit has together, and all sources."""
    columns = found.unit.astype(np.uint32), found.column.astype(np.uint16), found.value
    for share, some in chosen(share_of(found.unit, planned.facts.n, planned.shares), planned.shares):
        edge_data.write(task, edges.MARKED, *(one[some] for one in columns), to=share)
    order = np.lexsort((found.value, found.unit, found.column))
    unit, column, value = found.unit[order], found.column[order].astype(np.uint16), found.value[order]
    both = (column[1:] == column[:-1]) & (unit[1:] == unit[:-1]) & (value[1:] != value[:-1]) & (column[1:] != SOURCE)
    sources = np.unique(value[column == SOURCE])
    edge_data.write(
        task,
        edges.TOGETHER,
        np.concatenate((column[1:][both], np.full(len(sources), SOURCE, np.uint16))),
        np.concatenate((value[:-1][both], sources)),
        np.concatenate((value[1:][both], sources)),
    )


def _whole(table: Table, which: Ints, to: Ints, tasks: int) -> tuple[Ints, Ints, Bools | None]:
    """(rows, the task of each, bool: it is one of `which` for this task): all rows of the units of these rows."""
    if table.unit is None:
        return which, to, None
    pairs = np.unique(table.unit[which] * tasks + to)
    unit, task = np.divmod(pairs, tasks)
    of_pair, rows = expand(table.starts[unit], np.diff(table.starts)[unit])
    task_of = np.full(table.n, -1)
    task_of[which] = to
    return rows, task[of_pair], task_of[rows] == task[of_pair]


def _frequencies(task: Task, table: Table, bound: Bound) -> dict[str, Ints]:
    """int64[k] by column: how many of all rows have each value."""
    names = frequency_columns(bound.model)
    received: list[list[Ints]] = [[] for _ in range(len(names) * task.tasks["frequencies"])]
    for producer, batch in task.read(edges.FREQUENCIES.name):
        number, rows = edge_data.gathered(edges.FREQUENCIES, [batch])
        if len(number):
            received[int(number[0]) * task.tasks["frequencies"] + producer].append(rows.astype(np.int64))
    found = dict[str, Ints]()
    for column, name in enumerate(names):
        to = value_tasks(task, table.columns[name])
        found[name] = np.zeros(len(to), np.int64)
        for producer in range(task.tasks["frequencies"]):
            pieces = received[column * task.tasks["frequencies"] + producer]
            found[name][to == producer] = np.concatenate([np.empty(0, np.int64), *pieces])
    return found


def _routed(task: Task, table: Table, bound: Bound, planned: Planned) -> Iterator[tuple[int, Ints, Ints]]:
    """(route, int64[k] rows of the table, int64[k] the task of each)."""
    assignment = planned.assignment
    for number in range(assignment.anchors):
        anchor = assignment.routes[number].anchor
        task_of = np.frombuffer(planned.maps[number], np.int16).astype(np.int64)
        if anchor is None:
            slot, there = np.zeros(table.n, np.int64), np.ones(table.n, np.bool_)
        else:
            column = table.columns[anchor.column]
            of_value = anchor_hashes(column, anchor)
            slot, there = slots(task.bucket_hash(of_value))[column.code], of_value[column.code] != 0
        heavy = np.zeros(SLOTS, np.bool_)
        heavy[list(assignment.heavy[number])] = True
        large = there & heavy[slot]
        which = np.flatnonzero(there & ~large)
        yield number, which, task_of[slot[which]]
        alone, which = assignment.alone[number], np.flatnonzero(large)
        if alone is not None:
            yield alone, which, task_of[slot[which]]
        for own in assignment.own[number]:
            (rule,) = assignment.routes[own].rules
            block = rule_hashes(table, bound.rules[rule].keys)[which]
            some = which[block != 0]
            yield own, some, hashing.below(task.bucket_hash(block[block != 0]), assignment.tasks)


def _write_random(task: Task, table: Table, bound: Bound, planned: Planned, packer: Packer) -> None:
    """The units of random pairs: pair p is compared by task p * tasks // pairs, and its units have 2p and 2p + 1."""
    facts, tasks = planned.facts, planned.random
    if not is_trained(bound.model, facts):
        return
    pairs = random_total(facts, task.parameters)
    place = np.full(facts.n, -1, np.int32)
    place[table.rows] = np.arange(table.units, dtype=np.int32)
    for consumer in range(tasks):
        start, stop = (-(-pairs * number // tasks) for number in (consumer, consumer + 1))
        done = start
        for both in random_pairs(facts, task.parameters, start, stop):
            units = place[np.stack(both, axis=1).reshape(-1)]
            mine = np.flatnonzero(units >= 0)
            local = units[mine].astype(np.int64)
            which, rows = expand(table.starts[local], np.diff(table.starts)[local])
            for batch in packer.pieces(0, rows, 2 * done + mine[which]):
                task.write(edges.RANDOM.name, batch, to=consumer)
            done += len(both[0])


def _kept_rules(table: Table, bound: Bound, planned: Planned) -> Blocking:
    """The blocking rules, of which nothing else is known than whether they are left out."""
    return Blocking(
        table=table,
        further=(),
        rules=tuple(
            BoundRule(rule=rule, counted=Counted(left_out=number in planned.left_out), blocks=None)
            for number, rule in enumerate(bound.model.blocking)
        ),
    )
