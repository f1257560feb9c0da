"""From the exec of a worker's supervisor to the moment it serves jobs, against the simulation of Azure.

Inside the clock: all processes started, imported and hardened, one cell warm, evidence produced and appraised, a token
and a key obtained from the services, the health service updated. The services and the file system's cache are warm,
and bytecode is compiled. Each start has a turn of the peer beside it: one interpreter that imports the libraries that
the worker's processes use. The worker's processes note what they spend, import by import (`start_child`); touching
secret memory ahead, which goes on afterwards, is in no sum.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.harness import Result, Spread
from benchmarks.machine import facts
from benchmarks.processes import spent
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.worker import Worker

__all__ = ["Noted", "read_notes", "run"]

_RUNS, _QUICK_RUNS = 5, 3
_COMMANDS: Final = 5
_BOOT_S: Final = 900.0
_LIMITER_S: Final = 2.5
"""A paravisor makes a hardware report every two seconds at most; a machine that has just booted does not wait."""
_MARKS: Final = {"started": "spawned", "listening": "listening", "attested": "attested", "released": "released"}
"""Events of the worker's log that mark how far it is, and the names of the figures."""
_PROGRAM: Final = ("-P", "-m", "benchmarks.start_child")
_RATIOS: Final = ("serving", "cpu")
_KINDS: Final = ("ours", "theirs", "python")
_LIBRARIES: Final = "import pyarrow.compute, cryptography.x509, grpc.aio, msgspec, azure.keyvault.keys, tpm2_pytss"
_TOUCH: Final = "Zygote._do_some_work"
"""The zygote's turns between messages, in which it touches secret memory ahead."""
_MOST: Final = 12  # modules that are listed for each process
_ROOT: Final = Path(__file__).resolve().parent.parent


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The notes of one process until the worker served: CPU seconds, and moments in seconds since the exec."""

    begun_s: float
    """Its first line of Python."""
    imported_s: float
    cpu_begun: float
    cpu: float
    """Until its last note."""
    imports: dict[str, float]
    """By module, without the modules that it imports in turn."""
    calls: dict[str, float]

    def of(self, kind: str) -> tuple[float, int]:
        """CPU seconds and number of the modules that are `ours`, a library's (`theirs`) or Python's (`python`)."""
        found = [seconds for name, seconds in self.imports.items() if _kind(name) == kind]
        return sum(found), len(found)


def run(report: Report, *, quick: bool) -> Result:
    """Start and stop a worker several times; the first start does not count."""
    machine = facts()
    report.heading("start", machine)
    with tempfile.TemporaryDirectory() as name, Simulation(Path(name) / "azure", release_limit=1000) as azure:
        starts = _Starts(Path(name), azure, azure.create_cmk("start"))
        with report.doing("starts"):
            starts.one()
            window = quietest(lambda: [starts.one() for _ in range(_QUICK_RUNS if quick else _RUNS)])
    with report.doing("commands"):
        commands = quietest(_commands)
    rows = [row for row, _ in window.value]
    found = {name: Spread.of([row[name] for row in rows], load=window.load) for name in rows[0]}
    report.table(
        "seconds since exec, and CPU seconds by process",
        ["", "median (range)"],
        [(name, figure.text(2)) for name, figure in found.items()],
    )
    report.note(f"median of {len(rows)} starts; the worker's processes and the simulation share the machine")
    _, typical = min(window.value, key=lambda start: abs(start[0]["cpu_s"] - found["cpu_s"].middle))
    _show(report, typical)
    ratios: dict[str, float] = {name: found[name].middle for name in _RATIOS}
    figures: dict[str, float] = {name: each.middle for name, each in found.items() if name not in _RATIOS}
    figures |= {name: Measured.of(seconds, commands.load) for name, seconds in commands.value.items()}
    if image := os.environ.get("CJI_IMAGE"):
        figures |= _crash(report, Path(image))
    return Result(name="start", machine=machine, figures=figures, ratios=ratios)


def _crash(report: Report, image: Path) -> dict[str, float]:
    """A worker killed on the booted image, until the machine serves again; needs root and the packages of a boot."""
    from tests.support.machine.built import Built  # noqa: PLC0415 - not on every machine
    from tests.support.machine.crash import crashed  # noqa: PLC0415

    with report.doing("a crash on the image"), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Simulation(folder / "azure") as azure:
            found = crashed(Built.of(image, folder), azure, folder, seconds=_BOOT_S)
    report.note(
        f"image, emulated processor: {found.to_serving_s:.1f} s from the kill of the worker until the machine serves "
        f"again, of these {found.to_kernel_s:.1f} s until the kernel of the next boot"
    )
    return {"crash_to_serving_s": found.to_serving_s, "crash_to_kernel_s": found.to_kernel_s}


class _Starts:
    """Workers one after another, each on a simulated machine that has just booted, and the peer after each."""

    def __init__(self, folder: Path, azure: Simulation, cmk: Cmk) -> None:
        self._folder, self._azure, self._cmk, self._count = folder, azure, cmk, 0

    def one(self) -> tuple[dict[str, float], dict[str, Noted]]:
        """The figures of one start with its ratios to the peer, and what each process noted."""
        took, noted = self._start()
        seconds, cpu = _child([sys.executable, "-c", _LIBRARIES])
        took |= {"peer_s": seconds, "peer_cpu_s": cpu}
        return took | {"serving": seconds / took["seconds"], "cpu": cpu / took["cpu_s"]}, noted

    def _start(self) -> tuple[dict[str, float], dict[str, Noted]]:
        time.sleep(_LIMITER_S)
        self._count += 1
        folder, azure = self._folder / f"worker-{self._count}", self._azure.another_vm()
        files, log, notes = worker_config(folder, simulation=azure, keys=[self._cmk]), folder / "log", folder / "notes"
        notes.mkdir()
        program, environment = (*_PROGRAM, str(notes)), {"PYTHONPATH": str(_ROOT)}
        began, wall = time.monotonic(), time.time()
        with Worker(files.config, trust=azure.trust, log=log, program=program, environment=environment) as worker:
            took = {"seconds": time.monotonic() - began}
            cpu, until = spent({**worker.pids, "door": worker.door.process.pid}), time.monotonic()
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["event"] in _MARKS:
                at = datetime.fromisoformat(event["time"]).timestamp() - wall
                took.setdefault(f"{_MARKS[event['event']]}_s", at)
        noted = read_notes(notes, began=began, until=until)
        ahead = noted["zygote"].calls.get(_TOUCH, 0.0)
        cpu["zygote"] -= ahead
        took |= {"cpu_s": sum(cpu.values()), "cpu_s_touching_ahead": ahead}
        took |= {f"cpu_s_{process}": seconds for process, seconds in cpu.items()}
        took |= {f"cpu_s_{kind}": sum(one.of(kind)[0] for one in noted.values()) for kind in _KINDS}
        return took, noted


def _child(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and CPU seconds of a process, from its exec to its end."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return time.monotonic() - began, used.ru_utime + used.ru_stime


def _commands() -> dict[str, float]:
    """CPU seconds of an import of the client and of `cji --help`, medians."""
    cji = str(Path(sys.executable).with_name("cji"))
    commands = {
        "client_import_cpu_s": [sys.executable, "-c", "import cji_client"],
        "help_cpu_s": [cji, "--help"],
    }
    return {name: median(_child(command)[1] for _ in range(_COMMANDS)) for name, command in commands.items()}


def read_notes(folder: Path, *, began: float, until: float) -> dict[str, Noted]:
    """The notes of each process between two moments of CLOCK_MONOTONIC, the exec and the reading of CPU times."""
    notes = {path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.iterdir()}
    return {
        name: _noted([note for note in every if note["at"] <= until], began) for name, every in sorted(notes.items())
    }


def _noted(notes: Sequence[Mapping[str, Any]], began: float) -> Noted:
    imports, calls = Counter[str](), Counter[str]()
    for note in notes:
        imports.update(note.get("modules", {}))
        if note["what"] == "call":
            calls[note["name"]] += note["spent"]
    imported = next(note for note in notes if note["what"] == "imported")
    return Noted(
        begun_s=notes[0]["at"] - began,
        imported_s=imported["at"] - began,
        cpu_begun=notes[0]["cpu"],
        cpu=max(note["cpu"] for note in notes),
        imports=dict(imports),
        calls=dict(calls),
    )


def _kind(module: str) -> str:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "python"
    return "ours" if top in {"attestation", "benchmarks", "worker"} or top.startswith("cji_") else "theirs"


def _show(report: Report, noted: Mapping[str, Noted]) -> None:
    report.table(
        "A typical start by process: first line and imports on the wall, then CPU seconds",
        ("", "at, s", "imported, s", "interpreter", "ours (modules)", "libraries", "Python's", "all"),
        [
            (
                name,
                f"{one.begun_s:.2f}",
                f"{one.imported_s:.2f}",
                f"{one.cpu_begun:.3f}",
                *(f"{seconds:.3f} ({modules})" for seconds, modules in map(one.of, _KINDS)),
                f"{one.cpu:.3f}",
            )
            for name, one in noted.items()
        ],
    )
    calls = [
        (f"{name}: touching secret memory ahead" if call == _TOUCH else f"{name}: {call}", f"{seconds:.3f}")
        for name, one in noted.items()
        for call, seconds in one.calls.items()
    ]
    report.table("CPU seconds of its steps, with what they import", ("", "s"), calls)
    if report.profile:
        for name, one in noted.items():
            most = Counter(one.imports).most_common(_MOST)
            report.table(f"{name}: CPU ms of imports", ("", "ms"), [(n, f"{s * 1e3:.1f}") for n, s in most])
