"""`pipeline`: the sealed job, from its first message to its receipt, against a gRPC echo of the same bytes.

docs/benchmarks.md defines what is inside the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

import pyarrow as pa

from benchmarks.corpus import people, rows_of
from benchmarks.floor import Costs
from benchmarks.harness import Paired, Result, paired, percentile
from benchmarks.machine import at_most_cores, facts
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from benchmarks.stand import Stand, Usage, open_stand
from benchmarks.wire import Prepared
from cji_core.operations.deidentify import CmacToken, DateShift, DateTo, HmacToken, Mask, Transform
from cji_core.suites import Suite

__all__ = ["COPY", "DEIDENTIFY", "TOKENS", "run"]

COLUMNS: Final = (
    *("record_id", "first", "last", "street_number", "address_1", "address_2"),
    *("suburb", "postcode", "state", "DOB", "SOC"),
)

DEIDENTIFY: Final[Mapping[str, Transform]] = {
    "record_id": "keep",
    "first": "keep",
    "last": Mask(keep_first=1),
    "street_number": "null",
    "address_1": "keep",
    "address_2": "keep",
    "suburb": "keep",
    "postcode": Mask(keep_first=2, with_="0"),
    "state": "keep",
    "DOB": DateTo(unit="year"),
    "SOC": Mask(keep_last=2),
}
"""Every transform that looks at each value but makes no token, and as much kept as an echo sends back."""

TOKENS: Final[Mapping[str, Transform]] = {
    **DEIDENTIFY,
    "record_id": HmacToken(domain="record", bits=128),
    "first": "drop",
    "last": HmacToken(domain="name", bits=80),
    "address_1": "drop",
    "address_2": "drop",
    "DOB": DateShift(subject_column="record_id", max_days=365),
    "SOC": HmacToken(domain="soc", bits=128),
}
"""Records for a study that links them by tokens: two HMACs and one secret shift that are new in every row."""

CMAC_TOKENS: Final[Mapping[str, Transform]] = {
    name: CmacToken(domain=rule.domain, bits=80 if rule.bits == 80 else 128) if isinstance(rule, HmacToken) else rule
    for name, rule in TOKENS.items()
}
"""The same with CMACs in place of HMACs."""

COPY: Final[Mapping[str, Transform]] = dict.fromkeys(COLUMNS, "keep")
"""The whole path with an operation that does nothing."""

_JOBS: Final[Mapping[str, Mapping[str, Transform]]] = {
    "copy": COPY,
    "tokens": TOKENS,
    "cmac_tokens": CMAC_TOKENS,
    "deidentify": DEIDENTIFY,
}
"""In the order in which they run; the ratio of the last has no suffix."""

_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    sizes: tuple[int, ...]
    """Bytes of input, smallest first; ratios are those of the last one."""
    pairs: int
    small_jobs: int
    memory_bytes: int
    """Input of the larger of two jobs, one a hundred times the other."""


_FULL: Final = _Plan(sizes=(64 * _MB, 256 * _MB), pairs=5, small_jobs=200, memory_bytes=256 * _MB)
_QUICK: Final = _Plan(sizes=(32 * _MB,), pairs=3, small_jobs=50, memory_bytes=256 * _MB)
_CORES: Final = 2
"""Ratios are those of two cores; on a machine with more, the largest job is measured with all of them as well."""

_SMALL_JOB_ROWS: Final = 100
_MEMORY_BATCH_ROWS: Final = 4096
"""Memory follows the batch, which the submitter chooses; the smaller job must have full ones as well."""


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; minutes, or one minute when `quick`."""
    plan, machine = _QUICK if quick else _FULL, facts()
    report.heading("pipeline", machine)
    with at_most_cores(_CORES), open_stand(room=plan.memory_bytes * 3 // 2) as stand:
        figures, ratios = _throughput(report, stand, plan)
        for name in ("deidentify", "tokens", "cmac_tokens"):
            report.note(f"{name}: {_rules(_JOBS[name])}")
        figures |= _latency(report, stand, plan)
        memory, ratios["peak"] = _memory(report, stand, plan)
        figures |= memory
    if int(machine["cores"]) > _CORES:
        more = _at_all_cores(report, plan)
        figures |= more[0]
        ratios |= more[1]
    return Result(name="pipeline", machine=machine, figures=figures, ratios=ratios)


def _at_all_cores(report: Report, plan: _Plan) -> tuple[dict[str, float], dict[str, float]]:
    """The largest `deidentify` job beside its echo once more, with every core of this machine."""
    size = plan.sizes[-1]
    with report.doing("deidentify, all cores"), open_stand(room=size * 3 // 2) as stand:
        found = _pair(stand, people(rows_of(size)), DEIDENTIFY, pairs=plan.pairs, costs=Costs())
    report.note(f"with all cores: job / echo {found.ratio.text(places=2)}")
    figures = {"mb_per_s_all_cores": found.subject.middle, "echo_mb_per_s_all_cores": found.peer.middle}
    return figures, {"echo_all_cores": found.ratio.middle}


def _rules(columns: Mapping[str, Transform]) -> str:
    return ", ".join(
        f"{name} {rule if isinstance(rule, str) else type(rule).__name__}" for name, rule in columns.items()
    )


def _throughput(report: Report, stand: Stand, plan: _Plan) -> tuple[dict[str, float], dict[str, float]]:
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    lines, profile = [], []
    for size in plan.sizes:
        table = people(rows_of(size))
        for name, columns in _JOBS.items():
            with report.doing(f"{name}, {size // _MB} MB, {plan.pairs} pairs"):
                costs = Costs()
                found = _pair(stand, table, columns, pairs=plan.pairs, costs=costs)
            rates = (found.subject.text(), found.peer.text(), found.ratio.text(places=2))
            floor = Measured.of(costs.ratio(found.counted), found.load)
            lines.append((f"{name} {size // _MB} MB", *rates, f"{floor:.2f}"))
            suffix = "" if name == "deidentify" else f"_{name}"
            figures |= {f"mb_per_s{suffix}": found.subject.middle, f"echo_mb_per_s{suffix}": found.peer.middle}
            ratios |= {f"echo{suffix}": found.ratio.middle, f"floor{suffix}": floor}
        for side, usage in (("job", costs.job), ("echo", costs.echo), ("floor", costs.crypto)):
            for process, seconds in usage.per_gb().items():
                figures[f"cpu_s_per_gb_{side}_{process}"] = seconds
                profile.append((f"{size // _MB} MB {side}: {process}", f"{seconds:.2f}"))
    report.table("MB/s of sealed input", ("", "job", "echo", "job / echo", "floor / CPU"), lines)
    if report.profile:
        report.table("CPU seconds for each GB of input (deidentify)", ("", "s/GB"), profile)
    return figures, ratios


def _pair(stand: Stand, table: pa.Table, columns: Mapping[str, Transform], *, pairs: int, costs: Costs) -> Paired:
    current: list[tuple[Prepared, Usage]] = []

    def job() -> float:
        prepared, usage = stand.prepare(table, columns), Usage()
        current[:] = [(prepared, usage)]
        return prepared.megabytes / stand.job(prepared, usage)

    def echo() -> float:
        (prepared, ours), theirs = current[0], Usage()
        rate = prepared.megabytes / stand.echoed(prepared)
        stand.echoed_by_own_tls(prepared, theirs)
        costs.add(ours, theirs, sealed=prepared.sent.bytes)
        return rate

    return paired(job, echo, pairs=pairs)


def _latency(report: Report, stand: Stand, plan: _Plan) -> dict[str, float]:
    table = people(_SMALL_JOB_ROWS)

    def jobs() -> list[tuple[float, float, float]]:
        found = []
        for _ in range(plan.small_jobs):
            prepared = stand.prepare(table, DEIDENTIFY)
            ours, theirs = stand.job(prepared), stand.echoed(prepared)
            hybrid = stand.job(stand.prepare(table, DEIDENTIFY, suite=Suite.HYBRID_1))
            found.append((ours * 1000, theirs * 1000, hybrid * 1000))
        return found

    with report.doing(f"{plan.small_jobs} jobs of {_SMALL_JOB_ROWS} rows"):
        window = quietest(jobs)
    plain, echoes, hybrids = map(list, zip(*window.value, strict=True))
    echo = median(echoes)
    added = [ours - echo for ours in plain]
    hybrid_added = median(hybrids) - median(plain)
    found = {"p50_ms": percentile(added, 50), "p99_ms": percentile(added, 99), "echo_p50_ms": echo}
    found["hybrid_added_ms"] = hybrid_added
    figures: dict[str, float] = {name: Measured.of(value, window.load) for name, value in found.items()}
    report.table(
        f"Added latency of a job of {_SMALL_JOB_ROWS} rows, {plan.small_jobs} jobs, a warm cell each",
        ("", "ms"),
        [
            ("p50", f"{figures['p50_ms']:.1f}"),
            ("p99", f"{figures['p99_ms']:.1f}"),
            ("echo, p50 (taken off)", f"{echo:.1f}"),
            ("hybrid-1 besides, p50", f"{hybrid_added:.1f}"),
        ],
    )
    return figures


def _memory(report: Report, stand: Stand, plan: _Plan) -> tuple[dict[str, float], float]:
    rows = rows_of(plan.memory_bytes)
    with report.doing("peak memory"):
        peaks = []
        for count in (rows // 100, rows):
            prepared = stand.prepare(people(count), COPY, batch=_MEMORY_BATCH_ROWS)
            peaks.append((count, prepared.megabytes, stand.peak_mib(prepared)))
    small, large = (peak for *_, peak in peaks)
    report.table(
        "Peak resident memory of front and cell",
        ("rows", "MB", "MiB"),
        [(f"{count}", f"{size:.1f}", f"{peak:.1f}") for count, size, peak in peaks],
    )
    report.note(f"small / large {small / large:.2f}, in batches of {_MEMORY_BATCH_ROWS} rows each")
    return {"peak_small_mib": small, "peak_large_mib": large}, small / large
