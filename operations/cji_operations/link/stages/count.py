"""count, plan and frequencies: what there is, before the units that are compared leave for another task.

count        one task a shard reads its rows, and sends those of each unit to one task
plan         one task: the rules that are left out, the routes, how many tasks take the units, and the numbers of these
frequencies  one task a shard, for its share of all values: how many units have each
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Limit, Stage
from cji_core.format.records import arrow
from cji_core.operations.link import edges
from cji_core.operations.link.outputs import CLUSTER
from cji_core.operations.parameters import bad_parameters
from cji_operations.kernels import hashing
from cji_operations.kernels.strings import words
from cji_operations.link.blocking import pairs_of_sizes, too_many
from cji_operations.link.conclusion import MEMORY
from cji_operations.link.facts import Facts, frequency_columns
from cji_operations.link.frequent import Frequent, Sample, among, too_frequent
from cji_operations.link.observation import random_total
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.routes import ROWS_OF_TASK, SLOTS, Assignment, assign, routes_of
from cji_operations.link.stages.shard import Bound, Rows, Shard
from cji_operations.link.stages.tables import Packer
from cji_operations.link.stages.unite import Counts, keys_of
from cji_operations.link.units import homes
from cji_operations.stages.task import Task

_BY_ROUTE: Final = ("observe", "pairs")
_BY_SHARE: Final = ("gather", "list", "cluster", "order")
TASKS_OF_SHARE: Final = 8
"""A share has the rows of so many tasks of `observe`: it holds few columns of them."""
MOST_SHARES: Final = 32
"""A share has streams of every shard, and of every other share."""


ROW_BYTES: Final = 48
"""Of a row in the largest tasks that there is only one of, `plan` and `components`."""
PART_BITS: Final = 4
"""Keys of a rule are brought together by their first bits, one part after the other."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of every shard, what is known of all units, the rules that are left out, the routes, and the shares.

    `frequent` are the values that are missing from here on. `random` tasks compare the random pairs: as few as have
    about as many units of these as of the routes.
    """

    rows: Rows
    facts: Facts
    frequent: Frequent
    left_out: list[int]
    assignment: Assignment
    maps: list[bytes]
    random: int
    shares: int


def count(task: Task) -> None:
    """See the module."""
    if CLUSTER in task.schema.names:
        raise bad_parameters(Stage.COMPUTE)
    bound, shard = Bound.of(task), Shard.of(task)
    read = shard.read(bound.columns, task.parameters)
    table, row = read.table, read.row
    own = read.facts.n
    side = None if shard.side is None else sum(batch.num_rows for batch in shard.side)
    edge_data.write_document(task, edges.SHARDS, [own, side])
    to = hashing.below(task.bucket_hash(homes(table, row, bound.columns, task.parameters)), task.tasks["unite"])
    packer, ids = Packer(table, bound.columns, {}), shard.ids()
    for consumer in range(task.tasks["unite"]):
        mine = np.flatnonzero(to == consumer)
        for batch in packer.pieces(0, mine, row[mine], ids=ids.take(arrow.from_numpy(row[mine]))):
            task.write(edges.READ.name, batch, to=consumer)
    edge_data.write_arrays(task, edges.FACTS, *read.facts.arrays())


def plan(task: Task, rows_of_task: int = ROWS_OF_TASK) -> None:
    """See the module."""
    bound = Bound.of(task)
    rows = Rows.of(edge_data.read_documents(task, edges.SHARDS, list[int | None]))
    counts = edge_data.read_documents(task, edges.COUNTS, Counts)
    if rows.n * ROW_BYTES > MEMORY:
        raise too_many(Limit.LINK_MEMORY)
    facts = _facts(task, rows, counts)
    over = {number for one in counts for number in one.exceeds}
    linking = facts.first_of_second is not None
    over |= _too_wide(task, bound, linking=linking)
    slot_rows = np.zeros((len(keys_of(bound.rules)), SLOTS), np.int64)
    for _, batch in task.read(edges.SLOTS.name):
        for number, packed in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            slot_rows[number] += np.frombuffer(packed, np.uint32)
    keys = keys_of(bound.rules)
    kept = [number for number in range(len(bound.rules)) if number not in over]
    largest = dict(zip(keys, slot_rows.max(axis=1, initial=0).tolist(), strict=True))
    anchors = routes_of(bound.rules, kept, largest, rows_of_task)
    everything = np.zeros(SLOTS, np.int64)
    everything[0] = facts.n
    of_anchor = [everything if one.anchor is None else slot_rows[keys.index(one.anchor)] for one in anchors]
    assignment, maps = assign(bound.rules, anchors, of_anchor, rows_of_task)
    shares = min(max(-(-rows.n // (TASKS_OF_SHARE * rows_of_task)), 1), MOST_SHARES)
    task.plan(dict.fromkeys(_BY_ROUTE, assignment.tasks) | dict.fromkeys(_BY_SHARE, shares))
    planned = Planned(
        rows=rows,
        facts=facts,
        frequent=too_frequent(_sample(task)),
        left_out=sorted(over),
        assignment=assignment,
        maps=[one.tobytes() for one in maps],
        random=min(assignment.tasks, max(-(-2 * random_total(facts, task.parameters) // rows_of_task), 1)),
        shares=shares,
    )
    edge_data.write_document(task, edges.PLAN, planned)


def _facts(task: Task, rows: Rows, counts: list[Counts]) -> Facts:
    """Facts about all units, whose numbers go to the tasks that have them."""
    firsts = list[list[npt.NDArray[np.uint32]]]([] for _ in counts)
    for producer, batch in task.read(edges.FIRSTS.name):
        firsts[producer].append(arrow.numbers(batch.column(0)))
    there = np.zeros(rows.n, np.bool_)
    for pieces in firsts:
        for first in pieces:
            there[first] = True
    rank = np.cumsum(there, dtype=np.uint32) - np.uint32(1)
    for consumer, pieces in enumerate(firsts):
        for first in pieces:
            edge_data.write(task, edges.RANKS, rank[first], to=consumer)
    sources = dict[int, int]()
    for one in counts:
        for source, units in one.sources:
            sources[source] = sources.get(source, 0) + units
    own = rows.first_of_second
    return Facts(
        n=int(np.count_nonzero(there)),
        first_of_second=None if own is None else int(np.count_nonzero(there[:own])),
        filled={},
        squares={},
        apart=sum(units * (units - 1) // 2 for units in sources.values()),
    )


def _sample(task: Task) -> Sample:
    column, key, surname, birth = edge_data.read_numbers(task, edges.SAMPLE)
    return Sample(column=column.astype(np.int64), key=key, surname=surname, birth=birth)


def _too_wide(task: Task, bound: Bound, *, linking: bool) -> set[int]:
    """The rules that have too many pairs over all shards."""
    tallies = dict[int, list[pa.RecordBatch]]()
    for _, batch in task.read(edges.TALLIES.name):
        if batch.num_rows:
            tallies.setdefault(batch.column(0)[0].as_py(), []).append(batch)
    over = set[int]()
    for number, found in tallies.items():
        pairs = sum(pairs_of_keys(found, part, linking=linking) for part in range(1 << PART_BITS))
        if pairs > (bound.rules[number].most_pairs or 0):
            over.add(number)
    return over


def pairs_of_keys(found: list[pa.RecordBatch], part: int, *, linking: bool) -> int:
    """The pairs of the blocks of all shards whose keys begin with the bits `part`: few are brought together at once."""
    first, last = np.uint64(part << (64 - PART_BITS)), np.uint64(((part + 1) << (64 - PART_BITS)) - 1)
    some = list[pa.RecordBatch]()
    for batch in found:  # whose keys are in order
        keys = arrow.numbers(batch.column(1))
        start, stop = int(np.searchsorted(keys, first)), int(np.searchsorted(keys, last, side="right"))
        some.append(batch.slice(start, stop - start))
    _, key, *sizes = edge_data.gathered(edges.TALLIES, some)
    if not len(key):
        return 0
    order = np.argsort(key, kind="stable")  # a merge
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=~key[0]))
    rows, second = (np.add.reduceat(values[order].astype(np.int64), starts) for values in sizes)
    return pairs_of_sizes(rows, second if linking else None)


def frequencies(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
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
        total[among(name, words(encoded.dictionary)[0], planned.frequent)] = 0
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
