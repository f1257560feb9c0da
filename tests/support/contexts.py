"""What an operation knows besides records and parameters, as tests give it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import pyarrow as pa

from cji_core.format.records import METADATA_KEY
from cji_core.operations.registry import Plan, plan
from cji_core.operations.tables import Tables
from cji_core.operations.tables import load as load_tables
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.operation import BatchOperation, Context, JobContext, PreparedOperation, TableOperation
from cji_operations.registry import prepare

TABLES = load_tables()


def context(
    project_key: bytes | None = None, *, purpose_code: str = "C", secondary_recipient: str = "", tables: Tables = TABLES
) -> Context:
    """Of a job that VA0000000 made on 1 February 2026."""
    job = JobContext(
        purpose_code=purpose_code,
        requesting_ori="VA0000000",
        requestor="Det. Smith",
        secondary_recipient=secondary_recipient,
        created=datetime(2026, 2, 1, 12, 0, tzinfo=UTC),
    )
    return Context(job=job, tables=tables, project_key=project_key)


def planned(
    operations: Sequence[wire.Operation],
    schema_id: str,
    tables: Tables | None = None,
    *,
    sides: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The plan of a job on records of this schema, with side tables by name."""
    return plan(operations, {**sides, "records": schema_id}, tables)


def prepare_any(operation: wire.Operation, schema_id: str, schema: pa.Schema, given: Context) -> PreparedOperation:
    """The operation as a cell prepares it, for records of this schema and the side tables of the context."""
    sides = {name: batches[0].schema.metadata[METADATA_KEY].decode() for name, batches in given.sides.items()}
    (one,) = planned([operation], schema_id, given.tables, sides=sides).operations
    return prepare(one, schema, given)


def prepare_batch(operation: wire.Operation, schema_id: str, schema: pa.Schema, given: Context) -> BatchOperation:
    """An operation with scope `batch`, prepared."""
    prepared = prepare_any(operation, schema_id, schema, given)
    assert isinstance(prepared, BatchOperation)
    return prepared


def prepare_table(operation: wire.Operation, schema_id: str, schema: pa.Schema, given: Context) -> TableOperation:
    """An operation with scope `table`, prepared."""
    prepared = prepare_any(operation, schema_id, schema, given)
    assert isinstance(prepared, TableOperation)
    return prepared
