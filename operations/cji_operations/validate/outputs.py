"""Outputs of `validate`: findings on a NIBRS submission or on columns, and what follows from them."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_operations.operation import OutputSpec

_CASE: Final = DataClass.CASE

NIBRS_FINDINGS: Final = RecordSchema.output(
    "nibrs_findings/1",
    columns(_CASE, "row record", pa.uint64()),
    columns(_CASE, "level", pa.uint8()),
    columns(_CASE, "element", pa.binary()),
    columns(_CASE, "rule", pa.uint16()),
    columns(_CASE, "value sequence offense loss", pa.binary()),
    columns(_CASE, "warning", pa.bool_()),
    columns(_CASE, "message period action ori number path", pa.binary()),
)
"""One row a finding; see `findings`."""

INCIDENTS: Final = OutputSpec(
    name="incidents",
    schema=RecordSchema.output(
        "nibrs_incidents/1",
        columns(_CASE, "ori number group action", pa.binary()),
        columns(_CASE, "row segments errors warnings", pa.uint64()),
        columns(_CASE, "accepted", pa.bool_()),
    ),
)
"""One row a report, and whether it is accepted."""

RATES: Final = OutputSpec(
    name="rates",
    schema=RecordSchema.output(
        "nibrs_rates/1",
        columns(_CASE, "ori rule_set", pa.binary()),
        columns(_CASE, "reports rejected errors rejected_per_10000", pa.uint64()),
    ),
)
"""One row an ORI, with the rule set that it was checked by."""

EDS: Final = OutputSpec(
    name="eds", schema=RecordSchema.output("nibrs_eds/3.1", columns(_CASE, "record", pa.binary()), lines=True)
)
"""The FBI's Error Data Set, a record a row."""

FINDINGS: Final = RecordSchema.output(
    "findings/1",
    columns(_CASE, "row", pa.uint64()),
    columns(_CASE, "column", pa.utf8()),
    columns(_CASE, "code", pa.uint16()),
    columns(_CASE, "finding", pa.utf8()),
    columns(_CASE, "warning", pa.bool_()),
    columns(_CASE, "value", pa.binary()),
)
"""One row a finding on a column."""

COUNTS: Final = OutputSpec(
    name="counts",
    schema=RecordSchema.output(
        "finding_counts/1", columns(_CASE, "column finding", pa.utf8()), columns(_CASE, "rows", pa.uint64())
    ),
)
"""Rows by column and finding."""
