"""From the exec of a worker's supervisor to the moment it serves jobs, against the simulation of Azure.

Inside the clock: all processes started, imported and hardened, one cell warm, evidence produced and appraised, a token
and a key obtained from the services, the health service updated. The services and the file system's cache are warm,
and bytecode is compiled.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.harness import Result, Spread
from benchmarks.machine import facts
from benchmarks.processes import CpuClock
from benchmarks.report import Report
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.worker import Worker

__all__ = ["run"]

_RUNS, _QUICK_RUNS = 5, 3
_LIMITER_S: Final = 2.5
"""A paravisor makes a hardware report every two seconds at most; a machine that has just booted does not wait."""
_MARKS: Final = {"started": "spawned", "listening": "listening", "attested": "attested", "released": "released"}
"""Events of the worker's log that mark how far it is, and the names of the figures."""


def run(report: Report, *, quick: bool) -> Result:
    """Start and stop a worker several times; the first start does not count."""
    machine, rows = facts(), list[dict[str, float]]()
    report.heading("start", machine)
    with tempfile.TemporaryDirectory() as name, Simulation(Path(name) / "azure", release_limit=1000) as azure:
        cmk = azure.create_cmk("start")
        for number in range(1 + (_QUICK_RUNS if quick else _RUNS)):
            with report.doing(f"start {number}"):
                rows.append(_start(Path(name) / f"worker-{number}", azure, cmk))
    figures = {name: Spread.of([row[name] for row in rows[1:]]) for name in rows[0]}
    report.table("seconds since exec, and CPU seconds by process", ["", "median (range)"], _lines(figures))
    report.note(f"median of {len(rows) - 1} starts; the worker's processes and the simulation share the machine")
    return Result(name="start", machine=machine, figures={n: f.middle for n, f in figures.items()}, ratios={})


def _lines(figures: dict[str, Spread]) -> list[Sequence[str]]:
    return [(name, figure.text(2)) for name, figure in figures.items()]


def _start(folder: Path, azure: Simulation, cmk: Cmk) -> dict[str, float]:
    time.sleep(_LIMITER_S)
    azure = azure.another_vm()
    files, log = worker_config(folder, simulation=azure, keys=[cmk]), folder / "worker.log"
    began, wall = time.monotonic(), time.time()
    with Worker(files.config, trust=azure.trust, log=log) as worker:
        took = {"seconds": time.monotonic() - began}
        cpu = CpuClock(worker.pids).read()
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] in _MARKS:
            at = datetime.fromisoformat(event["time"]).timestamp() - wall
            took.setdefault(f"{_MARKS[event['event']]}_s", at)
    return took | {f"cpu_s_{process}": seconds for process, seconds in cpu.items() if process in worker.pids}
