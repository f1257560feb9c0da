"""A fleet's keys by simulation: the worker's own `Schedule` against models of a vault and a Managed HSM.

It runs without Azure and without a clock: minutes of one processor for days of a thousand workers. `python -m
benchmarks.fleet_schedule` writes its tables and plots into docs/.
"""

from benchmarks.fleet_schedule import scenarios
from benchmarks.fleet_schedule.scenarios import Setting
from benchmarks.fleet_schedule.tables import TABLES, row
from benchmarks.harness import Result
from benchmarks.machine import facts
from benchmarks.report import Report

__all__ = ["run"]

_QUICK = 200  # workers of the largest fleet of a first look


def run(report: Report, *, quick: bool = False) -> Result:
    """Print the tables. The figures are those of a hundred workers with one version."""
    machine = facts()
    report.heading("fleet-schedule", machine)
    for name, table in TABLES.items():
        cases = [case for case, (cells, _) in table.cases.items() if not quick or _workers(cells) <= _QUICK]
        with report.doing(table.title):
            rows = [row(name, case) for case in cases]
        report.table(table.title, table.columns, rows)
    ready = scenarios.start(Setting(workers=100)).last
    report.note("A simulation: no request was sent. The vault releases 10 keys in 10 s.")
    return Result(
        name="fleet-schedule",
        machine=machine,
        figures={"ready_100_s": ready, "revoked_100_s": scenarios.revocation(Setting(workers=100)).last},
        ratios={"a vault that never waits": 90.0 / ready},
    )


def _workers(cells: tuple[str, ...]) -> int:
    return next(int(cell.split(" × ")[0]) for cell in cells if " × " in cell)
