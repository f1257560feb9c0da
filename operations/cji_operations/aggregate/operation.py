"""`aggregate` as an operation: groups of records in cells, or the FBI's forms from NIBRS incidents.

result       `aggregate_cells/1`: one row a cell that is not empty; or `return_a/1`: one row a line of a form
accounting   `return_a_accounting/1`, of the forms only: reports by what became of them

With `reports = "accepted"` the forms need the side table `incidents`: the verdicts of a validation, see `verdicts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import PERSONAL, WHOLE_ROW, arrow
from cji_core.progress import ProgressCallback
from cji_operations.aggregate.cell_parts import cell_parts
from cji_operations.aggregate.cell_table import run
from cji_operations.aggregate.codes import Code
from cji_operations.aggregate.outputs import ACCOUNTING, CELLS, RETURN_A
from cji_operations.aggregate.parameters import Aggregate, decode, encode
from cji_operations.aggregate.return_a import return_a
from cji_operations.aggregate.self_test import CASES
from cji_operations.in_parts import InParts
from cji_operations.kernels.column import read
from cji_operations.operation import Context, Operation, Outputs, Side, Signature
from cji_operations.parameters import ParametersError

_SIDE: Final = "incidents"
_NIBRS: Final = frozenset(("nibrs.flat/3.1",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregating:
    """A prepared operation; made by `_prepare` alone."""

    parameters: Aggregate
    output_schema: pa.Schema
    verdicts: Sequence[pa.RecordBatch] | None = field(default=None, repr=False)
    keeps_rows: bool = False

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Cells and lines are made from rows as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Count, or convert; see TableOperation."""
        if self.parameters.preset is None:
            return run(self.parameters, records, progress)
        return return_a(
            read(arrow.concat((batch.column(0) for batch in records), pa.binary())),
            progress,
            verdicts=self.verdicts,
            months=self.parameters.months,
            threshold=self.parameters.hides_below,
        )


def _signature(parameters: Aggregate) -> Signature:
    if parameters.preset is None:
        return Signature(accepts=PERSONAL, result=CELLS.schema_id)
    sides = (Side(name=_SIDE, schema="nibrs_verdicts/1", required=True),) if parameters.reports == "accepted" else ()
    return Signature(accepts=_NIBRS, result=RETURN_A.schema_id, parts=(ACCOUNTING,), sides=sides)


def _check_columns(parameters: Aggregate, columns: frozenset[str]) -> frozenset[str]:
    missing = parameters.columns - columns
    if missing:
        raise ParametersError(f"no column {', '.join(sorted(missing))}")
    return columns


def _prepare(parameters: Aggregate, _schema_id: str, schema: pa.Schema, context: Context) -> Aggregating:
    """Bind parameters to the records. Raises: Refusal(SCHEMA_MISMATCH) for a column that is not there."""
    if not parameters.columns.issubset(schema.names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    made = CELLS if parameters.preset is None else RETURN_A
    verdicts = context.sides[_SIDE] if parameters.reports == "accepted" else None
    return Aggregating(parameters=parameters, output_schema=made.arrow, verdicts=verdicts)


def _in_parts(parameters: Aggregate) -> InParts | None:
    """Cells by shard. A submission is read as a whole."""
    return cell_parts(parameters) if parameters.preset is None else None


AGGREGATE: Final = Operation(
    parameters=Aggregate,
    decode=decode,
    encode=encode,
    columns=_check_columns,
    signature=_signature,
    prepare=_prepare,
    in_parts=_in_parts,
    terminal=True,
    schemas=(CELLS, RETURN_A, ACCOUNTING.schema),
    steps=("count", "group"),
    codes=Code,
    self_test=CASES,
)
