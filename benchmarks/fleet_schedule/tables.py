"""The tables of docs/fleet.md: each has cases, and each case makes a row of text, to compare a page with a run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.fleet_schedule import scenarios
from benchmarks.fleet_schedule.scenarios import Setting
from cji_worker.keyholder.schedule import vault_load

__all__ = ["TABLES", "Table", "clock", "row"]

VAULT: Final = "a vault"


Case = tuple[tuple[str, ...], Callable[[int], tuple[str, ...]]]
"""The first cells of a row, and what makes the others from a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its title, columns and cases."""

    title: str
    columns: tuple[str, ...]
    cases: Mapping[str, Case]
    """By name."""


def row(table: str, case: str, *, seed: int = 1) -> tuple[str, ...]:
    """The row of one case."""
    cells, run = TABLES[table].cases[case]
    return (*cells, *run(seed))


def clock(seconds: float) -> str:
    """Seconds for people: `45 s`, `12 min`, `2.8 h`."""
    if not math.isfinite(seconds):
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _load(setting: Setting) -> str:
    workers = math.ceil(setting.workers / setting.vaults)
    return f"{100 * vault_load(workers=workers, versions=setting.versions, lifetime=setting.lifetime):.0f} %"


def _start(setting: Setting, every: float) -> Callable[[int], tuple[str, ...]]:
    def run(seed: int) -> tuple[str, ...]:
        found = scenarios.start(setting, every=every, seed=seed)
        return clock(found.median), clock(found.last), f"{found.calls:.1f}"

    return run


def _starts() -> dict[str, Case]:
    settings: Sequence[tuple[Setting, float, str]] = (
        (Setting(workers=1), 0.0, VAULT),
        (Setting(workers=10), 0.0, VAULT),
        (Setting(workers=100), 0.0, VAULT),
        (Setting(workers=100, versions=2), 0.0, VAULT),
        (Setting(workers=300), 0.0, VAULT),
        (Setting(workers=1000), 0.0, VAULT),
        (Setting(workers=1000), 1.2, VAULT),
        (Setting(workers=1000, versions=2), 0.0, VAULT),
        (Setting(workers=1000, versions=2), 2.4, VAULT),
        (Setting(workers=1000, versions=2, vaults=5), 0.0, "5 vaults"),
        (Setting(workers=1000, versions=2, hsm=10.0), 0.0, "an HSM, 10 a second"),
        (Setting(workers=1000, versions=2, hsm=100.0), 0.0, "an HSM, 100 a second"),
        (Setting(workers=1000, versions=2, expected=100), 0.0, "a vault; `workers_per_vault = 100`"),
        (Setting(workers=100, refusals_count=True), 0.0, "a vault that counts refusals"),
    )
    return {
        f"{s.workers}x{s.versions}, {every:g}, {service}": (
            (f"{s.workers} × {s.versions}", service, f"one every {every:g} s" if every else "at once"),
            _start(s, every),
        )
        for s, every, service in settings
    }


def _steady(setting: Setting) -> Callable[[int], tuple[str, ...]]:
    def run(seed: int) -> tuple[str, ...]:
        found = scenarios.steady(setting, seed=seed)
        missing = "0" if not found.missing else f"{100 * found.missing:.2g} %"
        age = f"{100 * (1 - found.median):.0f} %"
        least = f"{100 * found.least:.0f} %" if found.least > 0 else "none"
        return age, least, missing, f"{found.calls:.1f}"

    return run


def _steadies() -> dict[str, Case]:
    settings = (
        Setting(workers=100),
        Setting(workers=1000),
        Setting(workers=1000, versions=2),
        Setting(workers=1250, versions=2),
        Setting(workers=1500, versions=2),
        Setting(workers=1000, versions=2, vaults=2),
        Setting(workers=1000, lifetime=1800.0),
        Setting(workers=1000, lifetime=900.0),
        Setting(workers=200, lifetime=900.0),
    )
    return {
        f"{s.workers}x{s.versions}, {s.vaults}, {s.lifetime:g}": (
            (
                f"{s.workers} × {s.versions}",
                VAULT if s.vaults == 1 else f"{s.vaults} vaults",
                clock(s.lifetime),
                _load(s),
            ),
            _steady(s),
        )
        for s in settings
    }


def _stop(setting: Setting) -> Callable[[int], tuple[str, ...]]:
    def run(seed: int) -> tuple[str, ...]:
        found = scenarios.revocation(setting, seed=seed)
        others = "–" if setting.versions == 1 else "0" if not found.others else f"{100 * found.others:.2g} %"
        return clock(found.half), clock(found.last), others

    return run


def _stops() -> dict[str, Case]:
    settings = (
        Setting(workers=10),
        Setting(workers=100),
        Setting(workers=100, lifetime=900.0),
        Setting(workers=100, versions=2),
        Setting(workers=500),
        Setting(workers=1000),
        Setting(workers=1000, lifetime=1800.0),
        Setting(workers=1000, versions=2),
    )
    return {
        f"{s.workers}x{s.versions}, {s.lifetime:g}": (
            (f"{s.workers} × {s.versions}", clock(s.lifetime), _load(s)),
            _stop(s),
        )
        for s in settings
    }


def _gap(found: scenarios.Gap) -> tuple[str, ...]:
    return f"{100 * found.without:.0f} %", clock(found.back)


def _outage(setting: Setting, seconds: float) -> Callable[[int], tuple[str, ...]]:
    return lambda seed: _gap(scenarios.outage(setting, seconds=seconds, seed=seed))


def _region_loss(setting: Setting) -> Callable[[int], tuple[str, ...]]:
    return lambda seed: _gap(scenarios.region_loss(setting, seed=seed))


def _restart(setting: Setting, versions: int) -> Callable[[int], tuple[str, ...]]:
    return lambda seed: ("10 %", clock(scenarios.restart(setting, versions=versions, batch=0.1, seed=seed)))


def _events() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for workers, versions, minutes in ((100, 1, 30), (100, 1, 60), (1000, 1, 30), (1000, 1, 60), (1000, 2, 30)):
        setting = Setting(workers=workers, versions=versions)
        cases[f"outage {workers}x{versions}, {minutes}"] = (
            (f"vault away for {minutes} min", f"{workers} × {versions}"),
            _outage(setting, 60.0 * minutes),
        )
    for workers in (100, 500, 1000):
        setting = Setting(workers=workers)
        cases[f"region {workers}"] = (
            ("one of two regions lost: half of the workers start in the other", f"{workers} × 1"),
            _region_loss(setting),
        )
    for workers, before, after, what in (
        (100, 1, 1, "rolling upgrade"),
        (1000, 1, 1, "rolling upgrade"),
        (100, 1, 2, "rotation: rolling restart with a second version"),
        (500, 1, 2, "rotation: rolling restart with a second version"),
        (1000, 1, 2, "rotation: rolling restart with a second version"),
    ):
        setting = Setting(workers=workers, versions=before)
        cases[f"restart {workers}, {before} {after}"] = (
            (f"{what}, a tenth at a time", f"{workers} × {before}" if before == after else f"{workers} × 1 to 2"),
            _restart(setting, after),
        )
    return cases


TABLES: Final[Mapping[str, Table]] = {
    "fleet-start": Table(
        title="From a cold start until every key is there",
        columns=("workers × versions", "keys in", "started", "median", "last worker", "requests a worker"),
        cases=_starts(),
    ),
    "fleet-steady": Table(
        title="Renewal in the steady state",
        columns=(
            "workers × versions",
            "keys in",
            "`key_lifetime_s`",
            "load",
            "median age at renewal",
            "least life left",
            "time without a key",
            "requests a worker and lifetime",
        ),
        cases=_steadies(),
    ),
    "fleet-revocation": Table(
        title="A version is disabled in the vault",
        columns=(
            "workers × versions",
            "`key_lifetime_s`",
            "load",
            "half of the workers stopped after",
            "the last after",
            "time without the other version",
        ),
        cases=_stops(),
    ),
    "fleet-events": Table(
        title="Outages, regions, restarts",
        columns=("event", "workers × versions", "workers without a key, at most", "all have their keys after"),
        cases=_events(),
    ),
}
"""By the name that marks the table in docs/fleet.md."""
