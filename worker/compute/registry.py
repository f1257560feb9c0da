"""Operations on records: pure functions over numpy, one file or folder each, and the door to them by protobuf.

A job is a list of operations on one table of records, its last input; the inputs before it are side tables that an
operation looks things up in. `check` judges the whole list before any key is opened, `output_parts` says what will
come out, `prepare` binds one operation to the records' columns. What this worker does not know is refused, never
skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pyarrow as pa

from worker.compute.operation import (
    Applied,
    BatchOperation,
    Context,
    Facts,
    Outputs,
    Part,
    PreparedOperation,
    Reference,
    TableOperation,
    bad_parameters,
)
from worker.compute.operations.aggregate import operation as aggregate
from worker.compute.operations.deidentify import operation as deidentify
from worker.compute.operations.disseminate import operation as disseminate
from worker.compute.operations.link import operation as link
from worker.compute.operations.screen import operation as screen
from worker.compute.operations.validate import operation as validate
from worker.compute.status_codes import MEANING, Code
from worker.compute.tables import Tables
from worker.compute.tables import load as load_tables
from worker.errors import Reason, Refusal, Stage
from worker.records import ROW_STATUS
from worker.wire.v1 import worker_pb2

__all__ = [
    "MEANING",
    "OPERATIONS",
    "Applied",
    "BatchOperation",
    "Code",
    "Context",
    "Facts",
    "Outputs",
    "Part",
    "PreparedOperation",
    "Project",
    "Reference",
    "TableOperation",
    "Tables",
    "check",
    "load_tables",
    "output_parts",
    "prepare",
    "project_of",
    "reference_of",
]


class Project(NamedTuple):
    """A token domain and its key, wrapped."""

    name: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One member of the `operation` oneof, as its module defines it.

    `check` refuses parameters, and `check_tables` those that do not fit the worker's tables; `prepare` binds them to
    schema id and Arrow schema; `result` is the schema id of the result for one that it `accepts`; `parts` are (name,
    schema id) of the further outputs; `sides` are the schema ids of side tables that it reads, `needs` those of them
    without which it does nothing. `reference` is the side table that outlives the job, if there is one. After an
    operation that is `last` no other one can follow.
    """

    check: Callable[[Any], None]
    prepare: Callable[[Any, str, pa.Schema, Context], PreparedOperation]
    accepts: Callable[[Any], frozenset[str]]
    check_tables: Callable[[Any, Tables], None] = lambda _parameters, _tables: None
    result: Callable[[Any, str], str] = lambda _, schema_id: schema_id
    parts: Callable[[Any], tuple[tuple[str, str], ...]] = lambda _: ()
    sides: frozenset[str] = frozenset()
    needs: Callable[[Any], frozenset[str]] = lambda _: frozenset()
    reference: Callable[[Any], Reference | None] = lambda _: None
    project: Callable[[Any], Project | None] = lambda _: None
    last: bool = False


def _deidentify_project(parameters: worker_pb2.Deidentify) -> Project | None:
    if not deidentify.needs_project_key(parameters):
        return None
    return Project(name=parameters.project, wrapped_key=parameters.wrapped_project_key)


_KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "validate": _Kind(
            check=validate.check,
            check_tables=validate.check_tables,
            prepare=validate.prepare,
            accepts=validate.accepts,
            result=validate.result,
            parts=validate.output_parts,
            sides=validate.SIDES,
            last=True,
        ),
        "link": _Kind(
            check=link.check,
            prepare=link.prepare,
            accepts=lambda _: link.ACCEPTS,
            parts=lambda _: link.PARTS,
            sides=link.SIDES,
        ),
        "screen": _Kind(
            check=screen.check,
            check_tables=screen.check_tables,
            prepare=screen.prepare,
            accepts=lambda _: screen.ACCEPTS,
            result=lambda _, _schema: screen.OUTCOMES,
            parts=screen.output_parts,
            sides=frozenset((screen.REFERENCE,)),
            needs=screen.needs,
            reference=screen.reference,
            last=True,
        ),
        "deidentify": _Kind(
            check=deidentify.check,
            prepare=deidentify.prepare,
            accepts=lambda _: deidentify.ACCEPTS,
            parts=deidentify.output_parts,
            project=_deidentify_project,
        ),
        "aggregate": _Kind(
            check=aggregate.check,
            prepare=aggregate.prepare,
            accepts=aggregate.accepts,
            result=aggregate.result,
            parts=aggregate.output_parts,
            last=True,
        ),
        "disseminate": _Kind(
            check=disseminate.check,
            check_tables=disseminate.check_tables,
            prepare=disseminate.prepare,
            accepts=lambda _: disseminate.ACCEPTS,
            parts=lambda _: disseminate.PARTS,
        ),
    }
)

OPERATIONS: Final = tuple(_KINDS)


def _kind(operation: worker_pb2.Operation) -> tuple[_Kind, Any]:
    name = operation.WhichOneof("operation")
    if name not in _KINDS:
        raise bad_parameters(Stage.ADMIT)
    return _KINDS[name], getattr(operation, name)


def check(operations: Sequence[worker_pb2.Operation], schemas: Sequence[str], tables: Tables | None = None) -> None:
    """Refuse a job that no input could make right; `schemas` are the schema ids of its inputs, records last.

    Without the worker's `tables`, as in a client, what depends on them is not judged.

    Raises at ADMIT: Refusal(SCHEMA_MISMATCH) where an operation does not take the records that it would get;
    Refusal(BAD_PARAMETERS) for parameters, an order or a side table that makes no sense.
    """
    used, needed = set[str](), set[str]()
    for operation in operations:
        kind, parameters = _kind(operation)
        kind.check(parameters)
        if tables is not None:
            kind.check_tables(parameters, tables)
        reference = kind.reference(parameters)
        used |= kind.sides - ({reference.schema} if reference and reference.sha256 else set())
        needed |= kind.needs(parameters)
    output_parts(operations, schemas)
    sides = schemas[:-1]
    if len(set(sides)) != len(sides) or not needed <= set(sides) <= used:
        raise bad_parameters(Stage.ADMIT)


def output_parts(operations: Sequence[worker_pb2.Operation], schemas: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of every output part of a job whose inputs have these schemas, in part order.

    Raises as `check` does, for what can be seen without parameters.
    """
    if not operations or not schemas:
        raise bad_parameters(Stage.ADMIT)
    schema_id, parts = schemas[-1], list[tuple[str, str]]()
    for position, operation in enumerate(operations):
        kind, parameters = _kind(operation)
        if schema_id not in kind.accepts(parameters):
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.ADMIT)
        if kind.last and position + 1 < len(operations):
            raise bad_parameters(Stage.ADMIT)
        schema_id = kind.result(parameters, schema_id)
        parts.extend(kind.parts(parameters))
    outputs = (("result", schema_id), ("row_status", ROW_STATUS), *parts)
    if len({name for name, _ in outputs}) != len(outputs):
        raise bad_parameters(Stage.ADMIT)
    return outputs


def project_of(operation: worker_pb2.Operation) -> Project | None:
    """The project whose key must be opened for the operation, if it needs one."""
    kind, parameters = _kind(operation)
    return kind.project(parameters)


def reference_of(operations: Sequence[worker_pb2.Operation]) -> Reference | None:
    """The reference that the job leaves behind, or uses."""
    found = [kind.reference(parameters) for kind, parameters in map(_kind, operations)]
    return next((reference for reference in found if reference), None)


def prepare(operation: worker_pb2.Operation, schema_id: str, schema: pa.Schema, context: Context) -> PreparedOperation:
    """The operation, ready for batches of `schema`.

    Raises: Refusal(BAD_PARAMETERS) when parameters, columns, tables and key do not fit each other;
    Refusal(SCHEMA_MISMATCH) when `schema` is not `schema_id` or the operation does not know it.
    """
    kind, parameters = _kind(operation)
    kind.check(parameters)
    return kind.prepare(parameters, schema_id, schema, context)
