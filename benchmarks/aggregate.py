"""`aggregate`: group-by against DuckDB and Polars, all totals against DuckDB's CUBE, Return A against its slow twin.

One thread each. The peers hold their tables in memory in their own form; we read Arrow text as a cell does. Their
results must equal ours before anything is measured.
"""

import os
import time
from collections.abc import Callable
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from benchmarks.validate import submission
from cji_core.format.records.column import Text
from cji_core.format.records.lines import split
from cji_core.operations.aggregate import CELLS, Aggregate
from cji_operations.aggregate import return_a
from cji_operations.aggregate import run as aggregate
from cji_operations.kernels.group_by import cells, coded, counts
from tests.reference.return_a import convert

os.environ["POLARS_MAX_THREADS"] = "1"  # read when it is imported
import polars

__all__ = ["run"]

_KEYS: Final = ("SEX", "RAC", "offense")
_GROUPS: Final = "SELECT SEX, RAC, offense, count(*) FROM t GROUP BY ALL"
_CUBE: Final = (
    "SELECT grouping_id(offense, RAC, SEX), SEX, RAC, offense, count(*), count(DISTINCT SID), sum(value)::UBIGINT"
    " FROM t GROUP BY CUBE (SEX, RAC, offense)"
)
_PARAMETERS: Final = Aggregate(keys=dict.fromkeys(_KEYS, ()), person="SID", sums=("value",), threshold=1)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; one or two minutes."""
    machine, n, pairs = facts(), 500_000 if quick else 2_000_000, 3 if quick else 7
    report.heading("aggregate", machine)
    pa.set_cpu_count(1)
    data = _rows(n)
    (batch,) = data.to_batches()
    database = duckdb.connect()
    database.execute("SET threads = 1")
    database.execute("CREATE TABLE t AS SELECT * FROM data")
    frame = polars.DataFrame(data)
    _compare(batch, database)
    with report.doing(f"group-by of {n} rows"):
        ours = rate(n, lambda: _group(batch))
        groups = paired(ours, rate(n, lambda: database.sql(_GROUPS).to_arrow_table()), pairs=pairs)
        in_polars = paired(ours, rate(n, lambda: frame.group_by(_KEYS).len()), pairs=pairs)
    with report.doing(f"all totals of {n} rows"):
        cube = paired(
            rate(n, lambda: aggregate(_PARAMETERS, [batch], _quiet)),
            rate(n, lambda: database.sql(_CUBE).to_arrow_table()),
            pairs=min(pairs, 3),
        )
    segments, few = split(submission(2 if quick else 8)), split(submission(1))
    with report.doing("Return A"):
        converted = paired(_segments(segments, lambda: return_a(segments, _quiet)), _twin(few), pairs=pairs)
    report.table(
        "Million rows or segments a second, one thread",
        ("", "ours", "peer", "ratio"),
        [
            ("group by three keys / DuckDB", *_cells(groups)),
            ("group by three keys / Polars", *_cells(in_polars)),
            ("rows, persons, sums with all totals / DuckDB CUBE", *_cells(cube)),
            ("Return A / slow twin", *_cells(converted)),
        ],
    )
    hiding = _hiding(report)
    growth = [(rows, _all_totals(rows)) for rows in ((10_000, 100_000) if quick else (10_000, 100_000, 1_000_000))]
    report.table("Seconds for all totals", ("rows", "s"), [(f"{rows}", f"{s:.3f}") for rows, s in growth])
    return Result(
        name="aggregate",
        machine=machine,
        figures={
            "group_rows_per_s": groups.subject.middle,
            "duckdb_group_rows_per_s": groups.peer.middle,
            "polars_group_rows_per_s": in_polars.peer.middle,
            "cube_rows_per_s": cube.subject.middle,
            "duckdb_cube_rows_per_s": cube.peer.middle,
            "return_a_segments_per_s": converted.subject.middle,
            "hiding_s": hiding,
        },
        ratios={
            "duckdb": groups.ratio.middle,
            "polars": in_polars.ratio.middle,
            "duckdb_cube": cube.ratio.middle,
            "twin": converted.ratio.middle,
        },
        growth={"all totals, seconds": growth},
    )


def _rows(n: int) -> pa.Table:
    """Coded rows for a year: uneven groups, three rows per person."""
    rng = np.random.default_rng(4)
    offenses = np.array([f"{i:02d}{letter}" for i in range(20) for letter in "ABC"])
    people = max(n // 3, 1)
    columns = {
        "SEX": np.array(["F", "M", "U"])[rng.choice(3, n, p=(0.3, 0.68, 0.02))],
        "RAC": np.array(["A", "B", "I", "U", "W"])[rng.choice(5, n, p=(0.05, 0.3, 0.02, 0.03, 0.6))],
        "offense": offenses[np.minimum(rng.geometric(0.06, n) - 1, len(offenses) - 1)],
        "SID": np.char.mod("VA%08d", rng.integers(0, people, n)),
    }
    table = pa.table({name: pa.array(values.tolist(), pa.utf8()) for name, values in columns.items()})
    return table.append_column("value", pa.array(rng.integers(0, 5000, n), pa.uint64())).combine_chunks()


def _group(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    columns = [coded(batch.column(name)) for name in _KEYS]
    shape = [len(values) + 1 for _, values in columns]
    return counts(cells([code for code, _ in columns], shape), shape)


def _compare(batch: pa.RecordBatch, database: duckdb.DuckDBPyConnection) -> None:
    found = pa.Table.from_batches(list(aggregate(_PARAMETERS, [batch], _quiet).result), schema=CELLS.arrow).to_pydict()
    text = [[None if value is None else value.decode() for value in found[f"key_{i}"]] for i in (1, 2, 3)]
    ours = set(zip(found["grouping"], *text, found["rows"], found["persons"], found["sum_1"], strict=True))
    assert ours == set(database.execute(_CUBE).fetchall())


def _hiding(report: Report) -> float:
    """Seconds to suppress the small cells in a table of a thousand cells, once."""
    (batch,) = _rows(20_000).to_batches()
    parameters = Aggregate(keys=_PARAMETERS.keys, person="SID")
    started = time.perf_counter()
    result = pa.Table.from_batches(list(aggregate(parameters, [batch], _quiet).result), schema=CELLS.arrow)
    taken = time.perf_counter() - started
    gone = sum(result["hidden"].to_pylist())
    report.note(f"hiding {gone} of {result.num_rows} cells of a table of 20000 rows takes {taken:.2f} s")
    return taken


def _all_totals(rows: int) -> float:
    """Seconds to compute rows, persons and sums for every cell and all totals."""
    (batch,) = _rows(rows).to_batches()
    return rows / rate(rows, lambda: aggregate(_PARAMETERS, [batch], _quiet))()


def _segments(segments: Text, work: Callable[[], object]) -> Callable[[], float]:
    return rate(len(segments.starts), work)


def _twin(segments: Text) -> Callable[[], float]:
    lines = [
        segments.data[start : start + length].tobytes().decode("latin-1")
        for start, length in zip(segments.starts.tolist(), segments.lengths.tolist(), strict=True)
    ]
    return rate(len(lines), lambda: convert(lines))


def _quiet(step: str, per_cent: int) -> None:
    """Ignore the progress."""


def _cells(found: Paired) -> tuple[str, str, str]:
    return (f"{found.subject.middle / 1e6:.2f}", f"{found.peer.middle / 1e6:.2f}", found.ratio.text(places=2))
