"""`standardize`: rows a second with a name, an address, a state, a ZIP code and a date, beside a slow twin.

One thread. Every address is a new one, and so are most names: a form is made for each different value once. The peer
of addresses alone is PyPI `usaddress`, which labels the words of one address at a time by a packaged model and
abbreviates none: what both take for the number and the unit is compared, and printed, not presumed equal.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import usaddress

from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.records import tagged
from cji_core.operations.standardize import STANDARDIZE, Form, Standardize
from cji_operations.operation import Applied
from tests.reference.standardize import slow_address, slow_date, slow_name, slow_state, slow_zip
from tests.support.contexts import context, prepare_batch

__all__ = ["run"]

_CHUNK: Final = 16_384  # as a cell hands them to an operation
_FEW: Final = 1_000
_FORMS: Final[Mapping[str, Form]] = {
    "NAM": "name",
    "address_1": "address",
    "state": "state",
    "postcode": "zip",
    "DOB": "date",
}
_ADDRESS: Final[Mapping[str, Form]] = {"address_1": "address"}


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute."""
    machine, n, pairs = facts(), 100_000 if quick else 400_000, 3 if quick else 9
    report.heading("standardize", machine)
    batch = _people(n)
    few = batch.slice(0, _FEW)
    rows, addresses = few.to_pylist(), few.column("address_1").to_pylist()
    made = pa.Table.from_batches([each.batch for each in _standardized(few, _FORMS)]).to_pylist()
    assert [{name: row[name] for name in _FORMS} for row in made] == _twin(rows)
    with report.doing(f"{n} rows beside the twin, {pairs} pairs"):
        twin = paired(rate(n, lambda: _standardized(batch, _FORMS)), rate(_FEW, lambda: _twin(rows)), pairs=pairs)
    with report.doing(f"{n} addresses beside usaddress, {pairs} pairs"):
        alone = paired(
            rate(n, lambda: _standardized(batch, _ADDRESS)), rate(_FEW, lambda: _labelled(addresses)), pairs=pairs
        )
    report.table(
        f"Thousand rows a second, one thread, {n} rows",
        ("", "ours", "peer", "ratio"),
        [("five columns beside the slow twin", *_cells(twin)), ("addresses beside usaddress", *_cells(alone))],
    )
    alike = np.mean([_alike(row["address_1"], each) for row, each in zip(made, addresses, strict=True)])
    report.note(f"number and unit are those of usaddress in {alike:.1%} of {_FEW} addresses")
    growth = [(size, _seconds(batch.slice(0, size))) for size in (n // 100, n // 10, n)]
    report.table("Seconds", ("rows", "s"), [(f"{size}", f"{seconds:.3f}") for size, seconds in growth])
    return Result(
        name="standardize",
        machine=machine,
        figures={
            "rows_per_s": twin.subject.middle,
            "twin_rows_per_s": twin.peer.middle,
            "addresses_per_s": alone.subject.middle,
            "usaddress_per_s": alone.peer.middle,
        },
        ratios={"twin": twin.ratio.middle, "usaddress": alone.ratio.middle},
        growth={"seconds": growth},
    )


def _cells(found: Paired) -> tuple[str, str, str]:
    return f"{found.subject.middle / 1e3:.0f}", f"{found.peer.middle / 1e3:.1f}", found.ratio.text(places=1)


def _seconds(batch: pa.RecordBatch) -> float:
    return 1 / rate(1, lambda: _standardized(batch, _FORMS))()


def _standardized(batch: pa.RecordBatch, columns: Mapping[str, Form]) -> list[Applied]:
    message = STANDARDIZE.message(Standardize(columns=dict(columns)))
    operation = prepare_batch(message, "person/1", batch.schema, context())
    return [operation.apply(batch.slice(first, _CHUNK)) for first in range(0, batch.num_rows, _CHUNK)]


def _twin(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The standard form of each value; what has none stays."""
    return [
        {
            "NAM": (slow_name(row["NAM"]) or {}).get("whole") or row["NAM"],
            "address_1": slow_address(row["address_1"]) or row["address_1"],
            "state": slow_state(row["state"]) or row["state"],
            "postcode": slow_zip(row["postcode"]) or row["postcode"],
            "DOB": slow_date(row["DOB"]) or row["DOB"],
        }
        for row in rows
    ]


def _labelled(addresses: Sequence[str]) -> list[dict[str, str]]:
    return [{label: word for word, label in usaddress.parse(address)} for address in addresses]


def _alike(standard: str, address: str) -> bool:
    """Whether `usaddress` has the same number of the house, and the same unit or none."""
    (labels,) = _labelled([address])
    words = standard.split()
    unit = labels.get("OccupancyIdentifier", "").strip("#").upper()
    return labels.get("AddressNumber") == words[0] and (words[-1] == unit if unit else True)


def _people(n: int) -> pa.RecordBatch:
    """Records as clerks write them: words and abbreviations, titles, suffixes, dates in three forms."""
    rng = np.random.default_rng(12)
    number = (np.arange(n) % 9_900 + 100).astype(str)

    def some(*values: str) -> Any:
        return np.array(values)[rng.integers(0, len(values), n)]

    def text(*parts: Any) -> list[str]:
        joined = parts[0]
        for part in parts[1:]:
            joined = np.char.add(np.char.add(joined, " "), part)
        return [" ".join(each.split()) for each in joined.tolist()]

    streets = some("Main", "oak", "Martin Luther King", "5TH", "Elm", "Lake View", "Washington", "County Line")
    unit = some("", "", "apt 4", "Suite 200", "#12", "unit B")
    surname = np.char.add(
        some("Smith", "GARCIA", "O'Neil", "de la Cruz", "Nguyen", "Peña"), some("", "", " Jr", " III")
    )
    given = np.char.add(
        some("John", "MARIA", "Wm", "Xochitl", "Lee"), np.char.add("", (np.arange(n) // 100).astype(str))
    )
    year, month, day = (rng.integers(low, high, n).astype(str) for low, high in ((1940, 2008), (1, 13), (1, 29)))
    month, day = np.char.zfill(month, 2), np.char.zfill(day, 2)
    american = np.char.add(np.char.add(np.char.add(month, "/"), np.char.add(day, "/")), year)
    compact = np.char.add(np.char.add(year, month), day)
    columns = {
        "NAM": text(np.char.add(np.char.add(some("", "", "Mr. "), surname), ","), given, some("", "A.", "q")),
        "address_1": text(
            number, some("", "north", "S.", "West"), streets, some("Street", "ave", "BLVD.", "Lane"), unit
        ),
        "state": some("Texas", "TX", "new york", "Calif", "OH").tolist(),
        "postcode": rng.integers(10_000, 99_999, n).astype(str).tolist(),
        "DOB": np.where(rng.random(n) < 0.5, american, compact).tolist(),
    }
    schema = tagged("person/1", [pa.field(name, pa.utf8()) for name in columns])
    return pa.RecordBatch.from_arrays([pa.array(each, pa.utf8()) for each in columns.values()], schema=schema)
