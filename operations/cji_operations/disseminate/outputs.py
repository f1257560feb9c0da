"""Outputs of `disseminate` besides the result."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_operations.operation import OutputSpec

LEDGER: Final = OutputSpec(
    name="ledger",
    schema=RecordSchema.output(
        "ledger/1",
        columns(DataClass.CONTROL_NUMBER, "subject SID FBI file", pa.binary()),
        columns(
            DataClass.IDENTITY_HISTORY,
            "time purpose requestor requesting_ori secondary_recipient recipient_class",
            pa.utf8(),
        ),
        columns(DataClass.IDENTITY_HISTORY, "rows", pa.uint64()),
    ),
    of_subjects=True,
)
"""One row for each subject of a released row (CJISSECPOL AU-3(1), 5.1.3), in the order of their first rows."""

WITHHELD: Final = OutputSpec(
    name="withheld",
    schema=RecordSchema.output(
        "withheld/1", columns(DataClass.CASE, "reason", pa.utf8()), columns(DataClass.CASE, "rows", pa.uint64())
    ),
)
"""The number of withheld rows by reason."""
