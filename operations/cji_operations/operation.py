"""An operation on records while a job runs, and what computes it; `cji_core.operations` declares it.

An operation is a pure function of its input, its parameters and its key: same input, same bytes. A bad row never
fails a job: its values are null where they cannot be used, and the row status has the reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus
from cji_core.operations.declaration import Operation
from cji_core.operations.parameters import P
from cji_core.operations.tables import Tables
from cji_operations.progress import ProgressCallback
from cji_operations.stages.task import StageFunctions

CHUNK_ROWS: Final = 16_384
"""Rows that operations see at once: their columns and temporaries stay in the L2 cache, and in few pages."""

Row: TypeAlias = Mapping[str, str | bytes | int | bool | None]


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


@runtime_checkable
class WithReference(Protocol):
    """A prepared operation with a reference, which may be of an earlier job."""

    @property
    def reference_schema(self) -> pa.Schema:
        """The columns of the reference that go to outputs."""


PreparedOperation: TypeAlias = BatchOperation | TableOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation(Generic[P]):
    """An operation, bound to the code that computes it.

    `prepare` binds parameters to the records' schema id and Arrow schema. `stages` has the function of each of the
    operation's stages, by name. `self_test` runs in a cell before any key exists.
    """

    operation: Operation[P]
    prepare: Callable[[P, str, pa.Schema, Context], PreparedOperation]
    self_test: tuple[Case, ...]
    stages: Callable[[P], StageFunctions] = lambda _: MappingProxyType({})
