"""Return A as tests look at it: a mapping of cells that count something."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cji_core.format.records.column import read
from cji_core.operations.aggregate import RETURN_A
from cji_operations.aggregate import return_a
from cji_operations.operation import Outputs

SUMS = {("return_a", line) for line in ["1", "2", "3", "4", "5", "7"]} | {("rape_historical", "2")}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Cells are of lines that are no sums of others."""

    outputs: Outputs
    table: pa.Table
    cells: dict[tuple[str, str, str, str], list[int]]
    accounting: dict[str, int]


def verdicts_of(reports: Sequence[tuple[int, str, str, bool]]) -> list[pa.RecordBatch]:
    """A side table of (row, ORI, number, accepted)."""
    row, ori, number, accepted = (list(column) for column in zip(*reports, strict=True)) if reports else ([],) * 4
    return [
        pa.RecordBatch.from_pydict({
            "ori": pa.array(ori, pa.utf8()),
            "number": pa.array(number, pa.utf8()),
            "row": pa.array(row, pa.uint64()),
            "accepted": pa.array(accepted, pa.bool_()),
        })
    ]  # fmt: skip


def rows_of(found: Converted) -> list[tuple[str, str, str, str, int]]:
    columns = [found.table[name].to_pylist() for name in ("form", "ori", "month", "line")]
    words = [[(word or b"").decode("latin-1") for word in column] for column in columns]
    return list(zip(*words, found.table["actual"].to_pylist(), strict=True))


def engine(
    lines: Sequence[bytes],
    *,
    verdicts: Sequence[pa.RecordBatch] | None = None,
    months: Sequence[str] = (),
    threshold: int = 1,
) -> Converted:
    outputs = return_a(
        read(pa.array(lines, pa.binary())), lambda *_: None, verdicts=verdicts, months=months, threshold=threshold
    )
    table = pa.Table.from_batches(list(outputs.result), schema=RETURN_A.arrow)
    cells = {}
    for r in table.to_pylist():
        form, line = r["form"].decode(), r["line"].decode()
        values = [r["actual"] or 0, r["cleared"] or 0, r["cleared_under_18"] or 0]
        if form == "rape_historical":
            assert (r["cleared"], r["cleared_under_18"]) == (None, None)
        if any(values) and line != "total" and (form, line) not in SUMS:
            cells[form, (r["ori"] or b"").decode("latin-1").rstrip(" "), (r["month"] or b"").decode(), line] = values
    (accounting,) = outputs.parts["accounting"]
    by_outcome = {r["outcome"]: r["reports"] for r in accounting.to_pylist()}
    return Converted(outputs=outputs, table=table, cells=cells, accounting=by_outcome)
