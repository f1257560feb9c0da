"""train, cluster and label: what is made of all patterns, of all pairs that count, and of all clusters.

train    one task: all pairs counted, and m, u and the prior; a job with too many pairs is refused
cluster  one task: the clusters of the pairs that count, and all outputs besides the records
label    one task a shard: the records with their cluster
"""

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.format.records import arrow
from cji_core.operations.link import edges
from cji_core.operations.link.outputs import CLUSTER
from cji_operations.link.conclusion import MEMORY, check_memory, conclude
from cji_operations.link.observation import Observed
from cji_operations.link.patterns import Patterns, merged
from cji_operations.link.score import Pairs, gather
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.buckets import FOUND, RANDOM, Blocks, Weighing, all_blocks
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shard import Bound, copied
from cji_operations.link.training import train as trained_on
from cji_operations.link.weight_report import OwnWeights
from cji_operations.stages.task import Task


def train(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE where there are too many pairs."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    squares = dict[str, int]()
    for some in edge_data.read_documents(task, edges.SQUARES, dict[str, int]):
        squares |= {name: squares.get(name, 0) + value for name, value in some.items()}
    found = edge_data.read_documents(task, edges.COUNTED, Blocks)
    blocks = all_blocks(bound, planned, found, task.parameters)
    task.progress("train", 0)
    facts = replace(planned.facts, squares=squares)
    rule, pattern, pairs, first = edge_data.read_numbers(task, edges.PATTERNS)

    def of(number: int) -> Patterns:
        some = rule == number
        return merged([Patterns(number=pattern[some], counts=pairs[some], first=first[some])])

    blocking, _, relatives = bound.numbers
    observed = Observed(
        random=of(RANDOM),
        by_rule=[(bound.rules[number], blocks.counted[number], of(number)) for number in blocking],
        household=next(((blocks.counted[number], of(number)) for number in relatives), None),
        found=int(pairs[rule == FOUND].sum()),
    )
    trained = trained_on(bound.model, facts, observed, task.parameters)
    edge_data.write_document(task, edges.MODEL, Weighing(trained=trained, facts=facts, blocks=blocks))


def cluster(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE."""
    bound = Bound.of(task)
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    ids = _ids(task)
    (weighing,) = edge_data.read_documents(task, edges.MODEL, Weighing)
    own = OwnWeights(bound.model, weighing.trained, weighing.facts, task.parameters)
    for _, batch in task.read(edges.OWN.name):
        data, counts = (column[0].as_py() for column in batch.columns)
        pattern = np.frombuffer(data, np.int64)
        own.add(pattern, np.frombuffer(counts, np.uint32).reshape(own.columns, len(pattern)))
    pieces = list[Pairs]()
    kept = 0
    for _, batch in task.read(edges.PAIRS.name):
        left, right, pattern, weight = (arrow.numbers(column) for column in batch.columns)
        pieces.append(Pairs(left=left, right=right, pattern=pattern, weight=weight))
        kept += batch.num_rows
        check_memory(planned.facts.n, kept, MEMORY)
    every = gather(pieces)
    pieces.clear()
    counted = edge_data.read_documents(task, edges.NEW_PAIRS, tuple[list[int], list[int]])
    new, weights = (np.array(column, np.int64).sum(axis=0) for column in zip(*counted, strict=True))
    task.progress("cluster", 0)
    found = conclude(
        every,
        ids=ids,
        model=bound.model,
        facts=weighing.facts,
        trained=weighing.trained,
        counted=weighing.blocks.counted[: len(bound.model.blocking)],
        new_pairs=new,
        own=own,
        weights=weights,
        parameters=task.parameters,
    )
    start = 0
    for consumer, rows in enumerate(planned.shards):
        for batch in edge_data.batches(edges.LABELS, found.root[start : start + rows].astype(np.uint64)):
            task.write(edges.LABELS.name, batch, to=consumer)
        start += rows
    for name, part in found.parts().items():
        for batch in part:
            task.output(name, batch)
    task.progress("cluster", 100)


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
    found = edge_data.read_numbers(task, edges.LABELS)[0]
    start = 0
    for batch in held:
        column = arrow.from_numpy(found[start : start + batch.num_rows], pa.uint64())
        task.output("result", pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema))
        start += batch.num_rows
    if not held:  # a shard without rows has the same columns
        nothing = [pa.nulls(0, kind) for kind in schema.types]
        task.output("result", pa.RecordBatch.from_arrays(nothing, schema=schema))
