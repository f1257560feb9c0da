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
from cji_core.format.records import WHOLE_ROW, arrow
from cji_core.format.records.column import read
from cji_core.operations.aggregate import AGGREGATE, SIDE, Aggregate, Dominance, Privacy, made_by
from cji_core.operations.parameters import bad_parameters
from cji_operations.aggregate.cell_parts import cell_functions
from cji_operations.aggregate.cell_table import run
from cji_operations.aggregate.leoka import leoka
from cji_operations.aggregate.return_a import return_a
from cji_operations.aggregate.shr import shr
from cji_operations.kernels.project_keys import PROJECT_KEY_BYTES
from cji_operations.operation import Case, Context, Implementation, Outputs
from cji_operations.progress import ProgressCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregating:
    """A prepared operation; made by `_prepare` alone."""

    parameters: Aggregate
    output_schema: pa.Schema
    verdicts: Sequence[pa.RecordBatch] | None = field(default=None, repr=False)
    project_key: bytes | None = field(default=None, repr=False)
    keeps_rows: bool = False

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Cells and lines are made from rows as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Count, or convert; see TableOperation."""
        if self.parameters.preset is None:
            return run(self.parameters, records, progress, self.project_key)
        segments, months = (
            read(arrow.concat((batch.column(0) for batch in records), pa.binary())),
            self.parameters.months,
        )
        if self.parameters.preset == "srs_leoka":
            return leoka(segments, progress, verdicts=self.verdicts, months=months)
        if self.parameters.preset == "srs_shr":
            return shr(segments, progress, verdicts=self.verdicts, months=months)
        return return_a(
            segments, progress, verdicts=self.verdicts, months=months, threshold=self.parameters.hides_below
        )


def _prepare(parameters: Aggregate, _schema_id: str, schema: pa.Schema, context: Context) -> Aggregating:
    """Bind parameters to the records.

    Raises: Refusal(SCHEMA_MISMATCH) for a column that is not there; Refusal(BAD_PARAMETERS) for noise without a key.
    """
    if parameters.privacy is not None and len(context.project_key or b"") != PROJECT_KEY_BYTES:
        raise bad_parameters(Stage.COMPUTE)
    if not parameters.columns.issubset(schema.names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    verdicts = context.sides[SIDE] if parameters.reports == "accepted" else None
    return Aggregating(
        parameters=parameters,
        output_schema=made_by(parameters).arrow,
        verdicts=verdicts,
        project_key=context.project_key,
    )


CASES: Final = (
    Case(
        schema="nibrs.flat/3.1",
        row={"segment": "00431I012026    GA0600000" + "X" * 18},
        parameters=Aggregate(preset="srs_return_a", reports="accepted", months=("2026-01",), threshold=2),
        sides={
            "incidents": (
                "nibrs_verdicts/1",
                {"row": 0, "ori": "GA0600000", "number": "XXXXXXXXXXXX", "accepted": True},
            )
        },
    ),
    Case(
        schema="person/1",
        row={"SEX": "M", "SID": "XX1"},
        parameters=Aggregate(
            keys={"SEX": ("F", "M")},
            person="SID",
            privacy=Privacy(
                epsilon_thousandths=500, rows_per_person=3, project="self-test", wrapped_project_key=bytes(384)
            ),
        ),
    ),
    Case(
        schema="person/1",
        row={"SEX": "M", "SID": "XX1", "WGT": "150"},
        parameters=Aggregate(
            keys={"SEX": ("F", "M")}, person="SID", sums=("WGT",), threshold=2, base=5, dominance=Dominance(percent=80)
        ),
    ),
)
"""A person in a cell, with noise and without, and a NIBRS segment on no line."""

IMPLEMENTATION: Final = Implementation(
    operation=AGGREGATE,
    prepare=_prepare,
    self_test=CASES,
    stages=lambda parameters: cell_functions(parameters) if AGGREGATE.stages(parameters) is not None else {},
)
