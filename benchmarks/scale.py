"""`scale`: MB/s of a worker with 1, 2 and 4 fronts, each of whose processes may use a small part of a core.

docs/benchmarks.md defines what is measured.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.harness import Result
from benchmarks.load_clients import Submission, Submitted, start_together, submit
from benchmarks.machine import facts
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.processes import CpuClock, spent
from benchmarks.quotas import Quotas
from benchmarks.report import Report
from cji_core.operations.deidentify import Deidentify
from cji_simulator.processes import children
from cji_simulator.raw import settled
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site

__all__ = ["run"]

FRONTS: Final = (1, 2, 4)
_CORES: Final = min(1 / 16, (os.cpu_count() or 1) / 64)
"""Of each process. The clients have no quota, and need half of a small machine already for what four fronts pass."""
_CELLS, _CELL_MIB = 12, 128
_CLIENTS: Final = 4
"""Submitting processes; each has as many connections and streams as keep its share of the cells busy."""
_ROWS: Final = 240_000
"""Enough for a job to take more than its cell's fork, first touches and wipe do."""
_SECONDS, _QUICK_SECONDS = 40, 25
_WARM_S: Final = 5
_START_S: Final = 120.0
_REST: Final = 0.02
"""CPU seconds in one, which beats take."""
_FULL: Final = 0.85
"""Of its quota: a process that uses as much is a limit."""
_KINDS: Final = ("door", "front", "keyholder", "zygote", "cell")
_MANY_CORES: Final = 9
"""From so many on the worker is measured without quotas too: it and its clients have room for four fronts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    rate: float
    cores: Mapping[str, tuple[float, ...]]
    """Used by each process, by kind; by all cells together."""
    client: float

    def of(self, kind: str) -> str:
        """Cores that this kind of process used together."""
        return f"{sum(self.cores[kind]):.3f}"

    @property
    def limit(self) -> str:
        """The kinds of process that used their quota up, and how many of them did."""
        most = {kind: _CORES * (_CELLS if kind == "cell" else 1) for kind in _KINDS}
        full = {kind: sum(used >= _FULL * most[kind] for used in self.cores[kind]) for kind in _KINDS}
        return ", ".join(f"{kind} {n} of {len(self.cores[kind])}" for kind, n in full.items() if n) or "none"


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; five minutes, or four when `quick`. Raises ClickException where there are no quotas."""
    machine, seconds = facts(), _QUICK_SECONDS if quick else _SECONDS
    report.heading("scale", machine)
    runs = {f"{fronts}": _measured(report, fronts, seconds, quotas=True) for fronts in FRONTS}
    if (os.cpu_count() or 1) >= _MANY_CORES:
        runs |= {f"{fronts}, no quotas": _measured(report, fronts, seconds, quotas=False) for fronts in FRONTS}
    report.table(
        "MB/s in and out, cores used, and what had none left",
        ("fronts", "MB/s", *_KINDS, "client", "limit"),
        [
            (
                name,
                f"{found.rate:.1f}",
                *(found.of(kind) for kind in _KINDS),
                f"{found.client:.3f}",
                "" if "no quotas" in name else found.limit,
            )
            for name, found in runs.items()
        ],
    )
    names = {name: f"mb_per_s_{name.replace(', no quotas', '_free')}" for name in runs}
    return Result(
        name="scale",
        machine=machine,
        figures={names[name]: found.rate for name, found in runs.items()},
        ratios={f"fronts_{fronts}": runs[f"{fronts}"].rate / runs["1"].rate for fronts in FRONTS[1:]},
    )


def _measured(report: Report, fronts: int, seconds: int, *, quotas: bool) -> _Found:
    with ExitStack() as held, report.doing(f"{fronts} fronts, {seconds} s"):
        groups = held.enter_context(Quotas(cores=_CORES)) if quotas else None
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cji-scale-")))
        azure = held.enter_context(Simulation(folder / "azure", release_limit=1000, report_period=0))
        site = held.enter_context(
            open_site(folder / "site", azure, cells=_CELLS, cell_mib=_CELL_MIB, reference_mib=0, fronts=fronts)
        )
        settled(site)
        _await_rest(site)
        if groups is not None:
            for name, pid in _processes(site).items():
                groups.give(name, pid)
            groups.give_children("cell", site.worker.pids["zygote"], _CELLS)
        return _driven(site, seconds)


def _await_rest(site: Site) -> None:
    """Return when the zygote has touched all secret memory, which it does once."""
    zygote, before = {"zygote": site.worker.pids["zygote"]}, -1.0
    while (now := CpuClock(zygote).read()["zygote"]) > before + _REST:
        before = now
        time.sleep(1)


def _driven(site: Site, seconds: int) -> _Found:
    """Rate and CPU of a worker that its clients keep busy, without the time in which all warmed up."""
    context, streams = get_context("spawn"), _CELLS // _CLIENTS
    submission = Submission(
        profile=site.profile,
        trust=site.simulation.trust,
        cmk=site.cmk,
        spec=site.spec(Deidentify(project="bench", columns=dict(DEIDENTIFY))),
        streams=streams,
        connections=streams,
        rows=(_ROWS,),
        seconds=float(seconds),
    )
    barrier = context.Barrier(_CLIENTS + 1)
    with ProcessPoolExecutor(_CLIENTS, mp_context=context, initializer=start_together, initargs=(barrier,)) as pool:
        running = [pool.submit(submit, submission) for _ in range(_CLIENTS)]
        barrier.wait(_START_S)
        time.sleep(_WARM_S)
        began, before = time.monotonic(), _spent(site)
        time.sleep(seconds - _WARM_S)
        ended, after = time.monotonic(), _spent(site)
        submitted = [each.result() for each in running]
    del after["door"]  # all of them together
    used = {name: (now - before[name]) / (ended - began) for name, now in after.items()}
    return _Found(
        rate=_rate(submitted, range(int(began) + 1, int(ended))),
        cores={kind: tuple(cores for name, cores in used.items() if name.split("-")[0] == kind) for kind in _KINDS},
        client=sum(each.cpu_s for each in submitted) / seconds,
    )


def _rate(submitted: Iterable[Submitted], window: range) -> float:
    """MB/s in these whole seconds. Raises AssertionError if a job failed."""
    flow = Counter[int]()
    for each in submitted:
        assert not each.failures, each.failures
        flow.update(each.flow)
    return sum(flow[second] for second in window) / len(window) / 1e6


def _processes(site: Site) -> dict[str, int]:
    """Process ids by name; each worker of the door has a number, as the fronts after the first have."""
    workers = {f"door-{number}": pid for number, pid in enumerate(children(site.worker.door.process.pid))}
    return {**site.worker.pids, **workers}


def _spent(site: Site) -> dict[str, float]:
    """CPU seconds of each process, and of all cells."""
    return spent({**_processes(site), "door": site.worker.door.process.pid})
