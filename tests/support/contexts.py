"""What an operation knows besides records and parameters, as tests give it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from worker.compute.operation import Context, JobContext
from worker.compute.registry import Plan, plan
from worker.compute.tables import Tables
from worker.compute.tables import load as load_tables
from worker.records import METADATA_KEY
from worker.wire.v1 import worker_pb2

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
    operations: Sequence[worker_pb2.Operation],
    schema_id: str,
    tables: Tables | None = None,
    *,
    sides: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The plan of a job on records of this schema, with side tables by name."""
    return plan(operations, {**sides, "records": schema_id}, tables)


def prepare(operation: worker_pb2.Operation, schema_id: str, schema: pa.Schema, bound: Context) -> Any:
    """The operation as a cell prepares it, for records of this schema and the side tables of the context."""
    sides = {name: batches[0].schema.metadata[METADATA_KEY].decode() for name, batches in bound.sides.items()}
    (one,) = planned([operation], schema_id, bound.tables, sides=sides).operations
    return one.prepare(schema, bound)
