"""LEOKA as tests look at it: a mapping of cells that count something."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from cji_core.format.records.column import read
from cji_core.operations.aggregate import RETURN_A
from cji_operations.aggregate.leoka import FORMS, leoka
from cji_operations.operation import Outputs

LETTERS = dict(zip(FORMS, "ABCDEFGHIJKL", strict=True))


def engine(
    lines: Sequence[bytes], *, verdicts: Sequence[pa.RecordBatch] | None = None, months: Sequence[str] = ()
) -> tuple[Counter[tuple[str, str, str, str]], Outputs]:
    """(column, ORI, month, line) -> number, of what counts something; the outputs."""
    outputs = leoka(read(pa.array(lines, pa.binary())), lambda *_: None, verdicts=verdicts, months=months)
    cells: Counter[tuple[str, str, str, str]] = Counter()
    for row in pa.Table.from_batches(list(outputs.result), schema=RETURN_A.arrow).to_pylist():
        words = [(row[name] or b"").decode("latin-1") for name in ("form", "ori", "month", "line")]
        form, ori, month, line = words
        assert row["cleared_under_18"] is None
        assert (row["cleared"] is None) is (form != "leoka" or line not in {str(n) for n in range(1, 13)})
        cells[LETTERS[form], ori.rstrip(" "), month, line] += row["actual"]
        cells["M", ori.rstrip(" "), month, line] += row["cleared"] or 0
    return +cells, outputs
