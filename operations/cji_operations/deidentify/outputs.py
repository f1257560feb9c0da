"""Outputs of `deidentify` besides the result."""

from typing import Final

import pyarrow as pa

from cji_core.format.records import DataClass, RecordSchema, columns
from cji_operations.operation import OutputSpec

TOKEN_MAP: Final = OutputSpec(
    name="token_map",
    schema=RecordSchema.output(
        "token_map/1",
        columns(DataClass.NONE, "column", pa.utf8()),
        columns(DataClass.NONE, "token", pa.binary()),
        columns(DataClass.BIOGRAPHIC, "value", pa.binary()),
    ),
)
"""Every token beside the value that it stands for; see `token_map`."""

K_ANONYMITY: Final = OutputSpec(
    name="k_anonymity",
    schema=RecordSchema.output(
        "k_anonymity/1",
        columns(DataClass.NONE, "stage", pa.utf8()),
        columns(DataClass.CASE, "size classes rows", pa.uint64()),
    ),
)
"""Classes of equal quasi-identifiers by size, before and after; see `k_anonymity`."""

DISCLOSURE_RISK: Final = OutputSpec(
    name="disclosure_risk",
    schema=RecordSchema.output(
        "disclosure_risk/1",
        columns(DataClass.NONE, "stage measure column", pa.utf8()),
        columns(DataClass.NONE, "step", pa.uint32()),
        columns(DataClass.CASE, "value", pa.float64()),
    ),
)
"""Measures of the risk of re-identification, before and after; see `risk`."""
