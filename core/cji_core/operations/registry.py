"""The operations that a job may have, one line each, and the plan of a job.

A job is a list of operations on one table of records, its last input; the inputs before it are side tables, each named
for the role that an operation gives it. `plan` checks the whole list before any key is opened. What this worker does
not support is refused, never skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import ROW_STATUS, RecordSchema
from cji_core.format.records import SCHEMAS as INPUT_SCHEMAS
from cji_core.operations.aggregate import AGGREGATE
from cji_core.operations.clear import CLEAR
from cji_core.operations.declaration import Operation, OutputSpec, Project, Reference, Signature
from cji_core.operations.deidentify import DEIDENTIFY
from cji_core.operations.disseminate import DISSEMINATE
from cji_core.operations.link import LINK
from cji_core.operations.match_orders import MATCH_ORDERS
from cji_core.operations.parameters import Parameters, ParametersError, bad_parameters
from cji_core.operations.redact import REDACT
from cji_core.operations.screen import SCREEN
from cji_core.operations.standardize import STANDARDIZE
from cji_core.operations.status_codes import CellCode, RowCode, ValueCode
from cji_core.operations.tables import Tables
from cji_core.operations.validate import NO_RECORD, OF_REJECTED_REPORT, RULE_CODES, VALIDATE
from cji_core.wire.v1 import worker_pb2

OPERATIONS: Final[Mapping[str, Operation[Any]]] = MappingProxyType(
    {
        operation.name: operation
        for operation in (
            VALIDATE,
            LINK,
            SCREEN,
            DEIDENTIFY,
            AGGREGATE,
            DISSEMINATE,
            CLEAR,
            REDACT,
            STANDARDIZE,
            MATCH_ORDERS,
        )
    }
)
"""By their names in the proto's oneof and in job.toml."""

if TYPE_CHECKING:
    AnyParameters: TypeAlias = Parameters
else:
    AnyParameters = Union[tuple(operation.parameters for operation in OPERATIONS.values())]  # noqa: UP007
"""Parameters of any operation, distinguished by `kind`; a type that msgspec decodes."""

SCHEMAS: Final[Mapping[str, RecordSchema]] = MappingProxyType(
    {**INPUT_SCHEMAS, **{schema.schema_id: schema for each in OPERATIONS.values() for schema in each.schemas}}
)
"""All records that go in or come out."""

STEPS: Final = ("rows", *sorted({step for operation in OPERATIONS.values() for step in operation.steps}))
"""The steps of progress: records read, and those of the operations."""

_CODES: Final[tuple[type[RowCode], ...]] = (
    ValueCode,
    CellCode,
    *(operation.codes for operation in OPERATIONS.values()),
)

CODES: Final[Mapping[int, RowCode]] = MappingProxyType({code.value: code for codes in _CODES for code in codes})
"""Every row status code by its number."""


def meaning_of(code: int) -> str:
    """A row status code in words: that of an operation, or a NIBRS rule that `validate` reports."""
    if code in CODES:
        return CODES[code].meaning
    if RULE_CODES < code < OF_REJECTED_REPORT:
        return f"NIBRS rule {code - RULE_CODES}"
    others = {OF_REJECTED_REPORT: "The report is rejected as a whole.", NO_RECORD: "The row has only blanks."}
    return others.get(code, "A code of a later version.")


def is_of_value(code: int) -> bool:
    """Whether a code is about a value, or a cell, that cannot be read."""
    found = CODES.get(code)
    return isinstance(found, ValueCode) or (isinstance(found, CellCode) and not found.warning)


def operation_of(parameters: Parameters) -> Operation[Any]:
    """The operation that takes these parameters."""
    return OPERATIONS[str(parameters.__struct_config__.tag)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One operation of a job; `schema_id` is that of the records that it gets."""

    operation: Operation[Any]
    parameters: Parameters
    signature: Signature
    schema_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job that is worth opening keys for; `outputs` are in part order, `projects` in the order of their keys."""

    operations: tuple[Planned, ...]
    outputs: tuple[OutputSpec, ...]

    @property
    def projects(self) -> tuple[Project, ...]:
        """The projects whose keys must be opened, one for each operation that needs one."""
        return tuple(each.signature.project for each in self.operations if each.signature.project is not None)

    @property
    def reference(self) -> Reference | None:
        """The resident reference that the job leaves behind, or uses."""
        found = (each.signature.reference for each in self.operations)
        return next((reference for reference in found if reference is not None), None)


def plan(operations: Sequence[worker_pb2.Operation], inputs: Mapping[str, str], tables: Tables | None = None) -> Plan:
    """The plan of a job; refuses one that no input could make right.

    `inputs` are schema ids by name, in part order, the records last. Without the worker's `tables`, as in a client,
    what depends on them is not checked. Raises at ADMIT: Refusal(SCHEMA_MISMATCH) where an operation does not take the
    records that it would get; Refusal(BAD_PARAMETERS) for parameters, an order or a side table that makes no sense.
    """
    if not operations or not inputs:
        raise bad_parameters(Stage.ADMIT)
    *sides, (_, schema_id) = inputs.items()
    planned = list[Planned]()
    for message in operations:
        if planned and planned[-1].operation.terminal:
            raise bad_parameters(Stage.ADMIT)
        planned.append(_planned(message, schema_id, tables))
        schema_id = planned[-1].signature.result or schema_id
    _check_sides(dict(sides), planned)
    parts = [part for each in planned for part in each.signature.parts]
    outputs = (_output("result", schema_id), _output("row_status", ROW_STATUS), *parts)
    if len({output.name for output in outputs}) != len(outputs):
        raise bad_parameters(Stage.ADMIT)
    return Plan(operations=tuple(planned), outputs=outputs)


def _output(name: str, schema_id: str) -> OutputSpec:
    return OutputSpec(name=name, schema=SCHEMAS[schema_id])


def _planned(message: worker_pb2.Operation, schema_id: str, tables: Tables | None) -> Planned:
    name = message.WhichOneof("operation")
    if name not in OPERATIONS:
        raise bad_parameters(Stage.ADMIT)
    operation = OPERATIONS[name]
    parameters = operation.decode(getattr(message, name))
    if tables is not None:
        operation.check_tables(parameters, tables)
    try:
        operation.check_records(parameters, schema_id, frozenset())
    except ParametersError as error:
        raise bad_parameters(Stage.ADMIT) from error
    signature = operation.signature(parameters)
    if schema_id not in signature.accepts:
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.ADMIT)
    return Planned(operation=operation, parameters=parameters, signature=signature, schema_id=schema_id)


def _check_sides(given: Mapping[str, str], planned: Sequence[Planned]) -> None:
    """Every side table has a role, and its schema; every required one is there."""
    read = set[str]()
    for each in planned:
        for side in each.signature.sides:
            if side.name in given:
                if given[side.name] != (side.schema or each.schema_id):
                    raise bad_parameters(Stage.ADMIT)
                read.add(side.name)
            elif side.required:
                raise bad_parameters(Stage.ADMIT)
    if given.keys() != read:
        raise bad_parameters(Stage.ADMIT)
