"""Operations on records: pure functions over numpy, one file each, and the door to them by protobuf.

`check` looks at parameters alone, before any key is opened; `prepare` binds them to an input's columns. An
operation that this worker does not know is refused, never skipped.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from worker.compute import deidentify
from worker.compute.codes import MEANING, Code
from worker.compute.operation import BatchOperation, bad_parameters
from worker.errors import Stage
from worker.records import ROW_STATUS
from worker.wire.v1 import worker_pb2

__all__ = [
    "MEANING",
    "OPERATIONS",
    "BatchOperation",
    "Code",
    "Project",
    "check",
    "output_parts",
    "prepare",
    "project_of",
]

OPERATIONS: Final = ("deidentify",)


def check(operation: worker_pb2.Operation) -> None:
    """Refuse parameters that no input could make right. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if operation.WhichOneof("operation") != "deidentify":
        raise bad_parameters(Stage.ADMIT)
    deidentify.check(operation.deidentify)


class Project(NamedTuple):
    """A token domain and its key, wrapped."""

    name: str
    wrapped_key: bytes


def project_of(operation: worker_pb2.Operation) -> Project | None:
    """The project whose key must be opened for the operation, if it needs one."""
    parameters = operation.deidentify
    if not deidentify.needs_project_key(parameters):
        return None
    return Project(name=parameters.project, wrapped_key=parameters.wrapped_project_key)


def output_parts(operations: Sequence[worker_pb2.Operation], schema_id: str) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of every output part of a job whose input has this schema, in part order.

    Every operation there is keeps the record schema of its input.
    """
    for operation in operations:
        check(operation)
    return (("result", schema_id), ("row_status", ROW_STATUS))


def prepare(
    operation: worker_pb2.Operation, schema_id: str, schema: pa.Schema, project_key: bytes | None
) -> BatchOperation:
    """The operation, ready for batches of `schema`.

    Raises: Refusal(BAD_PARAMETERS) when parameters, columns and key do not fit each other;
    Refusal(SCHEMA_MISMATCH) when `schema` is not `schema_id` or the operation does not know it.
    """
    check(operation)
    return deidentify.prepare(operation.deidentify, schema_id, schema, project_key)
