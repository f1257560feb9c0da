"""What an operation knows besides records and parameters, as tests give it."""

from datetime import UTC, datetime

import pyarrow as pa

from worker.compute.operation import BatchOperation, Context, Facts, TableOperation
from worker.compute.registry import prepare
from worker.compute.tables import Tables
from worker.compute.tables import load as load_tables
from worker.wire.v1 import worker_pb2 as wire

TABLES = load_tables()


def context(
    project_key: bytes | None = None, *, purpose_code: str = "C", secondary_recipient: str = "", tables: Tables = TABLES
) -> Context:
    """Of a job that VA0000000 made on 1 February 2026."""
    facts = Facts(
        purpose_code=purpose_code,
        requesting_ori="VA0000000",
        requestor="Det. Smith",
        secondary_recipient=secondary_recipient,
        created=datetime(2026, 2, 1, 12, 0, tzinfo=UTC),
    )
    return Context(facts=facts, tables=tables, project_key=project_key)


def prepare_batch(operation: wire.Operation, schema_id: str, schema: pa.Schema, given: Context) -> BatchOperation:
    """An operation with scope `batch`, prepared."""
    prepared = prepare(operation, schema_id, schema, given)
    assert isinstance(prepared, BatchOperation)
    return prepared


def prepare_table(operation: wire.Operation, schema_id: str, schema: pa.Schema, given: Context) -> TableOperation:
    """An operation with scope `table`, prepared."""
    prepared = prepare(operation, schema_id, schema, given)
    assert isinstance(prepared, TableOperation)
    return prepared
