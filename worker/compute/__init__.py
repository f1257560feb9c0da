"""Operations on records: pure functions over numpy, one file each, and the door to them by protobuf.

`check` looks at parameters alone, before any key is opened; `prepare` binds them to an input's columns. An
operation that this worker does not know is refused, never skipped.
"""

from typing import Final

import pyarrow as pa

from worker.compute import deidentify
from worker.compute.codes import MEANING, Code
from worker.compute.operation import BatchOperation, bad_parameters
from worker.errors import Stage
from worker.wire.v1 import worker_pb2

__all__ = ["MEANING", "OPERATIONS", "BatchOperation", "Code", "check", "needs_project_key", "prepare"]

OPERATIONS: Final = ("deidentify",)


def check(operation: worker_pb2.Operation) -> None:
    """Refuse parameters that no input could make right. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if operation.WhichOneof("operation") != "deidentify":
        raise bad_parameters(Stage.ADMIT)
    deidentify.check(operation.deidentify)


def needs_project_key(operation: worker_pb2.Operation) -> bool:
    """Whether the operation's wrapped project key must be opened for it."""
    return operation.WhichOneof("operation") == "deidentify" and deidentify.needs_project_key(operation.deidentify)


def prepare(
    operation: worker_pb2.Operation, schema_id: str, schema: pa.Schema, project_key: bytes | None
) -> BatchOperation:
    """The operation, ready for batches of `schema`.

    Raises: Refusal(BAD_PARAMETERS) when parameters, columns and key do not fit each other;
    Refusal(SCHEMA_MISMATCH) when `schema` is not `schema_id` or the operation does not know it.
    """
    check(operation)
    return deidentify.prepare(operation.deidentify, schema_id, schema, project_key)
