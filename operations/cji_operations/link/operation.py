"""`link` as an operation: the records with their cluster, and what speaks for it.

result   the records, and in the column `cluster` the row of the first record that is of the same person
pairs    `pairs/1`: pairs that match, or that a clerk should look at
patterns `patterns/1`: what each weight is made of
levels   `levels/1`: the weight of each level, in a sentence
clusters `clusters/1`: clusters of several records, and how well each holds together
bridges  `bridges/1`: matches between clusters that are not one
blocks   `blocks/1`: what every blocking rule brought together
weights  `weights/1`: how many pairs and rows have each weight
completeness `completeness/1`: rows that reach no threshold even beside themselves, by what is missing in them
thresholds `thresholds/1`: the share of false pairs to expect from each score on

With a side table `link_to` of the records' own schema the records are linked to that table, else among themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import WHOLE_ROW, arrow, tagged
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import LINK, Link
from cji_core.operations.link.outputs import CLUSTER, SIDE
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.tables import Missing
from cji_operations.link.linkage import bind, link
from cji_operations.link.stages import stage_functions
from cji_operations.operation import Case, Context, Implementation, Outputs
from cji_operations.progress import ProgressCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """A prepared operation; made by `_prepare` alone."""

    parameters: Link
    schema: pa.Schema
    output_schema: pa.Schema
    other: Sequence[pa.RecordBatch] | None = field(repr=False)
    missing: Missing = field(repr=False)
    keeps_rows: bool = True

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Each column is itself; the cluster is made from the row."""
        return np.array([*range(len(self.schema)), WHOLE_ROW], np.int16)

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Link; see TableOperation."""
        found = link(records, self.schema, self.parameters, progress, side=self.other, missing=self.missing)
        clustered = self._clustered(records, found.cluster)
        return Outputs(status=found.status, result=clustered, parts=found.parts())

    def _clustered(self, records: Sequence[pa.RecordBatch], cluster: Ints) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in records:
            column = arrow.from_numpy(cluster[first : first + batch.num_rows], pa.uint64())
            yield pa.RecordBatch.from_arrays([*batch.columns, column], schema=self.output_schema)
            first += batch.num_rows


def _prepare(parameters: Link, schema_id: str, schema: pa.Schema, context: Context) -> Linking:
    """Bind parameters to the records' columns. Raises: Refusal(BAD_PARAMETERS)."""
    if CLUSTER in schema.names:
        raise bad_parameters(Stage.COMPUTE)
    bind(parameters, schema, linking=SIDE in context.sides)
    output = tagged(schema_id, [*schema, pa.field(CLUSTER, pa.uint64())])
    return Linking(
        parameters=parameters,
        schema=schema,
        output_schema=output,
        other=context.sides.get(SIDE),
        missing=context.tables.missing,
    )


FUNCTIONS: Final = stage_functions()


_PERSON: Final = {"last": "DOE", "first": "JOHN", "DOB": "19800101", "SOC": "123456789", "postcode": "12345"}

CASES: Final = (
    Case(
        schema="person/1",
        row=_PERSON,
        parameters=Link(block_rows=100, pairs=100, random_pairs=1000, training_pairs=1000),
        sides={"link_to": ("person/1", {**_PERSON, "first": "JON"})},
    ),
)
"""A person, linked to a record of the same person in another table."""

IMPLEMENTATION: Final = Implementation(operation=LINK, prepare=_prepare, self_test=CASES, stages=lambda _: FUNCTIONS)
