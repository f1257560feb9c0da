"""`inquiry`: one sealed inquiry against a million records that the worker holds: the call beside an echo, and its CPU.

The call, its echo and the kernel of the same inquiry in this process take turns, quiet and beside other load. The goal
of a call is three times its echo and the kernel. Then several streams send inquiries that were sealed before, and every
process's CPU time is divided by them. docs/benchmarks.md defines what is inside each clock.
"""

import itertools
import time
from typing import Final

from benchmarks.harness import Result, percentile
from benchmarks.machine import facts
from benchmarks.report import Report
from benchmarks.screen import held, hot_file, inquiries_of, memory, one_inquiry, ours_of
from benchmarks.small import CORES, busy, latency, streams, turns
from benchmarks.stand import open_stand
from benchmarks.wire import Prepared
from cji_core.operations.tables import load
from cji_operations.screen import build

__all__ = ["run"]

_RECORDS: Final = 1_000_000
_FEW_RECORDS: Final = 200_000
_PRESET: Final = "ncic_qw"
_ECHOES: Final = 3
_CELLS: Final = 4


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; three minutes."""
    machine, records, pairs, jobs = facts(), _RECORDS, 100, 400
    if quick:
        records, pairs, jobs = _FEW_RECORDS, 40, 200
    report.heading("inquiry", machine)
    with report.doing("making people, and an index in this process"):
        reference = hot_file(records, seed=1)
        asked = inquiries_of(reference, records // 10, seed=2)
        index = build(reference.to_batches(), load().dissemination.files, room=1 << 34)
    numbers, figures, ratios = itertools.count(), dict[str, float](), dict[str, float]()
    kernels, kernel_cpu = list[float](), list[float]()
    cell_mib, reference_mib = memory(records)
    with open_stand(room=1 << 20, cells=_CELLS, cell_mib=cell_mib, reference_mib=reference_mib) as stand:
        with report.doing("sealing and holding the reference"):
            again, _ = held(stand, reference, asked)

        def make() -> Prepared:
            at = next(numbers)
            started, cpu = time.perf_counter(), time.process_time()
            ours_of(index, asked.slice(at % len(asked), 1), _PRESET)
            kernels.append(1e3 * (time.perf_counter() - started))
            kernel_cpu.append(1e3 * (time.process_time() - cpu))
            return one_inquiry(stand, again, asked, at)

        for name, others in (("quiet", 0), ("beside_load", 1)):
            kernels.clear()
            with report.doing(f"{pairs} inquiries, their echoes and kernels, {name}"), busy(others):
                calls, echoes = turns(stand, make, pairs)
            kernel = percentile(kernels, 50)
            figures |= latency(name, calls, echoes) | {f"kernel_p50_{name}_ms": kernel}
            ratios[f"p50_{name}"] = (_ECHOES * percentile(echoes, 50) + kernel) / percentile(calls, 50)
        with report.doing(f"{jobs} inquiries in streams"):
            cpu, each_s = streams(stand, lambda: one_inquiry(stand, again, asked, next(numbers)), jobs)
    whole = sum(milliseconds for name, milliseconds in cpu.items() if name != "client")
    figures |= {f"cpu_ms_{name}": milliseconds for name, milliseconds in cpu.items()}
    figures |= {"cpu_ms": whole, "kernel_cpu_ms": percentile(kernel_cpu, 50)}
    figures |= {"inquiries_per_s": each_s, "inquiries_per_s_without_client": 1000 * CORES / whole}
    _show(report, figures, records)
    return Result(name="inquiry", machine=machine, figures=figures, ratios=ratios)


def _show(report: Report, figures: dict[str, float], records: int) -> None:
    rows = []
    for name in ("quiet", "beside_load"):
        call, echo, kernel = (figures[f"{of}p50_{name}_ms"] for of in ("", "echo_", "kernel_"))
        over = call / (_ECHOES * echo + kernel)
        rows.append((name.replace("_", " "), f"{call:.1f}", f"{echo:.1f}", f"{kernel:.2f}", f"{over:.2f}"))
    report.table(
        f"One inquiry against {records} records, p50, ms",
        ("", "call", "echo", "kernel", f"call / ({_ECHOES} echo + kernel)"),
        rows,
    )
    names = sorted((name for name in figures if name.startswith("cpu_ms_")), key=lambda name: -figures[name])
    report.table(
        "CPU of each inquiry, ms",
        ("process", "ms"),
        [(name.removeprefix("cpu_ms_"), f"{figures[name]:.2f}") for name in names],
    )
    report.note(
        f"the worker's processes {figures['cpu_ms']:.2f} ms for each inquiry, the kernel "
        f"{figures['kernel_cpu_ms']:.2f}: {figures['inquiries_per_s_without_client']:.0f} inquiries a second "
        f"on {CORES} cores without the client; beside it {figures['inquiries_per_s']:.0f} a second were seen"
    )
