"""`load`: 200 streams of two submitters at one worker: failures, shares, health, memory.

docs/benchmarks.md defines what is measured.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.harness import Result, percentile
from benchmarks.load_clients import Probe, Submission, Submitted, probe_health, start_together, submit
from benchmarks.machine import facts
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.processes import CpuClock, Resident
from benchmarks.report import Report
from cji_client.profile import ClientProfile, load_profile
from cji_core.format.keys import load_recipient_key
from cji_core.jose import public_jwk
from cji_core.operations.deidentify import Deidentify
from cji_simulator.launch import Agency, worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site
from cji_simulator.worker import Worker

__all__ = ["fairness", "run"]

_SECONDS, _QUICK_SECONDS = 300.0, 20.0
_STREAMS: Final[Mapping[str, int]] = {"fulton-pd": 180, "cobb-pd": 20}
"""By submitter. Both always want more than half of the worker, so each is due half of it."""

_ROWS: Final = (100, 1_000, 100, 10_000, 100, 1_000, 100, 80_000)
"""Sizes of a stream's jobs, in turns: 13 kB to 10 MB."""

_PROBES_PER_S: Final = 20
_SETTLE_S, _SETTLE_AT_MOST_S = 2.0, 30.0
"""Memory is read once no process grew or shrank by a MiB for this time: the zygote still faults regions in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    submitted: dict[str, Submitted]
    probe: Probe
    cpu: dict[str, float]
    start: dict[str, float]
    peak: dict[str, float]
    after: dict[str, float]


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; five minutes, or half a minute when `quick`."""
    machine, seconds = facts(), _QUICK_SECONDS if quick else _SECONDS
    report.heading("load", machine)
    with _site() as (site, profiles), report.doing(f"{sum(_STREAMS.values())} streams, {seconds:.0f} s"):
        found = _observe(site, profiles, seconds)
    result = Result(name="load", machine=machine, figures=_figures(found), ratios=_ratios(found))
    _show(report, found, result)
    return result


def fairness(shares: Sequence[float]) -> float:
    """The smallest share over its due, an equal part of all; 1 is fair, 0 if a submitter got nothing."""
    whole = sum(shares)
    return min(shares) * len(shares) / whole if whole else 0.0


@contextmanager
def _site() -> Iterator[tuple[Site, dict[str, ClientProfile]]]:
    """A worker that knows both submitters, and their profiles."""
    with tempfile.TemporaryDirectory(prefix="cji-load-") as name:
        folder = Path(name)
        with Simulation(folder / "azure", release_limit=1000, report_period=0) as simulation:
            cmk = simulation.create_cmk("cji-load")
            first, *others = (
                worker_config(folder / each, simulation=simulation, keys=[cmk], agency=Agency(name=each))
                for each in _STREAMS
            )
            profile = load_profile(first.profile)
            profiles = {first.folder.name: profile}
            for other in others:  # a submitter of the first worker, with keys and certificates of its own
                _append(first.policy, other.policy.read_text().partition("\n")[2])
                _append(first.folder / "client-roots.pem", (other.folder / "client-roots.pem").read_text())
                profiles[other.folder.name] = msgspec.structs.replace(
                    load_profile(other.profile), target=profile.target, ca=profile.ca
                )
            with Worker(first.config, trust=simulation.trust, log=folder / "worker.log") as worker:
                yield Site(simulation=simulation, cmk=cmk, files=first, worker=worker, profile=profile), profiles


def _append(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text()}\n{text}")


def _observe(site: Site, profiles: Mapping[str, ClientProfile], seconds: float) -> _Observed:
    resident, cpu = Resident(site.worker.pids), CpuClock(site.worker.pids)
    start, spent = _settled(resident), cpu.read()
    with resident:
        submitted, probe = _drive(site, profiles, seconds)
    after = _settled(resident)
    used = {name: now - spent[name] for name, now in cpu.read().items() if name != "client"}
    return _Observed(
        submitted=submitted,
        probe=probe,
        cpu=used | {"clients": sum(each.cpu_s for each in submitted.values())},
        start=start,
        peak=resident.peak,
        after=after,
    )


def _settled(resident: Resident) -> dict[str, float]:
    until, before = time.monotonic() + _SETTLE_AT_MOST_S, resident.read()
    while True:
        time.sleep(_SETTLE_S)
        now = resident.read()
        if time.monotonic() >= until or all(abs(now[name] - before[name]) < 1 for name in now):
            return now
        before = now


def _drive(site: Site, profiles: Mapping[str, ClientProfile], seconds: float) -> tuple[dict[str, Submitted], Probe]:
    """Run all clients side by side to their end."""
    spec, context = site.spec(Deidentify(project="bench", columns=dict(DEIDENTIFY))), get_context("spawn")
    clients = len(profiles) + 1
    with ProcessPoolExecutor(
        clients, mp_context=context, initializer=start_together, initargs=(context.Barrier(clients),)
    ) as pool:
        running = {
            name: pool.submit(
                submit,
                Submission(
                    profile=profile,
                    trust=site.simulation.trust,
                    cmk=site.cmk,
                    spec=msgspec.structs.replace(spec, recipients=(_recipient(profile),)),
                    streams=_STREAMS[name],
                    rows=_ROWS,
                    seconds=seconds,
                ),
            )
            for name, profile in profiles.items()
        }
        prober = next(iter(profiles.values()))
        probing = pool.submit(probe_health, prober, per_second=_PROBES_PER_S, seconds=seconds)
        return {name: each.result() for name, each in running.items()}, probing.result()


def _recipient(profile: ClientProfile) -> str:
    assert profile.recipient_key is not None
    return public_jwk(load_recipient_key(Path(profile.recipient_key)).public_key())


def _ratios(found: _Observed) -> dict[str, float]:
    return {
        "fair": fairness([got.jobs for got in found.submitted.values()]),
        "fair_bytes": fairness([got.megabytes for got in found.submitted.values()]),
        "rss": min(found.start[name] / found.after[name] for name in found.start),
    }


def _figures(found: _Observed) -> dict[str, float]:
    each, memory = found.submitted.values(), {"start": found.start, "peak": found.peak, "after": found.after}
    return {
        **{f"health_p{rank}_ms": percentile(found.probe.milliseconds, rank) for rank in (50, 99, 100)},
        "health_failures": found.probe.failures,
        "failures": sum(got.failures.total() for got in each),
        "overloaded": sum(got.overloaded for got in each),
        "refused_unread": sum(got.refused_unread for got in each),
        "jobs": sum(got.jobs for got in each),
        "megabytes": sum(got.megabytes for got in each),
        **{f"cpu_s_{name}": used for name, used in found.cpu.items()},
        **{f"rss_{name}_{when}_mib": at[name] for when, at in memory.items() for name in found.start},
    }


def _show(report: Report, found: _Observed, result: Result) -> None:
    rows = [
        (
            name,
            *map(
                str,
                (
                    _STREAMS[name],
                    got.jobs,
                    round(got.megabytes),
                    got.overloaded,
                    got.refused_unread,
                    got.failures.total(),
                ),
            ),
        )
        for name, got in found.submitted.items()
    ]
    report.table(
        "Jobs with a verified receipt", ("", "streams", "jobs", "MB", "overloaded", "refused unread", "failures"), rows
    )
    for cause, count in sum((got.failures for got in found.submitted.values()), start=Counter[str]()).most_common():
        report.note(f"failure, {count} times: {cause}")
    memory = (found.start, found.peak, found.after)
    report.table(
        "Resident memory, MiB",
        ("", "start", "peak", "after"),
        [(name, *(f"{at[name]:.0f}" for at in memory)) for name in found.start],
    )
    shown = {name: f"{result.figures[name]:.0f}" for name in ("health_p50_ms", "health_p99_ms", "health_p100_ms")}
    report.note(", ".join(f"{name} {value}" for name, value in shown.items()))
    report.note(", ".join(f"{name} {ratio:.2f}" for name, ratio in result.ratios.items()))
    if report.profile:
        report.table("CPU seconds", ("", "s"), [(name, f"{used:.1f}") for name, used in found.cpu.items()])
