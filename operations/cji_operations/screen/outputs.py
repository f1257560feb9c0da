"""Outputs of `screen`: outcomes of inquiries, hits, and the status of the reference."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import ROW_STATUS, SCHEMAS, DataClass, RecordSchema, columns
from cji_operations.operation import OutputSpec

_CASE: Final = DataClass.CASE
SHOWN: Final = ("NIC", "ORI", "OCA", "MKE", "file_code", "EXL", "CMC")
"""Columns of the reference that hits show."""

OUTCOMES: Final = RecordSchema.output(
    "outcomes/1",
    columns(_CASE, "row", pa.uint64()),
    columns(_CASE, "outcome best", pa.utf8()),
    columns(_CASE, "hits listed", pa.uint64()),
)
"""One row an inquiry. `status_only`: best, hits and listed are null."""

HITS: Final = OutputSpec(
    name="hits",
    schema=RecordSchema.output(
        "hits/1",
        columns(_CASE, "row", pa.uint64()),
        columns(_CASE, "rank", pa.uint32()),
        columns(_CASE, "class", pa.utf8()),
        columns(_CASE, "score", pa.float64()),
        columns(_CASE, "agreement", pa.utf8()),
        columns(_CASE, "reference_row rows", pa.uint64()),
        columns(_CASE, "restricted", pa.bool_()),
        columns(_CASE, " ".join(SHOWN), pa.binary()),
    ),
)
"""One row a record that is a hit: row of the inquiry, its rank there from 1 on, score in bits.

`reference_row` is the best of its `rows` that are hits. What the reference has not is null.
"""

REFERENCE_STATUS: Final = OutputSpec(name="reference_status", schema=SCHEMAS[ROW_STATUS])
"""Records of the reference that no inquiry can find, or of unknown files."""
