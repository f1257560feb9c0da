"""What an operation on records is, whatever it does.

An operation is a pure function of its input, its parameters and its key: same input, same bytes. A bad row
never fails a job; it is null where it must be and says so in the row status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.tables import Tables
from worker.errors import Reason, Refusal, Stage
from worker.progress import ProgressCallback
from worker.records import RowStatus

__all__ = [
    "Applied",
    "BatchOperation",
    "Context",
    "Facts",
    "Outputs",
    "Part",
    "PreparedOperation",
    "Reference",
    "TableOperation",
    "bad_parameters",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An output part besides `result` and `row_status`; its `schema` is tagged with its schema id."""

    name: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Applied:
    """What became of one batch of n rows.

    `kept` int64[k], ascending: which rows of the input the k rows of `batch` are; None = all. `status` judges all n.
    """

    batch: pa.RecordBatch
    status: RowStatus
    kept: npt.NDArray[np.int64] | None = None
    parts: Mapping[str, Iterable[pa.RecordBatch]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outputs:
    """What a table operation made of n rows; `status` judges all n, `parts` is by name."""

    status: RowStatus
    result: Iterable[pa.RecordBatch]
    parts: Mapping[str, Iterable[pa.RecordBatch]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the signed header says of the job: who asks, for whom, why, and when it was made."""

    purpose_code: str
    requesting_ori: str
    requestor: str
    secondary_recipient: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a job has to do with a side table that outlives a job.

    Either it is to be held for `seconds`, then `schema` says which of the side tables it is; or `sha256`, that of the
    sealed part, names one that is held.
    """

    schema: str
    seconds: int = 0
    sha256: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an operation may know besides its parameters and the records."""

    facts: Facts
    tables: Tables = field(repr=False)
    project_key: bytes | None = field(default=None, repr=False)
    sides: Mapping[str, Sequence[pa.RecordBatch]] = field(default_factory=dict, repr=False)
    """The job's side tables, whole, by record schema id."""
    shelf: memoryview | None = field(default=None, repr=False)
    """Where the job's `Reference` is to be laid out, or lies."""


class _Operation(Protocol):
    @property
    def output_schema(self) -> pa.Schema:
        """The Arrow schema of every batch of the result, tagged with `output_schema_id`."""

    @property
    def output_schema_id(self) -> str:
        """The record schema of the result."""

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of the input column that it was made from; WHOLE_ROW for the row."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The further output parts."""


@runtime_checkable
class BatchOperation(_Operation, Protocol):
    """An operation of scope `batch`: rows are independent of each other, memory does not grow with the job."""

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """The rows of `batch` that go on, in its order, and the status of all of them.

        Columns in the status are positions in `batch`. The result may share memory with `batch`.
        """

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """After the last batch: what is left for the parts, by name."""


@runtime_checkable
class TableOperation(_Operation, Protocol):
    """An operation of scope `table`: it sees all records at once, and the side tables of the job."""

    @property
    def keeps_rows(self) -> bool:
        """Whether row i of the result is row i of the records. If not, the operation is the last of its job."""

    def run(
        self,
        records: Sequence[pa.RecordBatch],
        sides: Mapping[str, Sequence[pa.RecordBatch]],
        progress: ProgressCallback,
    ) -> Outputs:
        """`records` is the whole input in its order; `sides` are the job's side tables by record schema id.

        Columns in the status are positions in the records. Raises: MemoryError where they do not fit.
        """


PreparedOperation: TypeAlias = BatchOperation | TableOperation


def bad_parameters(stage: Stage) -> Refusal:
    """The refusal of parameters that no input could make right."""
    return Refusal(Reason.BAD_PARAMETERS, stage=stage)
