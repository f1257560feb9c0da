"""`link` in parts, in one process: its outputs as tables, to hold beside those of `link`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa

from cji_core.format.records import RowStatus
from cji_core.format.records.column import Ints
from cji_core.operations.link import LINK, Link
from cji_core.operations.link.stages import STAGES
from cji_core.operations.tables import load
from cji_operations.link import link
from cji_operations.link.stages import stage_functions
from cji_operations.operation import Context, JobContext
from cji_worker.cell.task_keys import bucket_hash
from tests.reference.link import ignore
from tests.support.stage_runner import Ran, run_stages

_JOB = JobContext(
    purpose_code="C",
    requesting_ori="",
    requestor="",
    secondary_recipient="",
    created=datetime(2026, 1, 1, tzinfo=UTC),
)


def ran(
    records: pa.RecordBatch,
    parameters: Link,
    cuts: Sequence[int],
    *,
    side: pa.RecordBatch | None,
    rows_of_task: int,
    key: bytes = bytes(32),
) -> Ran:
    """The records in shards that end at the `cuts`, values in buckets by this key."""
    ends = [0, *sorted(cuts), records.num_rows]
    shards = [[records.slice(start, stop - start)] for start, stop in pairwise(ends)]
    context = Context(job=_JOB, tables=load(), sides={} if side is None else {"link_to": [side]})
    return run_stages(
        STAGES,
        stage_functions(rows_of_task),
        shards,
        parameters=parameters,
        schema=records.schema,
        context=context,
        bucket_hash=bucket_hash(key),
    )


def assert_same_bytes(
    records: pa.RecordBatch,
    parameters: Link,
    cuts: Sequence[int] = (),
    *,
    side: pa.RecordBatch | None = None,
    rows_of_task: int = 50,
    key: bytes = bytes(32),
) -> Ran:
    """`link` and `link` in parts give the same outputs, bit by bit."""
    one = link([records], records.schema, parameters, ignore, side=None if side is None else [side])
    parts = ran(records, parameters, cuts, side=side, rows_of_task=rows_of_task, key=key)
    for spec in LINK.signature(parameters).parts:
        expected = pa.Table.from_batches(one.parts()[spec.name], spec.schema.arrow).combine_chunks()
        batches = [batch for shard in parts.outputs[spec.name] for batch in shard]
        assert pa.Table.from_batches(batches, spec.schema.arrow).combine_chunks().equals(expected), spec.name
    results = [batch for shard in parts.outputs["result"] for batch in shard]
    clusters: list[Ints] = [batch.column(batch.num_columns - 1).to_numpy() for batch in results]
    assert np.concatenate([np.empty(0, np.int64), *clusters]).tolist() == one.cluster.tolist()
    if results:
        assert pa.Table.from_batches(results).drop_columns(["cluster"]).equals(pa.Table.from_batches([records]))
    statuses = RowStatus.concatenate([status for shard in parts.status for status in shard])
    for name in ("status", "rows", "codes", "columns"):
        assert np.array_equal(getattr(statuses, name), getattr(one.status, name)), name
    return parts
