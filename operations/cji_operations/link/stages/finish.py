"""train, report and label: what is made of all patterns, of all counts, and of all clusters.

train    one task: all pairs counted, and m, u and the prior; a job with too many pairs is refused
report   one task: the outputs that list neither pairs nor clusters
label    one task a shard: the records with their cluster, and their status
"""

from collections.abc import Sequence
from dataclasses import replace as replaced
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.format.records import arrow
from cji_core.operations.link import edges
from cji_core.operations.link.outputs import CLUSTER
from cji_operations.link.blocking import Counted
from cji_operations.link.copies import MOST_LISTED
from cji_operations.link.observation import Observed, counted
from cji_operations.link.patterns import Patterns, merged
from cji_operations.link.read import RowFacts, read_rows
from cji_operations.link.report import Summary
from cji_operations.link.score import Weights
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.buckets import FOUND, RANDOM, Blocks, Weighing, all_blocks
from cji_operations.link.stages.clustering import Reported
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shard import Bound, copied
from cji_operations.link.stages.shares import Summed, added_up, scores_of
from cji_operations.link.training import train as trained_on
from cji_operations.link.weight_report import OwnWeights
from cji_operations.stages.task import Task

_LABELS: Final = edges.LABELS.schema.types


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


def report(task: Task) -> None:
    """See the module."""
    bound = Bound.of(task)
    (weighing,) = edge_data.read_documents(task, edges.MODEL, Weighing)
    own = _own(task, bound, weighing)
    added = edge_data.read_documents(task, edges.NEW_PAIRS, tuple[list[int], list[int]])
    new, weights = (np.array(column, np.int64).sum(axis=0) for column in zip(*added, strict=True))
    pattern, *counts = edge_data.read_numbers(task, edges.TALLIED)
    summed = edge_data.read_documents(task, edges.SUMMED, Summed)
    fewer = sum(one.looked_at for one in summed) > MOST_LISTED
    codes, place = np.unique(pattern, return_inverse=True)
    found = added_up(place, counts[fewer], len(codes))
    codes, found = codes[found > 0], found[found > 0]
    sums = np.sum([one.fewer if fewer else one.sums for one in summed], axis=0)
    summary = Summary(
        weights=Weights(bound.model.comparisons, weighing.trained),
        model=bound.model,
        trained=weighing.trained,
        blocks=list(zip(bound.model.blocking, weighing.blocks.counted[: len(bound.model.blocking)], strict=True)),
        new_pairs=new,
        scores=scores_of(task.parameters),
    )
    parts, of_pattern = summary.of_pairs(codes, found, sums)
    edge_data.write_document(task, edges.REPORTED, Reported(fewer=fewer, bounds=bounds(summed)))
    edge_data.write(task, edges.CODES, codes, of_pattern)
    for name, part in (parts | own.batches(weights)).items():
        for batch in part:
            task.output(name, batch)


def bounds(summed: Sequence[Summed]) -> list[int]:
    """The steps of weights that divide all matches, from the highest on, into about equal shares."""
    counts = np.zeros(max(len(one.matches) for one in summed), np.int64)
    for one in summed:
        counts[: len(one.matches)] += one.matches
    from_top = np.cumsum(counts[::-1])
    wanted = -(-from_top[-1] * np.arange(1, len(summed)) // len(summed))
    return [len(counts) - 1 - int(at) for at in np.searchsorted(from_top, wanted)]


def _own(task: Task, bound: Bound, weighing: Weighing) -> OwnWeights:
    own = OwnWeights(bound.model, weighing.trained, weighing.facts, task.parameters)
    for _, batch in task.read(edges.OWN.name):
        data, counts = (column[0].as_py() for column in batch.columns)
        pattern = np.frombuffer(data, np.int64)
        own.add(pattern, np.frombuffer(counts, np.uint32).reshape(own.columns, len(pattern)))
    return own


def label(task: Task) -> None:
    """See the module."""
    schema = pa.schema([*task.schema, pa.field(CLUSTER, pa.uint64())], metadata=task.schema.metadata)
    held = [copied(batch, batch.schema.names) for batch in task.records()]
    ((names, arrays),) = edge_data.read_arrays(task, edges.FACTS, list[list[str]])
    batches = [batch for edge in (edges.ALONE, edges.LABELS) for _, batch in task.read(edge.name)]
    columns = [arrow.concat((one.column(i) for one in batches), kind) for i, kind in enumerate(_LABELS)]
    by_row = arrow.from_numpy(np.argsort(arrow.numbers(columns[0])))
    cluster, keyed, cut = (column.take(by_row) for column in columns[1:])
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
