"""`trail`: what a trail of a quarter costs its auditor, by the commands of `cji`, each in a process of its own.

Verification, the index, the first search after it, and the packet with its verification against the trail: CPU time,
and peak memory of the process. They run on a fourth of the trail too, so that memory which grows with it shows.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.audit_year import START, Year
from benchmarks.harness import Result
from benchmarks.machine import facts
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from cji_core.jose import public_jwk
from cji_core.trail.trail import size_of
from tests.support.packet_period import catalog

__all__ = ["run"]

_LINES, _QUICK_LINES = 400_000, 40_000
_UNIT: Final = 100_000
_WINDOWS: Final = 2
_CJI: Final = Path(sys.executable).with_name("cji")
_LAUNCHER: Final = """
import os, sys, time
began, nothing = time.perf_counter(), os.open(os.devnull, os.O_WRONLY)
to = [(os.POSIX_SPAWN_DUP2, nothing, fd) for fd in (1, 2)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=to), 0)
cost = [used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024]
print([os.waitstatus_to_exitcode(status), cost])
"""
"""A small process, because the kernel counts the peak of the parent too."""


class _Cost(NamedTuple):
    cpu_s: float
    seconds: float
    peak_mib: float


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; one minute with `quick`, ten without."""
    machine, lines = facts(), _QUICK_LINES if quick else _LINES
    report.heading("trail", machine)
    with tempfile.TemporaryDirectory() as name:
        with report.doing("a quarter's lines"):
            whole, fourth = (_Trail(Path(name) / f"{part}", lines // part) for part in (1, 4))
        figures = {
            "lines": float(whole.year.lines),
            "bytes_per_job": size_of(whole.path) / whole.year.jobs,
            "mib": whole.mib(size_of(whole.path)),
        }
        for what in _Trail.COMMANDS:
            with report.doing(what):
                window = quietest(lambda of=what: whole.cost(of), windows=_WINDOWS)  # type: ignore[misc]
                small = fourth.cost(what)
            cost = window.value
            figures |= {
                f"{what}_cpu_s": Measured.of(whole.each(cost.cpu_s), window.load),
                f"{what}_s": Measured.of(whole.each(cost.seconds), window.load),
                f"{what}_peak_mib": cost.peak_mib,
                f"{what}_peak_growth_mib": cost.peak_mib - small.peak_mib,
            }
        figures |= {"index_mib": whole.mib(whole.index.stat().st_size), "search_s": whole.cost("search").seconds}
    report.table(f"for each {_UNIT:,} lines; peaks, bytes_per_job and search_s as they are", ["", ""], _rows(figures))
    report.note("packet_cpu_s must stay below 5, search_s below 5, and no peak may grow with the trail")
    return Result(name="trail", machine=machine, figures=figures, ratios={})


class _Trail:
    """A trail in a folder, with its keys, and the commands for it."""

    COMMANDS: Final = ("verify", "index", "packet", "packet_verify")

    def __init__(self, folder: Path, lines: int) -> None:
        folder.mkdir()
        self.path, self.index, self._out = folder / "audit.log", folder / "index", folder / "packet"
        self.year = Year(self.path, lines=lines)
        keys = "\n".join(map(public_jwk, self.year.keys.values()))
        self._keys, self._catalog = _written(folder / "keys.jwk", keys), _written(folder / "catalog.json", catalog())

    def each(self, amount: float) -> float:
        """An amount for each hundred thousand lines."""
        return amount * _UNIT / self.year.lines

    def mib(self, size: int) -> float:
        """As `each`, of bytes."""
        return self.each(size / (1 << 20))

    def cost(self, what: str) -> _Cost:
        """Run a command; what an earlier run made is removed before."""
        packet = self._out.with_suffix(".zip")
        if what == "index":
            self.index.unlink(missing_ok=True)
        if what == "packet":
            self._out = self._out.with_name(f"{self._out.name}_")
        first, last = START.date(), (START + timedelta(days=364)).date()
        commands: dict[str, Sequence[object]] = {
            "verify": ("verify", self.path),
            "index": ("index", self.path, "--index", self.index),
            "search": ("search", self.path, "--index", self.index, "--kind", "job_refused"),
            "packet": (
                *("packet", "--from", first, "--to", last, "--trail", self.path, "--catalog", self._catalog),
                *("--receipt-key", self._keys, "--out", self._out),
            ),
            "packet_verify": ("packet", "verify", packet, "--trail", self.path, "--receipt-key", self._keys),
        }
        return _cost([str(_CJI), "audit", *map(str, commands[what])], refuses=what == "packet_verify")


def _cost(command: list[str], *, refuses: bool) -> _Cost:
    """`refuses`: it ends with status 3, here because nobody signed the packet."""
    done = subprocess.run([sys.executable, "-S", "-c", _LAUNCHER, *command], stdout=subprocess.PIPE, check=True)
    status, cost = msgspec.json.decode(done.stdout, type=tuple[int, _Cost])
    assert status == (3 if refuses else 0), command
    return cost


def _written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _rows(figures: dict[str, float]) -> list[Sequence[str]]:
    return [(name, f"{figure:,.3f}") for name, figure in figures.items()]
