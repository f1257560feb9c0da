"""count, plan and frequencies: what there is, before any row leaves its shard for another one.

count        one task a shard reads its rows: how many, filled values, slots of keys, sizes of blocks of rules that may
             be left out, and how many rows have each value
plan         one task: the rules that are left out, the routes, and how many tasks take the rows
frequencies  one task a shard, for its share of all values: how many rows of all shards have each
"""

from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Stage
from cji_core.format.records import arrow
from cji_core.format.records.column import Ints, pack
from cji_core.operations.link import edges
from cji_core.operations.link.model import Key, Rule
from cji_core.operations.link.outputs import CLUSTER
from cji_core.operations.parameters import bad_parameters
from cji_operations.kernels import hashing
from cji_operations.link.blocking import pairs_of_sizes
from cji_operations.link.column import Column
from cji_operations.link.columns import Table
from cji_operations.link.conclusion import MEMORY, check_memory
from cji_operations.link.facts import Facts, frequency_columns
from cji_operations.link.key_hashes import tally
from cji_operations.link.observation import random_total
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.aligned_tables import write_table
from cji_operations.link.stages.routes import ROWS_OF_TASK, SLOTS, Assignment, anchor_hashes, assign, routes_of, slots
from cji_operations.link.stages.shard import Bound, Shard
from cji_operations.stages.task import Task

PLANNED_STAGES: Final = ("observe", "pairs")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a shard and of its part of the side table, None without one; and filled values by column.

    `exceeds` are the rules that have too many pairs in this shard alone.
    """

    rows: int
    side_rows: int | None
    filled: dict[str, int]
    exceeds: list[int]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of every shard, what is known of all rows, the rules that are left out, and the routes.

    `random` tasks compare the random pairs: as few as have about as many rows of these as of the routes.
    """

    shards: list[int]
    facts: Facts
    left_out: list[int]
    assignment: Assignment
    maps: list[bytes]
    random: int


def keys_of(rules: tuple[Rule, ...]) -> list[Key]:
    """The keys of a single column of all rules, in order."""
    return list(dict.fromkeys(key for rule in rules for key in rule.keys if not key.other))


def count(task: Task) -> None:
    """See the module."""
    if CLUSTER in task.schema.names:
        raise bad_parameters(Stage.COMPUTE)
    bound, shard = Bound.of(task), Shard.of(task)
    table = shard.table(bound.columns)
    write_table(task, edges.COLUMNS, table, {})
    second = np.arange(table.n) >= (table.n if table.first_of_second is None else table.first_of_second)
    for batch in edge_data.batches(edges.IDS, second, shard.ids()):
        task.write(edges.IDS.name, batch)
    over, tallies = _tallies(table, bound)
    own = table.n if table.first_of_second is None else table.first_of_second
    counts = Counts(
        rows=own,
        side_rows=None if table.first_of_second is None else table.n - own,
        filled={name: int(column.counts.sum()) for name, column in table.columns.items()},
        exceeds=over,
    )
    edge_data.write_document(task, edges.SHARDS, counts)
    for batch in tallies:
        task.write(edges.TALLIES.name, batch)
    for number, key in enumerate(keys_of(bound.rules)):
        column = table.columns[key.column]
        slot = slots(task.bucket_hash(anchor_hashes(column, key)[:-1]))
        rows = np.bincount(slot, column.counts, SLOTS).astype(np.uint32)
        for batch in edge_data.batches(
            edges.SLOTS, np.array([number], np.uint16), pa.array([rows.tobytes()], pa.binary())
        ):
            task.write(edges.SLOTS.name, batch)
    _write_values(task, table, bound)


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


def plan(task: Task, rows_of_task: int = ROWS_OF_TASK) -> None:
    """See the module."""
    bound = Bound.of(task)
    shards = edge_data.read_documents(task, edges.SHARDS, Counts)
    over = {number for shard in shards for number in shard.exceeds}
    linking = shards[0].side_rows is not None
    over |= _too_wide(task, bound, linking=linking)
    slot_rows = np.zeros((len(keys_of(bound.rules)), SLOTS), np.int64)
    for _, batch in task.read(edges.SLOTS.name):
        for number, packed in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            slot_rows[number] += np.frombuffer(packed, np.uint32)
    records = sum(shard.rows for shard in shards)
    n = records + sum(shard.side_rows or 0 for shard in shards)
    check_memory(n, 0, MEMORY)
    keys = keys_of(bound.rules)
    kept = [number for number in range(len(bound.rules)) if number not in over]
    largest = dict(zip(keys, slot_rows.max(axis=1, initial=0).tolist(), strict=True))
    anchors = routes_of(bound.rules, kept, largest, rows_of_task)
    everything = np.zeros(SLOTS, np.int64)
    everything[0] = n
    counts = [everything if one.anchor is None else slot_rows[keys.index(one.anchor)] for one in anchors]
    assignment, maps = assign(bound.rules, anchors, counts, rows_of_task)
    facts = Facts(
        n=n,
        first_of_second=records if linking else None,
        filled={name: sum(shard.filled[name] for shard in shards) for name in bound.columns},
        squares={},
    )
    task.plan(dict.fromkeys(PLANNED_STAGES, assignment.tasks))
    planned = Planned(
        shards=[shard.rows for shard in shards],
        facts=facts,
        left_out=sorted(over),
        assignment=assignment,
        maps=[one.tobytes() for one in maps],
        random=min(assignment.tasks, max(-(-2 * random_total(facts, task.parameters) // rows_of_task), 1)),
    )
    edge_data.write_document(task, edges.PLAN, planned)


def _too_wide(task: Task, bound: Bound, *, linking: bool) -> set[int]:
    """The rules that have too many pairs over all shards."""
    tallies = dict[int, list[pa.RecordBatch]]()
    for _, batch in task.read(edges.TALLIES.name):
        if batch.num_rows:
            tallies.setdefault(batch.column(0)[0].as_py(), []).append(batch)
    over = set[int]()
    for number, found in tallies.items():
        _, key, *sizes = edge_data.gathered(edges.TALLIES, found)
        order = np.argsort(key, kind="stable")  # a merge: the keys of a shard are in order
        key = key[order]
        starts = np.flatnonzero(np.diff(key, prepend=~key[0]))
        rows, second = (np.add.reduceat(values[order].astype(np.int64), starts) for values in sizes)
        if pairs_of_sizes(rows, second if linking else None) > (bound.rules[number].most_pairs or 0):
            over.add(number)
    return over


def frequencies(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    names = frequency_columns(bound.model)
    found: list[list[tuple[int, pa.RecordBatch]]] = [[] for _ in names]
    for producer, batch in task.read(edges.VALUES.name):
        if batch.num_rows:
            found[batch.column(0)[0].as_py()].append((producer, batch))
    squares = dict[str, int]()
    for number, (name, pieces) in enumerate(zip(names, found, strict=True)):
        encoded = pc.dictionary_encode(arrow.concat((batch.column(1) for _, batch in pieces), pa.binary()))
        which = arrow.numbers(encoded.indices).astype(np.int64)
        rows = [arrow.numbers(batch.column(2)) for _, batch in pieces]
        total = np.bincount(which, np.concatenate([np.empty(0), *rows]), len(encoded.dictionary)).astype(np.int64)
        squares[name] = int(total @ total)
        start = 0
        for producer, batch in pieces:
            mine = total[which[start : start + batch.num_rows]]
            start += batch.num_rows
            for part in edge_data.batches(
                edges.FREQUENCIES, np.full(len(mine), number, np.uint16), mine.astype(np.uint32)
            ):
                task.write(edges.FREQUENCIES.name, part, to=producer)
    edge_data.write_document(task, edges.SQUARES, squares)
