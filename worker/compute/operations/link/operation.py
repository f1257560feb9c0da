"""`link` as an operation: the records with their cluster, and what speaks for it.

result   the records, and in the column `cluster` the row of the first record that is of the same person
pairs    `pairs/1`: pairs that match, or that a clerk should look at
patterns `patterns/1`: what each weight is made of, in words
blocks   `blocks/1`: what every blocking rule brought together

With a side table of the records' own schema the records are linked with that table, else among themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import Ints
from worker.compute.operation import Context, Outputs, Part, bad_parameters
from worker.compute.operations import link
from worker.errors import Stage
from worker.progress import ProgressCallback
from worker.records import SCHEMAS, WHOLE_ROW, arrow, check_schema, tagged
from worker.wire.v1 import worker_pb2

__all__ = ["ACCEPTS", "CLUSTER", "PARTS", "SIDES", "Linking", "check", "prepare"]

ACCEPTS: Final = frozenset(("person/1", "hotfile/1"))
SIDES: Final = ACCEPTS
CLUSTER: Final = "cluster"
PARTS: Final = (("pairs", "pairs/1"), ("patterns", "patterns/1"), ("blocks", "blocks/1"))
_MAX_MODEL: Final = 64 << 10


def _parameters(parameters: worker_pb2.Link) -> link.Parameters:
    try:
        found = link.Parameters(
            model=_model(parameters.model) if parameters.model else None,
            match=parameters.match,
            clerical_review_threshold=parameters.clerical_review_threshold,
            oversized="refuse" if parameters.refuse_oversized else "split",
            block_rows=parameters.block_rows,
            pairs=parameters.pairs,
            random_pairs=parameters.random_pairs,
            training_pairs=parameters.training_pairs,
            seed=parameters.seed,
        )
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from None
    link.check(found)
    return found


def _model(data: bytes) -> link.Model:
    """A model from its JSON; ValueError for what is none."""
    if len(data) > _MAX_MODEL:
        raise ValueError
    return msgspec.json.decode(data, type=link.Model)


def check(parameters: worker_pb2.Link) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    _parameters(parameters)


def prepare(parameters: worker_pb2.Link, schema_id: str, schema: pa.Schema, context: Context) -> "Linking":
    """Bind checked parameters to the records' columns. Raises: Refusal(SCHEMA_MISMATCH), Refusal(BAD_PARAMETERS)."""
    check_schema(schema_id, schema)
    if CLUSTER in schema.names or context.sides.keys() - {schema_id}:
        raise bad_parameters(Stage.COMPUTE)
    bound = _parameters(parameters)
    link.bind(bound, schema)
    return Linking(parameters=bound, schema=schema, schema_id=schema_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """A prepared operation; made by `prepare` alone."""

    parameters: link.Parameters
    schema: pa.Schema
    schema_id: str
    keeps_rows: bool = True

    @property
    def output_schema(self) -> pa.Schema:
        """The records, and their cluster."""
        return tagged(self.schema_id, [*self.schema, pa.field(CLUSTER, pa.uint64())])

    @property
    def output_schema_id(self) -> str:
        """That of the records."""
        return self.schema_id

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Each column is itself; the cluster is made from the row."""
        return np.array([*range(len(self.schema)), WHOLE_ROW], np.int16)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Pairs, patterns, blocks."""
        return tuple(
            Part(name=name, schema=tagged(one, [pa.field(c.name, c.types[0]) for c in SCHEMAS[one].columns.values()]))
            for name, one in PARTS
        )

    def run(
        self,
        records: Sequence[pa.RecordBatch],
        sides: Mapping[str, Sequence[pa.RecordBatch]],
        progress: ProgressCallback,
    ) -> Outputs:
        """Link; see TableOperation."""
        found = link.link(records, self.schema, self.parameters, progress, side=sides.get(self.schema_id))
        batches = found.report.batches()
        return Outputs(
            status=found.status,
            result=self._clustered(records, found.cluster),
            parts={part.name: _as(batches[part.name], part.schema) for part in self.parts},
        )

    def _clustered(self, records: Sequence[pa.RecordBatch], cluster: Ints) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in records:
            column = arrow.from_numpy(cluster[first : first + batch.num_rows], pa.uint64())
            yield pa.RecordBatch.from_arrays([*batch.columns, column], schema=self.output_schema)
            first += batch.num_rows


def _as(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    return (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches)
