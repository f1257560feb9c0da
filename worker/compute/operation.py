"""What an operation on records is, whatever it does.

An operation is a pure function of its input, its parameters and its key: same input, same bytes. A bad row
never fails a job; it is null where it must be and says so in the row status.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.errors import Reason, Refusal, Stage
from worker.records import RowStatus

__all__ = ["BatchOperation", "bad_parameters"]


class BatchOperation(Protocol):
    """An operation of scope `batch`: rows are independent of each other, memory of the size of the job."""

    @property
    def output_schema(self) -> pa.Schema:
        """The Arrow schema of every batch that `apply` returns, tagged with `output_schema_id`."""

    @property
    def output_schema_id(self) -> str:
        """The record schema of the output."""

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of the input column that it was made from."""

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, RowStatus]:
        """As many rows as `batch` has, in its order, and the status of each.

        Columns in the status are positions in `batch`. The result may share memory with `batch`.
        """


def bad_parameters(stage: Stage) -> Refusal:
    """The refusal of parameters that no input could make right."""
    return Refusal(Reason.BAD_PARAMETERS, stage=stage)
