"""unite: the rows of each unit, which one task has.

A task makes the units of its rows. It reports how many there are, slots of keys, sizes of blocks of rules that may be
left out, how many units have each value, and a sample of values.
"""

from functools import partial

import msgspec
import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints, pack
from cji_core.operations.link import edges
from cji_core.operations.link.model import Key, Rule
from cji_operations.kernels import hashing
from cji_operations.link.blocking import pairs_of_sizes
from cji_operations.link.column import Column
from cji_operations.link.columns import Table
from cji_operations.link.facts import frequency_columns, sources_of
from cji_operations.link.frequent import sampled
from cji_operations.link.key_hashes import tally
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.aligned_tables import write_table
from cji_operations.link.stages.routes import SLOTS, anchor_hashes, slots
from cji_operations.link.stages.shard import Bound, Rows
from cji_operations.link.stages.tables import assemble, collect, ids_of, moved
from cji_operations.link.units import United, united
from cji_operations.stages.task import Task


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Units by the hash of their source, where sources have no duplicates.

    `exceeds` are the rules that have too many pairs among these units alone.
    """

    sources: list[tuple[int, int]]
    exceeds: list[int]


def keys_of(rules: tuple[Rule, ...]) -> list[Key]:
    """The keys of a single column of all rules, in order."""
    return list(dict.fromkeys(key for rule in rules for key in rule.keys if not key.other))


def unite(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    rows = Rows.of(edge_data.read_documents(task, edges.SHARDS, list[int | None]))
    found, names = _united(task, bound, rows)
    table, units = found.table, found.units
    write_table(task, edges.COLUMNS, table, {})
    edge_data.write(task, edges.FIRSTS, units.first.astype(np.uint32))
    over, tallies = _tallies(table, bound)
    sample = sampled(table, rows.n, task.parameters)
    edge_data.write(task, edges.SAMPLE, sample.column.astype(np.uint16), sample.key, sample.surname, sample.birth)
    counts = Counts(sources=list(sources_of(table).items()), exceeds=over)
    edge_data.write_document(task, edges.COUNTS, counts)
    for batch in tallies:
        task.write(edges.TALLIES.name, batch)
    for number, key in enumerate(keys_of(bound.rules)):
        column = table.columns[key.column]
        slot = slots(task.bucket_hash(anchor_hashes(column, key)[:-1]))
        in_slot = np.bincount(slot, column.counts, SLOTS).astype(np.uint32)
        edge_data.write(task, edges.SLOTS, np.array([number], np.uint16), pa.array([in_slot.tobytes()], pa.binary()))
    _write_values(task, table, bound)
    members = (units.first, units.row, units.record, units.head, units.twin, found.cut)
    edge_data.write_arrays(task, edges.MEMBERS, None, [one.astype(np.uint32) for one in members])
    edge_data.write(task, edges.NAMED, names[0].astype(np.uint32), names[1])


def _united(task: Task, bound: Bound, rows: Rows) -> tuple[United, tuple[Ints, pa.Array]]:
    """(the units, rows and their record ids)."""
    pieces = []
    for producer, batch in task.read(edges.READ.name):
        pieces += moved(collect([batch]).get(0, []), partial(rows.numbers, producer))
    table = assemble(pieces, bound.columns, rows.first_of_second, task.parameters, count=True)
    row = table.rows if table.unit is None else table.rows[table.unit]
    return united(table, row, bound.columns, task.parameters), ids_of(pieces)


def _tallies(table: Table, bound: Bound) -> tuple[list[int], list[pa.RecordBatch]]:
    """(the rules that have too many pairs in this shard alone, the tallies of the others that may have)."""
    over, found = list[int](), list[pa.RecordBatch]()
    for number, rule in enumerate(bound.rules):
        if rule.most_pairs is None:
            continue
        key, rows, second = tally(table, rule.keys)
        if pairs_of_sizes(rows, second) > rule.most_pairs:
            over.append(number)
            continue
        second = np.zeros(len(key), np.int64) if second is None else second
        of_rule = np.full(len(key), number, np.uint16)
        found += edge_data.batches(edges.TALLIES, of_rule, key, rows.astype(np.uint32), second.astype(np.uint32))
    return over, found


def _write_values(task: Task, table: Table, bound: Bound) -> None:
    """Each column's values to the task that has this share of all values, in the order of their numbers."""
    for number, name in enumerate(frequency_columns(bound.model)):
        column = table.columns[name]
        values = pack(np.ascontiguousarray(column.words.data), column.words.lengths, pa.binary())
        to = value_tasks(task, column)
        for consumer in range(task.tasks["frequencies"]):
            which = np.flatnonzero(to == consumer)
            taken = values.take(arrow.from_numpy(which))
            for batch in edge_data.batches(
                edges.VALUES, np.full(len(which), number, np.uint16), taken, column.counts[which].astype(np.uint32)
            ):
                task.write(edges.VALUES.name, batch, to=consumer)


def value_tasks(task: Task, column: Column) -> Ints:
    """int64[k]: the task that counts each value."""
    return hashing.below(task.bucket_hash(hashing.of_bytes(column.words.data)), task.tasks["frequencies"])
