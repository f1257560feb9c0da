"""`deidentify`: tokens against a loop over values and each other, FF1 against ff3, a keyed job against a copying one.

docs/benchmarks.md defines what is inside the clock.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from ff3 import FF3Cipher

from benchmarks.corpus import people
from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from benchmarks.stand import open_stand
from cji_core.format.records import tagged
from cji_core.operations.deidentify import (
    AesToken,
    AgeBand,
    DateShift,
    DateTo,
    Deidentify,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    SmallClasses,
    Transform,
    ZipPrefix,
)
from cji_core.operations.deidentify.declaration import Code
from cji_core.operations.tables import load as load_tables
from cji_operations.deidentify.block_ciphers import block_tokens, encrypt_ff1
from cji_operations.deidentify.operation import IMPLEMENTATION
from cji_operations.deidentify.tokens import Cmacs, Macs, cmac_tokens, tokens
from cji_operations.operation import Context, JobContext, TableOperation

__all__ = ["run"]

_KEY: Final = bytes(range(32))
_CHUNK: Final = 16_384  # as a cell hands them to an operation
_LOOP: Final = 20_000  # values of a peer that takes one at a time

RULES: Final[Mapping[str, Transform]] = {
    "SID": "keep",
    "first": HmacToken(domain="name", bits=128),
    "last": HmacToken(domain="name", bits=128),
    "OLN": AesToken(domain="oln"),
    "SOC": Ff1(domain="soc"),
    "DOB": DateShift(subject_column="SID", max_days=365),
    "postcode": Mask(keep_first=2, with_="0"),
}
"""Two HMACs, one AES, one FF1, one date shift, one mask; the subjects of the shift are kept as they are."""


_AS_OF: Final = date(2026, 1, 1)
_HIERARCHIES: Final[Mapping[str, Transform]] = {
    "DOB": Hierarchy(
        steps=(
            DateTo(unit="month"),
            DateTo(unit="year"),
            *(AgeBand(width=width, top=80, as_of=_AS_OF) for width in (5, 10, 20)),
            "null",
        )
    ),
    "postcode": Hierarchy(steps=("keep", *(ZipPrefix(digits=digits) for digits in (3, 2, 1)), "null")),
    "SEX": Hierarchy(steps=("keep", "null")),
    "RAC": Hierarchy(steps=("keep", Group(groups={"white": ("W",), "other": ("A", "B", "I", "U")}), "null")),
}
_CONTEXT: Final = Context(
    job=JobContext(
        purpose_code="C", requesting_ori="", requestor="", secondary_recipient="", created=datetime.now(tz=UTC)
    ),
    tables=load_tables(),
)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; one or two minutes."""
    machine, rows, pairs = facts(), 200_000 if quick else 1_000_000, 3 if quick else 5
    report.heading("deidentify", machine)
    numbers = _digits(rows, 9, seed=1)
    with report.doing("values one by one"):
        blocks = paired(_rate(numbers, _blocks), _one_by_one(numbers, _loop_block()), pairs=pairs)
        cmac = paired(_rate(numbers, _cmac), _rate(numbers, _hmac), pairs=pairs)
        ff1 = paired(_rate(numbers, _ff1), _one_by_one(numbers, _loop_ff3()), pairs=pairs)
    report.table(
        "Million values of nine digits a second",
        ("", "columns", "one by one", "ratio"),
        [
            ("AES block tokens / loop", *_cells(blocks)),
            ("FF1 / ff3 (FF3-1)", *_cells(ff1)),
        ],
    )
    report.table(
        "Million tokens of new nine-digit numbers a second, columns at once",
        ("", "CMAC", "HMAC", "ratio"),
        [("AES-CMAC / HMAC-SHA-256", *_cells(cmac))],
    )
    growth = [(n, _classes(report, n)) for n in ((10_000, 100_000) if quick else (10_000, 100_000, 1_000_000))]
    job = _job(report, rows=rows, pairs=pairs)
    report.note("rules: " + ", ".join(f"{k} {r if isinstance(r, str) else type(r).__name__}" for k, r in RULES.items()))
    return Result(
        name="deidentify",
        machine=machine,
        figures={
            "block_tokens_per_s": blocks.subject.middle,
            "loop_tokens_per_s": blocks.peer.middle,
            "cmac_tokens_per_s": cmac.subject.middle,
            "hmac_tokens_per_s": cmac.peer.middle,
            "ff1_per_s": ff1.subject.middle,
            "ff3_per_s": ff1.peer.middle,
            "job_rows_per_s": job.subject.middle,
            "copy_rows_per_s": job.peer.middle,
        },
        ratios={
            "loop": blocks.ratio.middle,
            "cmac": cmac.ratio.middle,
            "ff3": ff1.ratio.middle,
            "copy": job.ratio.middle,
        },
        growth={"small classes, seconds": growth},
    )


def _classes(report: Report, rows: int) -> float:
    """Seconds of the search for the least loss at k = 5, with four hierarchies."""
    rng = np.random.default_rng(6)
    days = np.datetime64("1940-01-01") + rng.integers(0, 25_000, rows)
    columns = {
        "DOB": pa.array([str(day).replace("-", "") for day in days]),
        "postcode": pa.array([f"{z:05d}" for z in rng.zipf(1.3, rows) % 900 * 101 + rng.integers(0, 60, rows)]),
        "SEX": pa.array(np.array(["F", "M"])[rng.integers(0, 2, rows)].tolist()),
        "RAC": pa.array(np.array(list("ABIUW"))[rng.choice(5, rows, p=(0.05, 0.3, 0.02, 0.03, 0.6))].tolist()),
    }
    schema = tagged("person/1", [pa.field(name, array.type) for name, array in columns.items()])
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    parameters = Deidentify(
        columns=dict(_HIERARCHIES), small_classes=SmallClasses(quasi_identifiers=tuple(_HIERARCHIES), k=5)
    )
    prepared = IMPLEMENTATION.prepare(parameters, "person/1", schema, _CONTEXT)
    assert isinstance(prepared, TableOperation)
    started = time.perf_counter()
    found = prepared.run([batch.slice(first, _CHUNK) for first in range(0, rows, _CHUNK)], lambda _step, _cent: None)
    taken = time.perf_counter() - started
    lost = np.count_nonzero(found.status.codes == Code.SMALL_CLASS)
    report.note(f"{rows} rows: {taken:.2f} s to search, {lost / rows:.4%} of them lose their quasi-identifiers")
    return taken


def _job(report: Report, *, rows: int, pairs: int) -> Paired:
    """The whole sealed job with `RULES` and with keep only, in rows per second."""
    table = _people(rows)
    copy: Mapping[str, Transform] = dict.fromkeys(RULES, "keep")
    with report.doing(f"jobs of {rows} rows"), open_stand(room=2 * int(table.nbytes) + (64 << 20)) as stand:
        found = paired(
            lambda: rows / stand.job(stand.prepare(table, RULES)),
            lambda: rows / stand.job(stand.prepare(table, copy)),
            pairs=pairs,
        )
    report.table(
        f"Sealed job of {rows} rows, thousand rows a second",
        ("", "six columns", "copy", "ratio"),
        [
            (
                "job",
                f"{found.subject.middle / 1e3:.0f}",
                f"{found.peer.middle / 1e3:.0f}",
                found.ratio.text(places=2),
            )
        ],
    )
    return found


def _people(rows: int) -> pa.Table:
    """FEBRL's names and postcodes with generated numbers and dates, three rows per subject."""
    rng = np.random.default_rng(3)
    base = people(rows).select(["first", "last", "postcode"])
    days = np.datetime64("1940-01-01") + rng.integers(0, 25_000, rows)
    subjects = pa.array([f"VA{i:08d}" for i in rng.integers(0, max(rows // 3, 1), rows)])
    return (
        base.append_column("SID", subjects)
        .append_column("OLN", pa.array([f"T{i:08d}" for i in rng.integers(0, 10**8, rows)]))
        .append_column("SOC", _digits(rows, 9, seed=2))
        .append_column("DOB", pa.array([str(day).replace("-", "") for day in days]))
    )


def _digits(rows: int, width: int, *, seed: int) -> pa.Array:
    return pa.array([f"{i:0{width}d}" for i in np.random.default_rng(seed).integers(0, 10**width, rows)], pa.utf8())


def _rate(values: pa.Array, kernel: Callable[[pa.Array], object]) -> Callable[[], float]:
    def work() -> None:
        for first in range(0, len(values), _CHUNK):
            kernel(values.slice(first, _CHUNK))

    return rate(len(values), work)


def _blocks(values: pa.Array) -> object:
    return block_tokens(values, key=_KEY)


def _cmac(values: pa.Array) -> object:
    return cmac_tokens(values, macs=Cmacs(_KEY), bits=128)


def _hmac(values: pa.Array) -> object:
    return tokens(values, macs=Macs(_KEY), bits=128)


def _ff1(values: pa.Array) -> object:
    return encrypt_ff1(values, key=_KEY, radix=10)


def _one_by_one(values: pa.Array, function: Callable[[str], str]) -> Callable[[], float]:
    few = values.slice(0, _LOOP).to_pylist()
    return rate(len(few), lambda: pa.array([function(value) for value in few], pa.utf8()))


def _loop_block() -> Callable[[str], str]:
    """The same token, computed for one value at a time."""

    def token(value: str) -> str:
        data = value.encode()
        block = bytes([len(data)]) + data + bytes(15 - len(data))
        encryptor = Cipher(algorithms.AES(_KEY), modes.ECB()).encryptor()  # noqa: S305
        return (encryptor.update(block) + encryptor.finalize()).hex()

    return token


def _loop_ff3() -> Callable[[str], str]:
    cipher = FF3Cipher(_KEY.hex(), "CBD09280979564")
    encrypt: Callable[[str], str] = cipher.encrypt
    return encrypt


def _cells(found: Paired) -> tuple[str, str, str]:
    return (f"{found.subject.middle / 1e6:.2f}", f"{found.peer.middle / 1e6:.3f}", found.ratio.text())
