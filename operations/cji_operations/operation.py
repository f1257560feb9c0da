"""An operation on records: its declaration, and its interface while a job runs.

An operation is a pure function of its input, its parameters and its key: same input, same bytes. A bad row never
fails a job: its values are null where they cannot be used, and the row status has the reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.message import Message

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RecordSchema, RowStatus
from cji_core.progress import ProgressCallback
from cji_core.wire.v1 import worker_pb2
from cji_operations.parameters import P, Sealing
from cji_operations.status_codes import RowCode
from cji_operations.tables import Tables

if TYPE_CHECKING:
    from cji_operations.in_parts import InParts

CHUNK_ROWS: Final = 16_384
"""Rows that operations see at once: their columns and temporaries stay in the L2 cache, and in few pages."""

Row: TypeAlias = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """An output part: its name and its records. `of_subjects`: one row for each subject that was released."""

    name: str
    schema: RecordSchema
    of_subjects: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job of the self-test: made-up records of `schema`, and side tables by name as (schema id, row)."""

    schema: str
    row: Row
    parameters: Any
    sides: Mapping[str, tuple[str, Row]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The job according to its signed header: requestor, recipient, purpose, and the time of its making."""

    purpose_code: str
    requesting_ori: str
    requestor: str
    secondary_recipient: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that an operation may use besides its parameters and the records."""

    job: JobContext
    tables: Tables = field(repr=False)
    project_key: bytes | None = field(default=None, repr=False)
    sides: Mapping[str, Sequence[pa.RecordBatch]] = field(default_factory=dict, repr=False)
    """The job's side tables, whole, by name."""
    reference_slot: memoryview | None = field(default=None, repr=False)
    """Memory that holds the index of the job's `Reference`, or will."""


ReadOutput: TypeAlias = Callable[[str], Iterable[pa.RecordBatch]]
"""The batches of an opened output, by name."""


def _keep_columns(_parameters: Any, columns: frozenset[str]) -> frozenset[str]:
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[P]):
    """One member of the proto's `operation` oneof, as its folder declares it.

    `decode` turns the member's message into parameters and refuses, with BAD_PARAMETERS at ADMIT, what no input could
    make right; `encode` is its inverse. `complete` fills fields that only a submitter can know, and `columns` checks
    names of columns and returns those of the result; both raise ParametersError. `check_tables` refuses parameters
    that the worker's tables do not support. `prepare` binds parameters to the records' schema id and Arrow schema.

    `schemas` are all records that only this operation makes, `steps` its steps of progress, `codes` its row status
    codes. `in_parts` gives the stages of the operation over many machines, None where it runs on one only.
    `summary` has lines about the opened outputs for the submitter's console. No other operation follows a
    `terminal` one. `self_test` runs in a cell before any key exists.
    """

    parameters: type[P]
    decode: Callable[[Any], P]
    encode: Callable[[P], Message]
    signature: Callable[[P], Signature]
    prepare: Callable[[P, str, pa.Schema, Context], "PreparedOperation"]
    self_test: tuple[Case, ...]
    steps: tuple[str, ...] = ()
    schemas: tuple[RecordSchema, ...] = ()
    codes: type[RowCode] = RowCode
    terminal: bool = False
    complete: Callable[[P, Sealing], P] = lambda parameters, _: parameters
    columns: Callable[[P, frozenset[str]], frozenset[str]] = _keep_columns
    check_tables: Callable[[P, Tables], None] = lambda _parameters, _tables: None
    summary: Callable[[P, ReadOutput], Iterable[str]] = lambda _parameters, _read: ()
    in_parts: Callable[[P], "InParts | None"] = lambda _: None

    @property
    def name(self) -> str:
        """Its name in the oneof and in job.toml."""
        return str(self.parameters.__struct_config__.tag)

    def message(self, parameters: P) -> worker_pb2.Operation:
        """The operation as it stands in a job header."""
        fields: dict[str, Any] = {self.name: self.encode(parameters)}
        return worker_pb2.Operation(**fields)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Applied:
    """One batch of n rows after the operation.

    `kept` int64[k], ascending: the input rows of the k rows of `batch`; None = all. `status` covers all n.
    """

    batch: pa.RecordBatch
    status: RowStatus
    kept: npt.NDArray[np.int64] | None = None
    parts: Mapping[str, Iterable[pa.RecordBatch]] = field(default_factory=dict)

    def check(self, rows: int) -> None:
        """Raise Refusal(INTERNAL) unless it accounts for every one of `rows` rows."""
        left = rows if self.kept is None else len(self.kept)
        if self.batch.num_rows != left or len(self.status.status) != rows:
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outputs:
    """The outputs of a table operation for n rows; `status` covers all n, `parts` is by name."""

    status: RowStatus
    result: Iterable[pa.RecordBatch]
    parts: Mapping[str, Iterable[pa.RecordBatch]] = field(default_factory=dict)


class _Prepared(Protocol):
    @property
    def output_schema(self) -> pa.Schema:
        """The Arrow schema of every batch of the result, tagged with its schema id."""

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of the input column that it was made from; WHOLE_ROW for the row."""


@runtime_checkable
class BatchOperation(_Prepared, Protocol):
    """An operation of scope `batch`: rows are independent of each other, memory does not grow with the job."""

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """The rows of `batch` that go on, in its order, and the status of all of them.

        Columns in the status are positions in `batch`. The result may share memory with `batch`.
        """

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """After the last batch: what is left for the parts, by name."""


@runtime_checkable
class TableOperation(_Prepared, Protocol):
    """An operation of scope `table`: it sees all records at once."""

    @property
    def keeps_rows(self) -> bool:
        """Whether row i of the result is row i of the records. If not, the operation is terminal."""

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """`records` is the whole input in its order. Columns in the status are positions in the records.

        Raises: MemoryError when they do not fit.
        """


PreparedOperation: TypeAlias = BatchOperation | TableOperation
