"""An operation in parts beside the same operation on one machine: their outputs must be the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from hypothesis import strategies as st

from cji_core.format.records import METADATA_KEY, RowStatus
from cji_core.operations.registry import Planned
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.operation import Context
from cji_operations.registry import prepare, stage_functions
from cji_worker.cell.pipeline import Pipeline
from cji_worker.cell.task_keys import bucket_hash
from tests.support.contexts import context, planned
from tests.support.stage_runner import run_stages

__all__ = ["KEYS", "Found", "cuts", "in_parts", "on_one_machine", "shards_of"]

KEYS = st.binary(min_size=32, max_size=32)
"""Of buckets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Outputs that have rows by name, and the row status; each as the bytes of one table, however it was cut."""

    outputs: Mapping[str, bytes]
    status: bytes
    tables: Mapping[str, pa.Table]


def _found(outputs: Mapping[str, Sequence[pa.RecordBatch]], status: Sequence[RowStatus]) -> Found:
    tables = {name: pa.Table.from_batches(batches) for name, batches in outputs.items() if batches}
    whole = RowStatus.concatenate(status).to_batch(0)
    return Found(
        outputs={name: _bytes(table) for name, table in tables.items() if table.num_rows},
        status=_bytes(pa.Table.from_batches([whole])),
        tables=tables,
    )


def _bytes(table: pa.Table) -> bytes:
    """The Arrow stream of a table as one batch, in buffers that begin at its first row."""
    sink = pa.BufferOutputStream()
    columns = [pa.concat_arrays([pa.nulls(0, column.type), *column.chunks]) for column in table.columns]
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=table.schema))
    return bytes(sink.getvalue())


class _Sink:
    def __init__(self) -> None:
        self.outputs: dict[str, list[pa.RecordBatch]] = {}
        self.statuses: list[RowStatus] = []

    def result(self, batch: pa.RecordBatch) -> None:
        self.part("result", batch)

    def status(self, status: RowStatus) -> None:
        self.statuses.append(status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        self.outputs.setdefault(name, []).append(batch)


def on_one_machine(operation: wire.Operation, records: pa.RecordBatch, given: Context | None = None) -> Found:
    """What a cell makes of these records."""
    given = given or context()
    one = _planned(operation, records.schema, given)
    sink = _Sink()
    prepared = prepare(one, records.schema, given)
    pipeline = Pipeline([prepared], columns=len(records.schema), sink=sink, progress=lambda *_: None)
    pipeline.push(records)
    pipeline.finish()
    schema = prepared.output_schema
    nothing = pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)
    sink.outputs["result"] = [nothing, *sink.outputs.get("result", [])]
    return _found(sink.outputs, sink.statuses)


def in_parts(
    operation: wire.Operation, shards: Sequence[pa.RecordBatch], given: Context | None = None, *, key: bytes = bytes(32)
) -> Found:
    """What its stages make of records in these shards, values in buckets by this key."""
    given = given or context()
    one = _planned(operation, shards[0].schema, given)
    stages = one.operation.stages(one.parameters)
    assert stages is not None
    ran = run_stages(
        stages,
        stage_functions(one),
        [[shard] for shard in shards],
        parameters=one.parameters,
        schema=shards[0].schema,
        context=given,
        bucket_hash=bucket_hash(key),
    )
    outputs = {name: [batch for shard in parts for batch in shard] for name, parts in ran.outputs.items()}
    for shard, statuses in zip(shards, ran.status, strict=True):
        assert sum(len(status.status) for status in statuses) == shard.num_rows
    return _found(outputs, [status for statuses in ran.status for status in statuses])


def _planned(operation: wire.Operation, schema: pa.Schema, given: Context) -> Planned:
    sides = {name: batches[0].schema.metadata[METADATA_KEY].decode() for name, batches in given.sides.items()}
    (one,) = planned([operation], schema.metadata[METADATA_KEY].decode(), given.tables, sides=sides).operations
    return one


def cuts(rows: int) -> st.SearchStrategy[list[int]]:
    """Where records may be cut into shards: ascending, with shards of no rows among them."""
    return st.lists(st.integers(0, rows), max_size=6).map(sorted)


def shards_of(records: pa.RecordBatch, at: Sequence[int]) -> list[pa.RecordBatch]:
    """The records in shards that end at these rows."""
    ends = [*at, records.num_rows]
    return [records.slice(first, last - first) for first, last in zip([0, *at], ends, strict=True)]
