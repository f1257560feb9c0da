"""`clear`: events a second with the whole table that is shipped, beside a slow twin with the same outcomes.

One thread, events in Arrow text as a cell has them; decisions, reasons and facts are made and read. The twin goes
through few events, because it looks at all of them for each conviction.
"""

import datetime
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.harness import Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.records import tagged
from cji_core.operations.clear import Clear, read_rules
from cji_operations.clear.operation import Clearing
from cji_operations.operation import Outputs
from tests.reference.clear import determine
from tests.support.clear_tools import outcomes

__all__ = ["run"]

_AS_OF: Final = datetime.date(2026, 2, 1)
_RULES: Final = read_rules((files("cji_core.operations.clear") / "california.toml").read_bytes())
_FEW: Final = 600
_FIRST, _LAST = np.datetime64("1985-01-01"), np.datetime64("2025-12-31")
_OFFENSES: Final = (
    "11357(A) HS-POSSESS CONCENTRATED CANNABIS",
    "11357(B) HS-POSSESS MARIJUANA 28.5- GRAMS",
    "11358 HS-CULTIVATE MARIJUANA",
    "11359 HS-POSSESS MARIJUANA FOR SALE",
    "11360(A) HS-SELL MARIJUANA",
    "459 PC-BURGLARY",
    "470(D) PC-FORGERY",
    "484(A) PC-THEFT",
    "211 PC-ROBBERY",
    "647(F) PC-DISORDERLY CONDUCT",
    "664/459 PC-ATTEMPTED BURGLARY",
    "SEE COMMENT FOR CHARGE",
)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute."""
    machine, n, pairs = facts(), 250_000 if quick else 1_000_000, 3 if quick else 9
    report.heading("clear", machine)
    batch = _events(n)
    few = batch.slice(0, _FEW)
    rows = few.to_pylist()
    assert outcomes(_decide(few)) == determine(rows, _RULES, _AS_OF)
    with report.doing(f"{n} events, {pairs} pairs"):
        found = paired(rate(n, lambda: _read(_decide(batch))), rate(_FEW, lambda: _twin(rows)), pairs=pairs)
    decided = len(outcomes(_decide(batch.slice(0, n // 10)))) * 10
    report.table(
        f"Million events a second, one thread, {n} events, about {decided} convictions, {len(_RULES.rules)} rules",
        ("", "ours", "peer", "ratio"),
        [
            (
                "slow twin",
                f"{found.subject.middle / 1e6:.2f}",
                f"{found.peer.middle / 1e6:.4f}",
                found.ratio.text(places=0),
            )
        ],
    )
    growth = [(size, _seconds(batch.slice(0, size))) for size in (n // 100, n // 10, n)]
    report.table("Seconds", ("events", "s"), [(f"{size}", f"{seconds:.3f}") for size, seconds in growth])
    return Result(
        name="clear",
        machine=machine,
        figures={"events_per_s": found.subject.middle, "twin_events_per_s": found.peer.middle},
        ratios={"twin": found.ratio.middle},
        growth={"seconds": growth},
    )


def _seconds(batch: pa.RecordBatch) -> float:
    return 1 / rate(1, lambda: _read(_decide(batch)))()


def _decide(batch: pa.RecordBatch) -> Outputs:
    schema = tagged("chri_event/2", [*batch.schema, pa.field("relief", pa.utf8())])
    operation = Clearing(parameters=Clear(table=_RULES, as_of=_AS_OF), output_schema=schema)
    return operation.run([batch], lambda *_: None)


def _read(outputs: Outputs) -> int:
    """Make every batch of the outputs."""
    batches: list[pa.RecordBatch] = [*outputs.result, *(each for part in outputs.parts.values() for each in part)]
    return sum(batch.num_rows for batch in batches)


def _twin(rows: Sequence[dict[str, Any]]) -> None:
    determine(rows, _RULES, _AS_OF)


def _events(n: int) -> pa.RecordBatch:
    """Five events a subject: arrests, and convictions for two of five; some offenses are in a comment of their own."""
    rng = np.random.default_rng(12)
    subject = np.arange(n) // 5
    convicted = rng.random(n) < 0.4
    born = (np.datetime64("1950-01-01") + rng.integers(0, 40 * 365, subject[-1] + 1))[subject]
    day = _FIRST + rng.integers(0, (_LAST - _FIRST).astype(int), n)
    offense = rng.choice(len(_OFFENSES), n)
    silent = offense == len(_OFFENSES) - 1
    columns: dict[str, list[Any]] = {
        "subject": np.char.mod("S%08d", subject).tolist(),
        "DOB": _dates(born),
        "count": np.char.mod("%03d001001", np.arange(n) % 5).tolist(),
        "event": np.where(convicted, "COURT ACTION", "ARREST/DETAINED/CITED").tolist(),
        "date": _dates(day),
        "county": rng.choice(np.array(["ALAMEDA", "KERN", "LOS ANGELES"]), n).tolist(),
        "offense": np.array(_OFFENSES)[offense].tolist(),
        "comment": np.where(silent, np.char.mod("11359 HS-CASE %d", np.arange(n)), "").tolist(),
        "level": rng.choice(np.array(["F", "M", "M", "I"]), n).tolist(),
        "disposition": np.where(convicted, "CONVICTED", "").tolist(),
        "sentence": np.where(convicted, rng.choice(np.array(["JAIL", "PRISON", "PROBATION", "FINE"]), n), "").tolist(),
        "sentence_length": np.where(convicted, rng.choice(np.array(["10D", "16M", "3Y", "0D"]), n), "").tolist(),
    }
    arrays = {name: pa.array([value or None for value in values], pa.utf8()) for name, values in columns.items()}
    arrays["deceased"] = pa.array((subject % 50 == 0).tolist(), pa.bool_())
    schema = tagged("chri_event/2", [pa.field(name, array.type) for name, array in arrays.items()])
    return pa.RecordBatch.from_arrays(list(arrays.values()), schema=schema)


def _dates(days: Any) -> list[str]:
    return [str(day).replace("-", "") for day in days]
