"""Outputs of `clear` besides the records."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_operations.operation import OutputSpec

_HISTORY: Final = DataClass.IDENTITY_HISTORY

DETERMINATIONS: Final = OutputSpec(
    name="determinations",
    schema=RecordSchema.output(
        "determinations/1",
        columns(DataClass.NONE, "row", pa.uint64(), required=True),
        columns(DataClass.CONTROL_NUMBER, "subject", pa.binary()),
        columns(_HISTORY, "relief rule reason facts", pa.utf8(), required=True),
    ),
)
"""One row for each conviction that a rule decided, in the order of the records."""

NOT_DECIDED: Final = OutputSpec(
    name="not_decided",
    schema=RecordSchema.output(
        "not_decided/1",
        columns(DataClass.NONE, "row", pa.uint64(), required=True),
        columns(DataClass.CONTROL_NUMBER, "subject", pa.binary()),
        columns(_HISTORY, "cause", pa.utf8(), required=True),
        columns(_HISTORY, "rule", pa.utf8()),
        columns(_HISTORY, "words", pa.utf8(), required=True),
    ),
)
"""One row for each conviction in scope that no rule decided, in the order of the records."""
