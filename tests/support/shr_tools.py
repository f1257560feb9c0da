"""The Supplementary Homicide Report as tests look at it: its rows."""

from collections.abc import Sequence

import pyarrow as pa

from cji_core.format.records.column import read
from cji_core.operations.aggregate import SHR
from cji_operations.aggregate.shr import shr
from cji_operations.operation import Outputs
from tests.reference.shr import Row


def engine(
    lines: Sequence[bytes], *, verdicts: Sequence[pa.RecordBatch] | None = None, months: Sequence[str] = ()
) -> tuple[list[Row], Outputs]:
    outputs = shr(read(pa.array(lines, pa.binary())), lambda *_: None, verdicts=verdicts, months=months)
    table = pa.Table.from_batches(list(outputs.result), schema=SHR.arrow)
    table.validate(full=True)
    return [
        tuple(value.decode("latin-1") if isinstance(value, bytes) else value for value in row.values())
        for row in table.to_pylist()
    ], outputs


def by_key(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """In an order of its own; blanks at the end of an ORI do not count."""
    return sorted(tuple(str(value).rstrip(" ") for value in row) for row in rows)
