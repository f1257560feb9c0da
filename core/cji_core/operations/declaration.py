"""An operation as all processes know it: its parameters, its inputs and outputs, its codes and its stages, as data."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias

from google.protobuf.message import Message

from cji_core.format.records import RecordSchema
from cji_core.operations.parameters import P, Sealing
from cji_core.operations.stages.stage import Stages
from cji_core.operations.status_codes import RowCode
from cji_core.operations.tables import Tables
from cji_core.wire.v1 import worker_pb2

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """An output part: its name and its records."""

    name: str
    schema: RecordSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A side table that an operation reads: the input part of this name. `schema` None: that of the records."""

    name: str
    schema: str | None = None
    required: bool = False


class Project(NamedTuple):
    """A token domain and its key, wrapped."""

    name: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A resident reference: a side table whose index outlives its job.

    With `seconds` the job brings it as the side table `side`, and it is retained for that time; with `sha256`, the
    digest of the sealed part, the job uses one that an earlier job has brought.
    """

    side: str
    schema: str
    """Of its records."""
    seconds: int = 0
    sha256: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The inputs and outputs of an operation, given its parameters.

    `accepts` are schema ids of records; `result` is the schema id of the result, None for that of the records;
    `parts` are the further outputs.
    """

    accepts: frozenset[str]
    result: str | None = None
    parts: tuple[OutputSpec, ...] = ()
    sides: tuple[Side, ...] = ()
    reference: Reference | None = None
    project: Project | None = None


ReadOutput: TypeAlias = "Callable[[str], Iterable[pa.RecordBatch]]"
"""The batches of an opened output, by name."""


def _fits_all_records(_parameters: Any, _schema_id: str, _columns: frozenset[str]) -> None:
    pass


def _keep_columns(_parameters: Any, columns: frozenset[str]) -> frozenset[str]:
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[P]):
    """One member of the proto's `operation` oneof, as its module declares it.

    `decode` turns the member's message into parameters and refuses, with BAD_PARAMETERS at ADMIT, what no input could
    make right; `encode` is its inverse. `complete` fills fields that only a submitter can know, and `columns` checks
    names of columns and returns those of the result; both raise ParametersError. `rewrites` are those columns of the
    records that have other values in the result. ParametersError comes from `check_records` too, where the
    parameters cannot keep their promise for records of a schema id with these columns (none where they are not known
    yet). `check_tables` refuses parameters
    that the worker's tables do not support.

    `schemas` are all records that only this operation makes, `steps` its steps of progress, `codes` its row status
    codes. `stages` gives the stages of the operation over many machines, None where it runs on one only.
    `remains` has lines for the submitter, before anything is sealed, about what the result will still show.
    `summary` has lines about the opened outputs for the submitter's console. No other operation follows a
    `terminal` one. With `input_rows`, a column `row` of its outputs has rows of the job's input, otherwise rows of its
    result. `row_bytes`, given the member's message, is the most bytes of output for one record, generously.
    """

    parameters: type[P]
    decode: Callable[[Any], P]
    encode: Callable[[P], Message]
    signature: Callable[[P], Signature]
    steps: tuple[str, ...] = ()
    schemas: tuple[RecordSchema, ...] = ()
    codes: type[RowCode] = RowCode
    terminal: bool = False
    input_rows: bool = False
    complete: Callable[[P, Sealing], P] = lambda parameters, _: parameters
    columns: Callable[[P, frozenset[str]], frozenset[str]] = _keep_columns
    rewrites: Callable[[P], Iterable[str]] = lambda _: ()
    check_records: Callable[[P, str, frozenset[str]], None] = _fits_all_records
    check_tables: Callable[[P, Tables], None] = lambda _parameters, _tables: None
    remains: Callable[[P], tuple[str, ...]] = lambda _: ()
    summary: Callable[[P, ReadOutput], Iterable[str]] = lambda _parameters, _read: ()
    stages: Callable[[P], Stages | None] = lambda _: None
    row_bytes: Callable[[Any], int] = lambda _: 4 << 10

    @property
    def name(self) -> str:
        """Its name in the oneof and in job.toml."""
        return str(self.parameters.__struct_config__.tag)

    def message(self, parameters: P) -> worker_pb2.Operation:
        """The operation as it stands in a job header."""
        fields: dict[str, Any] = {self.name: self.encode(parameters)}
        return worker_pb2.Operation(**fields)
