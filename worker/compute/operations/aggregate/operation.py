"""`aggregate` as an operation: groups of records in cells, or the FBI's forms from NIBRS incidents.

result       `aggregate_cells/1`: one row a cell that is not empty; or `return_a/1`: one row a line of a form
accounting   `return_a_accounting/1`, of the forms only: reports by what became of them
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import read
from worker.compute.operation import Context, Outputs, Part, bad_parameters
from worker.compute.operations import aggregate
from worker.errors import Reason, Refusal, Stage
from worker.progress import ProgressCallback
from worker.records import WHOLE_ROW, arrow, check_schema
from worker.wire.v1 import worker_pb2

__all__ = ["Aggregating", "ReturnA", "accepts", "check", "output_parts", "prepare", "result"]

_RETURN_A: Final = "srs_return_a"
_RECORDS: Final = frozenset(("person/1", "hotfile/1", "chri_event/1"))
_NIBRS: Final = frozenset(("nibrs.flat/3.1",))


def _parameters(parameters: worker_pb2.Aggregate) -> aggregate.Aggregate:
    return aggregate.Aggregate(
        keys=tuple(
            aggregate.Key(column=key.column, categories=tuple(value.encode() for value in key.categories))
            for key in parameters.keys
        ),
        person=parameters.person,
        sums=tuple(parameters.sums),
        threshold=parameters.threshold,
        base=parameters.base,
    )


def check(parameters: worker_pb2.Aggregate) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if not parameters.preset:
        aggregate.check(_parameters(parameters))
    elif parameters != worker_pb2.Aggregate(preset=_RETURN_A):
        raise bad_parameters(Stage.ADMIT)


def accepts(parameters: worker_pb2.Aggregate) -> frozenset[str]:
    """The record schemas that can be counted in this way."""
    return _NIBRS if parameters.preset else _RECORDS


def result(parameters: worker_pb2.Aggregate, _: str) -> str:
    """The record schema of the cells or lines."""
    return aggregate.RETURN_A if parameters.preset else aggregate.CELLS


def output_parts(parameters: worker_pb2.Aggregate) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of the outputs besides the result."""
    return (("accounting", aggregate.ACCOUNTING),) if parameters.preset else ()


def prepare(
    parameters: worker_pb2.Aggregate,
    schema_id: str,
    schema: pa.Schema,
    context: Context,  # noqa: ARG001 - it needs none
) -> "Aggregating | ReturnA":
    """Bind checked parameters to the records. Raises: Refusal(SCHEMA_MISMATCH) for a column that is not there."""
    check_schema(schema_id, schema)
    if parameters.preset:
        return ReturnA()
    bound = _parameters(parameters)
    named = {*(key.column for key in bound.keys), *bound.sums, *([bound.person] if bound.person else [])}
    if not named.issubset(schema.names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    return Aggregating(parameters=bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregating:
    """A prepared operation; made by `prepare` alone."""

    parameters: aggregate.Aggregate
    keeps_rows: bool = False
    output_schema: pa.Schema = aggregate.CELLS_SCHEMA
    output_schema_id: str = aggregate.CELLS
    parts: tuple[Part, ...] = ()

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Cells are made from rows as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def run(
        self,
        records: Sequence[pa.RecordBatch],
        sides: Mapping[str, Sequence[pa.RecordBatch]],  # noqa: ARG002 - it has none
        progress: ProgressCallback,
    ) -> Outputs:
        """Count; see TableOperation."""
        return aggregate.run(self.parameters, records, progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnA:
    """A prepared operation; made by `prepare` alone."""

    keeps_rows: bool = False
    output_schema: pa.Schema = aggregate.RETURN_A_SCHEMA
    output_schema_id: str = aggregate.RETURN_A
    parts: tuple[Part, ...] = (Part(name="accounting", schema=aggregate.ACCOUNTING_SCHEMA),)

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Lines are made from rows as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def run(
        self,
        records: Sequence[pa.RecordBatch],
        sides: Mapping[str, Sequence[pa.RecordBatch]],  # noqa: ARG002 - it has none
        progress: ProgressCallback,
    ) -> Outputs:
        """Convert; see TableOperation."""
        segments = arrow.concat((batch.column(0) for batch in records), pa.binary())
        return aggregate.return_a(read(segments), progress)
