"""Outputs of `aggregate`: cells, or lines of the FBI's forms and the accounting of reports."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_operations.aggregate.parameters import MAX_KEYS, MAX_SUMS
from cji_operations.operation import OutputSpec

_CASE: Final = DataClass.CASE

CELLS: Final = RecordSchema.output(
    "aggregate_cells/1",
    columns(_CASE, "grouping", pa.uint16()),
    columns(_CASE, " ".join(f"key_{i + 1}" for i in range(MAX_KEYS)), pa.binary()),
    columns(_CASE, "unclassifiable", pa.uint16()),
    columns(_CASE, "hidden", pa.bool_()),
    columns(_CASE, "rows persons", pa.uint64()),
    columns(_CASE, " ".join(f"sum_{i + 1}" for i in range(MAX_SUMS)), pa.uint64()),
)
"""One row a cell that is not empty; see `cell_table`."""

RETURN_A: Final = RecordSchema.output(
    "return_a/1",
    columns(_CASE, "form ori month line title", pa.binary()),
    columns(_CASE, "hidden", pa.bool_()),
    columns(_CASE, "actual cleared cleared_under_18", pa.uint64()),
)
"""One row a line of a form; see `return_a`."""

ACCOUNTING: Final = OutputSpec(
    name="accounting",
    schema=RecordSchema.output(
        "return_a_accounting/1", columns(_CASE, "outcome", pa.utf8()), columns(_CASE, "reports", pa.uint64())
    ),
)
"""Reports by what became of them, of the forms only."""
