"""`screen`: inquiries against a hot file in memory, compared with the same search and score in SQL for DuckDB.

Both sides have the reference ready (DuckDB with Soundex, month, day and year of every record as columns, sorted by
them), receive inquiries as Arrow and return hits as Arrow, on one thread each. Both must find the same pairs, or there
is no result. The SQL omits nicknames, numbers with unknown digits and the explanation of a hit, which favours DuckDB.
"""

import gzip
import os
import time
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.corpus import people
from benchmarks.harness import Paired, Result, paired, percentile, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from benchmarks.stand import Stand, open_stand
from benchmarks.wire import Prepared, prepare
from cji_client.spec import InputSpec, JobSpec, SideSpec
from cji_core.operations.screen import Screen
from cji_core.operations.screen import Screen as Screening
from cji_core.operations.tables import load
from cji_core.operations.tables.screening import LEVELS
from cji_operations.screen import Index, build
from cji_operations.screen import run as screen
from cji_operations.screen.rules import weights

__all__ = ["held", "hot_file", "inquiries_of", "memory", "one_inquiry", "ours_of", "run"]

Strings = npt.NDArray[Any]

_TABLES: Final = load()
_CHUNK: Final = 65_536  # the most that a batch of a stream may have
_FIRST_DAY: Final = np.datetime64("1945-01-01")
_DAYS: Final = 60 * 365
_HITS: Final = 20
_CELL_BYTES: Final = 1000  # of a record, while it is indexed
_REFERENCE_BYTES: Final = 300
_ASKED: Final = ["last", "first", "DOB", "SEX", "RAC", "SOC"]
_INQUIRY: Final = InputSpec(schema="person/1")


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; two or three minutes."""
    machine, records, pairs = facts(), 200_000 if quick else 1_000_000, 3 if quick else 5
    inquiries = records // 10
    report.heading("screen", machine)
    with report.doing("making people"):
        reference = hot_file(records, seed=1)
        asked = inquiries_of(reference, inquiries, seed=2)
    with report.doing("building the index"):
        started = time.perf_counter()
        index = build(reference.to_batches(), _TABLES.dissemination.files, room=1 << 34)
        build_seconds = time.perf_counter() - started
    connection = _load(reference, asked)
    found = {}
    for preset in _TABLES.screening.presets:
        ours, theirs = partial(ours_of, index, asked, preset), partial(_theirs, connection, asked, preset)
        with report.doing(f"{preset}: {inquiries} inquiries"):
            _same_pairs(ours(), theirs())
            found[preset] = paired(rate(inquiries, ours), rate(inquiries, theirs), pairs=pairs)
    report.table(
        f"Thousand inquiries a second against {records} records, scored",
        ("", "screen", "DuckDB", "ratio"),
        [(preset, *_cells(each)) for preset, each in found.items()],
    )
    with report.doing("single inquiries"):
        single, peer_single = _latency(index, connection, asked, times=100 if quick else 400)
    report.table(
        "Milliseconds for one inquiry",
        ("", "median", "95 %"),
        [
            (name, f"{median(each):.2f}", f"{percentile(each, 95):.2f}")
            for name, each in (("screen", single), ("DuckDB", peer_single))
        ],
    )
    growth = _growth(reference, asked)
    report.table(
        "Seconds by records of the reference, one thread",
        ("records", "index", "a tenth as many inquiries"),
        [(f"{n}", f"{built:.2f}", f"{searched:.3f}") for n, built, searched in growth],
    )
    sealed = _sealed(report, reference, asked, times=50 if quick else 200)
    report.note(f"names: {_source()}; index built in {build_seconds:.1f} s")
    main, wide = found["ncic_qw"], found["iii_qh"]
    return Result(
        name="screen",
        machine=machine,
        figures={
            "inquiries_per_s": main.subject.middle,
            "duckdb_inquiries_per_s": main.peer.middle,
            "iii_inquiries_per_s": wide.subject.middle,
            "single_inquiry_ms": median(single),
            "duckdb_single_inquiry_ms": median(peer_single),
            **sealed,
            "build_records_per_s": records / build_seconds,
        },
        ratios={"duckdb": main.ratio.middle, "duckdb_iii": wide.ratio.middle},
        growth={
            "index, seconds": [(n, built) for n, built, _ in growth],
            "a tenth as many inquiries, seconds": [(n, searched) for n, _, searched in growth],
        },
    )


# ---------------------------------------------------------------------- people


def _source() -> str:
    return "US Census 1990" if os.environ.get("CJI_VECTORS") else "FEBRL 4 (CJI_VECTORS does not name the census)"


@cache
def _names(kind: str) -> tuple[Strings, npt.NDArray[np.float64]]:
    """Names and their frequencies: surnames (`all.last`) or given names (`male.first`, `female.first`)."""
    folder = os.environ.get("CJI_VECTORS")
    if folder:
        lines = gzip.decompress((Path(folder) / f"cji/names/dist.{kind}.gz").read_bytes()).decode().splitlines()
        names, counts = (
            np.array([line.split()[0] for line in lines]),
            np.array([float(line.split()[1]) for line in lines]),
        )
    else:
        column = people(10_000)[kind.split(".")[1]].drop_null()
        names, counts = np.unique(column.to_numpy(zero_copy_only=False).astype(str), return_counts=True)
    return names, counts / counts.sum()


def _people(rows: int, rng: np.random.Generator) -> dict[str, Strings]:
    man = rng.random(rows) < 0.5
    last, male, female = (
        rng.choice(names, rows, p=chances) for names, chances in map(_names, ("all.last", "male.first", "female.first"))
    )
    days = (_FIRST_DAY + rng.integers(0, _DAYS, rows)).astype(str)
    return {
        "last": last,
        "first": np.where(man, male, female),
        "DOB": np.char.replace(days, "-", ""),
        "SEX": np.where(man, "M", "F"),
        "RAC": rng.choice(list("WBAIU"), rows, p=[0.6, 0.25, 0.06, 0.02, 0.07]),
        "SOC": np.char.zfill(_socials(rows, rng).astype(str), 9),
    }


def _socials(rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Numbers that can have been issued: area 001 to 665, non-zero group and serial."""
    return rng.integers(1, 666, rows) * 1_000_000 + rng.integers(1, 100, rows) * 10_000 + rng.integers(1, 10_000, rows)


def hot_file(rows: int, *, seed: int) -> pa.Table:
    """Records of a hot file; half of them have a Social Security number."""
    rng = np.random.default_rng(seed)
    columns = _people(rows, rng)
    numbers = np.char.add("W", np.char.zfill(np.arange(rows).astype(str), 9))
    table = {name: pa.array(values) for name, values in columns.items()}
    table["SOC"] = pa.array(columns["SOC"], mask=rng.random(rows) < 0.5)
    return pa.table({**table, "NIC": pa.array(numbers), "file_code": pa.array(["W"] * rows)}).combine_chunks()


def inquiries_of(reference: pa.Table, rows: int, *, seed: int) -> pa.Table:
    """Persons not on file, and a tenth that are; one in twenty inquiries is by number."""
    rng = np.random.default_rng(seed)
    columns = _people(rows, rng)
    on_file = reference.take(rng.integers(0, len(reference), rows // 10))
    table = {
        name: pa.concat_arrays([on_file[name].combine_chunks(), pa.array(values[rows // 10 :])])
        for name, values in columns.items()
    }
    asked = pa.table(table).take(rng.permutation(rows)).append_column("row", pa.array(np.arange(rows)))
    number = pc.if_else(pa.array(rng.random(rows) < 0.05), asked["SOC"], pa.nulls(rows, pa.utf8()))
    return asked.set_column(asked.schema.get_field_index("SOC"), "SOC", number).combine_chunks()


# ---------------------------------------------------------------------- the two sides


def ours_of(index: Index, asked: pa.Table, preset: str) -> pa.Table:
    parameters = Screen(rules=_TABLES.screening.presets[preset], max_hits=_HITS)
    (batch,) = asked.to_batches()  # `row` is not a column of person/1 and is not read
    hits = list[pa.RecordBatch]()
    for first in range(0, len(asked), _CHUNK):
        screened = screen(batch.slice(first, _CHUNK), index, parameters, _TABLES.screening.model)
        screened.outcomes(first)
        hits.append(screened.hits(first))
    return pa.Table.from_batches(hits)


def _theirs(connection: duckdb.DuckDBPyConnection, asked: pa.Table, preset: str) -> pa.Table:
    connection.register("asked", asked)
    hits: pa.Table = connection.sql(f"select * from hits_{preset}").to_arrow_table()  # noqa: S608
    return hits


def _load(reference: pa.Table, asked: pa.Table) -> duckdb.DuckDBPyConnection:
    """DuckDB with the reference, and a view of hits for each preset."""
    connection = duckdb.connect(config={"threads": 1})
    connection.register("reference", reference)
    connection.register("asked", asked)
    script = (Path(__file__).parent / "screen.sql").read_text()
    macros, _, view = script.partition("create or replace view hits as")
    for preset in _TABLES.screening.presets:
        connection.execute(_filled(macros, preset))
        if preset == next(iter(_TABLES.screening.presets)):
            connection.execute(
                "create table hot as select *, row_number() over () - 1 as position, soundex(last) as sound,"
                " substr(DOB, 5)::int as day, left(DOB, 4)::int as year from reference order by sound, day, year"
            )
        connection.execute(f"create view hits_{preset} as " + _filled(view, preset))
    return connection


def _filled(text: str, preset: str) -> str:
    rules = _TABLES.screening.presets[preset]
    among = " and ".join(
        f"(q.{column}, h.{column}) in ("
        + ", ".join(f"('{asked}', '{recorded}')" for asked, codes in table.items() for recorded in codes)
        + ")"
        for column, table in (("SEX", rules.sex), ("RAC", rules.race))
    )
    values = {
        "years": str(rules.years),
        "hits": str(_HITS),
        "among": among,
        **{
            f"{field} {level}": f"{bits:.12f}"
            for field, every in weights(_TABLES.screening.model).items()
            for level, bits in zip(LEVELS[field], every.tolist(), strict=True)
        },
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _same_pairs(ours: pa.Table, theirs: pa.Table) -> None:
    """Require that both found the same records for the same inquiries, at least one."""
    one, other = [
        np.unique(table[row].to_numpy().astype(np.int64) * (1 << 32) + table[record].to_numpy().astype(np.int64))
        for table, row, record in ((ours, "row", "reference_row"), (theirs, "row", "position"))
    ]
    assert len(one), "no inquiry has a hit"
    assert np.array_equal(one, other), "screen and DuckDB do not find the same records"


def _latency(
    index: Index, connection: duckdb.DuckDBPyConnection, asked: pa.Table, *, times: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of single inquiries with ncic_qw, alternating."""
    ours, theirs = list[float](), list[float]()
    for at in range(times):
        one = asked.slice(at, 1)
        for spent, search in ((ours, partial(ours_of, index)), (theirs, partial(_theirs, connection))):
            started = time.perf_counter()
            search(one, "ncic_qw")
            spent.append(1e3 * (time.perf_counter() - started))
    return ours, theirs


def _growth(reference: pa.Table, asked: pa.Table) -> list[tuple[int, float, float]]:
    """(records, seconds to index them, seconds for a tenth as many inquiries with ncic_qw)."""
    found = list[tuple[int, float, float]]()
    for records in (10_000, 100_000, 1_000_000):
        if records <= len(reference):
            started = time.perf_counter()
            index = build(reference.slice(0, records).to_batches(), _TABLES.dissemination.files, room=1 << 34)
            built = time.perf_counter()
            ours_of(index, asked.slice(0, records // 10), "ncic_qw")
            found.append((records, built - started, time.perf_counter() - built))
    return found


def _sealed(report: Report, reference: pa.Table, asked: pa.Table, *, times: int) -> dict[str, float]:
    """Milliseconds of single inquiries as jobs against a reference that the worker holds, from open to receipt."""
    cell_mib, reference_mib = memory(len(reference))
    with open_stand(room=8 << 20, cell_mib=cell_mib, reference_mib=reference_mib) as stand:
        with report.doing("sealing and holding the reference"):
            again, held_seconds = held(stand, reference, asked)
        spent = list[float]()
        with report.doing(f"{times} jobs of one inquiry"):
            for at in range(times):
                spent.append(1e3 * stand.job(one_inquiry(stand, again, asked, at)))
    found = {
        "sealed_inquiry_ms": median(spent),
        "sealed_inquiry_p95_ms": percentile(spent, 95),
        "sealed_reference_s": held_seconds,
    }
    report.table(
        f"One inquiry as a sealed job against {len(reference)} records that the worker holds",
        ("", ""),
        [
            ("median, ms", f"{found['sealed_inquiry_ms']:.1f}"),
            ("95 %, ms", f"{found['sealed_inquiry_p95_ms']:.1f}"),
            ("sending, indexing and holding the reference, s", f"{held_seconds:.1f}"),
        ],
    )
    return found


def memory(records: int) -> tuple[int, int]:
    """MiB of a cell that makes a reference of so many records, and MiB of the reference, for `open_stand`."""
    cell_mib, reference_mib = (-(-records * each >> 25) * 32 for each in (_CELL_BYTES, _REFERENCE_BYTES))
    return 160 + cell_mib, reference_mib


def held(stand: Stand, reference: pa.Table, asked: pa.Table) -> tuple[JobSpec, float]:
    """Have the worker hold the reference: the specification of later inquiries, and the seconds that it took."""
    sides = {"reference": SideSpec(schema="hotfile/1", file=Path("-"))}
    first = asked.select(_ASKED).slice(0, 1)
    spec = stand.site.spec(Screening(retain_seconds=3600), sides=sides, input=_INQUIRY)
    started = time.perf_counter()
    result = stand.site.run(first, spec, sides={"reference": reference}, deadline=600)
    seconds = time.perf_counter() - started
    digest = next(part.sha256 for part in result.receipt.claims.inputs if part.name == "reference")
    again = stand.site.spec(Screening(resident_reference=digest), input=_INQUIRY)
    for _ in range(4):  # waits until all cells are warm again
        stand.site.run(first, again)
    return again, seconds


def one_inquiry(stand: Stand, again: JobSpec, asked: pa.Table, at: int) -> Prepared:
    """A sealed job of one inquiry against the reference that is held."""
    return prepare(stand.site, again, asked.select(_ASKED).slice(at % len(asked), 1), batch=1)


def _cells(found: Paired) -> tuple[str, str, str]:
    return (f"{found.subject.middle / 1e3:.0f}", f"{found.peer.middle / 1e3:.0f}", found.ratio.text(places=1))
