"""train, cluster and label: what is made of all patterns, of all pairs that count, and of all clusters.

train    one task: all pairs counted, and m, u and the prior; a job with too many pairs is refused
cluster  one task: the clusters of the pairs that count, and all outputs besides the records
label    one task a shard: the records with their cluster, and their status
"""

from dataclasses import replace as replaced
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.format.records import arrow
from cji_core.operations.link import edges
from cji_core.operations.link.outputs import CLUSTER
from cji_operations.kernels.average_linkage import Marks
from cji_operations.link.blocking import Counted, too_many
from cji_operations.link.conclusion import MEMORY, conclude, exceeds_memory
from cji_operations.link.marks import Marked, marks_of
from cji_operations.link.observation import Observed, counted
from cji_operations.link.patterns import Patterns, merged
from cji_operations.link.read import RowFacts, read_rows
from cji_operations.link.score import Pairs, gather
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.buckets import FOUND, RANDOM, Blocks, Weighing, all_blocks
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shard import Bound, copied
from cji_operations.link.training import train as trained_on
from cji_operations.link.units import Units
from cji_operations.link.weight_report import OwnWeights
from cji_operations.stages.task import Task

_LABELS: Final = (pa.uint64(), pa.bool_(), pa.bool_())


def train(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE where there are too many pairs."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    squares = dict[str, int]()
    for some in edge_data.read_documents(task, edges.SQUARES, dict[str, int]):
        squares |= {name: squares.get(name, 0) + value for name, value in some.items()}
    filled = dict.fromkeys(bound.columns, 0)
    for some in edge_data.read_documents(task, edges.FILLED, dict[str, int]):
        filled = {name: value + some[name] for name, value in filled.items()}
    found = edge_data.read_documents(task, edges.COUNTED, Blocks)
    blocks = all_blocks(bound, planned, found, task.parameters)
    task.progress("train", 0)
    facts = replace(planned.facts, squares=squares, filled=filled)
    rule, pattern, pairs, first = edge_data.read_numbers(task, edges.PATTERNS)

    def of(number: int) -> Patterns:
        some = rule == number
        return merged([Patterns(number=pattern[some], counts=pairs[some], first=first[some])])

    blocking, _, relatives = bound.numbers
    observed = Observed(
        random=of(RANDOM),
        by_rule=[(bound.rules[number], *_counted(blocks, number, of(number), task)) for number in blocking],
        household=next((_counted(blocks, number, of(number), task) for number in relatives), None),
        found=int(pairs[rule == FOUND].sum()),
    )
    trained = trained_on(bound.model, facts, observed, task.parameters)
    edge_data.write_document(task, edges.MODEL, Weighing(trained=trained, facts=facts, blocks=blocks))


def _counted(blocks: Blocks, number: int, sample: Patterns, task: Task) -> tuple[Counted, Patterns]:
    return counted(blocks.counted[number], sample, task.parameters), sample


def cluster(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    ids, units = _ids(task), _units(task)
    marks = _marks(task, units)
    cut, unkeyed = (edge_data.read_numbers(task, edge)[0] for edge in (edges.CUT, edges.UNKEYED))
    (weighing,) = edge_data.read_documents(task, edges.MODEL, Weighing)
    own = _own(task, bound, weighing)
    pieces = list[Pairs]()
    kept = 0
    for _, batch in task.read(edges.PAIRS.name):
        left, right, pattern, weight = (arrow.numbers(column) for column in batch.columns)
        pieces.append(Pairs(left=left, right=right, pattern=pattern, weight=weight))
        kept += batch.num_rows
        if exceeds_memory(planned.rows.n, kept, MEMORY):
            raise too_many()
    every = gather(pieces)
    pieces.clear()
    added = edge_data.read_documents(task, edges.NEW_PAIRS, tuple[list[int], list[int]])
    new, weights = (np.array(column, np.int64).sum(axis=0) for column in zip(*added, strict=True))
    task.progress("cluster", 0)
    found = conclude(
        every,
        units=units,
        marks=marks,
        ids=ids,
        first_of_second=planned.rows.first_of_second,
        model=bound.model,
        trained=weighing.trained,
        counted=weighing.blocks.counted[: len(bound.model.blocking)],
        new_pairs=new,
        own=own,
        weights=weights,
        parameters=task.parameters,
    )
    keyed, is_cut = ~np.isin(units.of_row, unkeyed), np.isin(np.arange(units.n), cut)
    start = 0
    for consumer, rows in enumerate(planned.rows.own):
        labels = (one[start : start + rows] for one in (found.root.astype(np.uint64), keyed, is_cut))
        edge_data.write(task, edges.LABELS, *labels, to=consumer)
        start += rows
    for name, part in found.parts().items():
        for batch in part:
            task.output(name, batch)
    task.progress("cluster", 100)


def _own(task: Task, bound: Bound, weighing: Weighing) -> OwnWeights:
    own = OwnWeights(bound.model, weighing.trained, weighing.facts, task.parameters)
    for _, batch in task.read(edges.OWN.name):
        data, counts = (column[0].as_py() for column in batch.columns)
        pattern = np.frombuffer(data, np.int64)
        own.add(pattern, np.frombuffer(counts, np.uint32).reshape(own.columns, len(pattern)))
    return own


def _units(task: Task) -> Units:
    first = np.sort(edge_data.read_numbers(task, edges.FIRSTS)[0].astype(np.int64))
    members = [one.astype(np.int64) for one in edge_data.read_numbers(task, edges.MEMBERS)]
    order = np.argsort(members[0])
    row, record, head, twin = (one[order] for one in members)
    return Units(first=first, row=row, record=record, head=head, twin=twin)


def _marks(task: Task, units: Units) -> Marks | None:
    unit, column, value = edge_data.read_numbers(task, edges.MARKED)
    found = Marked(unit=unit.astype(np.int64), column=column.astype(np.int64), value=value)
    return marks_of(found, len(units.first), task.parameters)


def _ids(task: Task) -> pa.Array:
    own, side = list[pa.Array](), list[pa.Array]()
    for _, batch in task.read(edges.IDS.name):
        second = arrow.bools(batch.column(0))
        cut = len(second) - int(np.count_nonzero(second))  # the side table's rows come last
        own.append(batch.column(1).slice(0, cut))
        side.append(batch.column(1).slice(cut))
    return arrow.concat([*own, *side], pa.binary())


def label(task: Task) -> None:
    """See the module."""
    schema = pa.schema([*task.schema, pa.field(CLUSTER, pa.uint64())], metadata=task.schema.metadata)
    held = [copied(batch, batch.schema.names) for batch in task.records()]
    ((names, arrays),) = edge_data.read_arrays(task, edges.FACTS, list[list[str]])
    batches = [batch for _, batch in task.read(edges.LABELS.name)]
    cluster, keyed, cut = (arrow.concat((one.column(i) for one in batches), kind) for i, kind in enumerate(_LABELS))
    start = 0
    for batch in held:
        column = arrow.concat([cluster.slice(start, batch.num_rows)], pa.uint64())
        task.output("result", pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema))
        start += batch.num_rows
    if not held:  # a shard without rows has the same columns
        nothing = [pa.nulls(0, kind) for kind in schema.types]
        task.output("result", pa.RecordBatch.from_arrays(nothing, schema=schema))
    facts = RowFacts.of(start, names, arrays)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    if planned.frequent:
        read = read_rows(held, None, list(planned.frequent), task.parameters, task.context.tables.missing)
        facts = replaced(read, facts=facts).with_frequent(planned.frequent)
    found = facts.with_cut(np.flatnonzero(arrow.bools(cut))).status(arrow.bools(keyed), task.schema)
    task.status(found)
