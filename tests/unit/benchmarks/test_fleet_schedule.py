"""The simulation of a fleet: models against slow twins, small fleets of any kind, and the page that it makes."""

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fleet_schedule import __main__ as command
from benchmarks.fleet_schedule.scenarios import Setting, outage, revocation, start, steady
from benchmarks.fleet_schedule.services import ManagedHsm, Vault
from benchmarks.fleet_schedule.tables import TABLES, clock, row
from cji_attestation import Fault


@dataclass
class SlowVault:
    """Counts every request that it remembers, each time."""

    refusals_count: bool
    counted: list[float] = field(default_factory=list)

    def free(self, now: float) -> bool:
        return sum(now - 10.0 < at <= now for at in self.counted) < 10

    def release(self, now: float) -> bool:
        free = self.free(now)
        if free or self.refusals_count:
            self.counted.append(now)
        return free


@given(st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 4.0, 11.0]), max_size=120), st.booleans())
def test_the_vault_releases_as_its_slow_twin_does(steps: list[float], refusals_count: bool) -> None:
    vault, slow, now = Vault(refusals_count=refusals_count), SlowVault(refusals_count), 0.0
    for step in steps:
        now += step
        answer = vault.release("key", now)
        assert (answer.fault is None) == slow.release(now)
        if answer.fault is not None:
            assert answer.fault is Fault.RELEASE_THROTTLED
            assert slow.free(now + answer.retry_after), "who waits as demanded, alone, is served"
            assert 1 <= answer.retry_after <= 11


def test_an_hsm_works_for_clients_that_have_left() -> None:
    hsm = ManagedHsm(rate=10.0, patience=20.0)
    answers = [hsm.release("key", 0.0) for _ in range(300)]
    assert [answer.fault for answer in answers[:195]] == [None] * 195
    assert {answer.fault for answer in answers[205:]} == {Fault.RELEASE_UNAVAILABLE}
    assert answers[0].seconds < 0.5 < 19.0 < answers[194].seconds < 20.0
    assert hsm.release("key", 5.0).fault is Fault.RELEASE_UNAVAILABLE  # 50 are done, 250 wait before it
    assert hsm.release("key", 15.0).fault is None
    assert hsm.release("key", 200.0).seconds < 0.5


def test_the_same_seed_gives_the_same_fleet() -> None:
    assert start(Setting(workers=30), seed=5) == start(Setting(workers=30), seed=5)
    assert start(Setting(workers=30), seed=5) != start(Setting(workers=30), seed=6)


@pytest.mark.parametrize("seed", range(5))
def test_k10_a_hundred_workers_are_ready_in_two_minutes(seed: int) -> None:
    found = start(Setting(workers=100), seed=seed)
    assert 90 < found.last <= 120
    assert found.calls < 8


@pytest.mark.parametrize("expected", [1, 10, 1000])
def test_k10_a_wrong_number_of_workers_costs_little_time(expected: int) -> None:
    assert start(Setting(workers=100, expected=expected)).last <= 200


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([600.0, 900.0, 3600.0]),
    st.integers(0, 99),
)
def test_k10_no_fleet_within_the_limit_ever_lacks_a_key(
    workers: int, versions: int, vaults: int, lifetime: float, seed: int
) -> None:
    """Up to half of the releases that the vaults can make in a lifetime: a load of 143 %."""
    workers = max(1, min(workers, math.floor(0.4 * lifetime * vaults / versions) - vaults))
    found = steady(
        Setting(workers=workers, versions=versions, vaults=vaults, lifetime=lifetime), seed=seed, lifetimes=2
    )
    assert found.missing == 0
    assert found.least > 0


def test_k10_above_the_limit_keys_do_run_out() -> None:
    """The simulation does not flatter: the vault can release half of these keys in a lifetime."""
    assert steady(Setting(workers=300, versions=4, lifetime=600.0), lifetimes=1).missing > 0.3


def test_k08_a_revocation_reaches_all_within_the_lifetime() -> None:
    found = revocation(Setting(workers=60, versions=2, lifetime=900.0))
    assert len(found.times) == 60
    assert found.half <= 0.45 * 900.0
    assert found.last <= 900.0
    assert found.others == 0


def test_o02_a_fleet_outlasts_an_outage_of_half_a_lifetime() -> None:
    setting = Setting(workers=40)
    assert (found := outage(setting, seconds=1800.0)).without == 0
    assert found.back == 0
    late = outage(setting, seconds=3600.0)
    assert late.without == 1
    assert late.back < 120


# ---- the page ----

SMALL = {
    "fleet-start": ("1x1, 0, a vault", "10x1, 0, a vault", "100x1, 0, a vault"),
    "fleet-steady": ("100x1, 1, 3600",),
    "fleet-revocation": ("10x1, 3600", "100x1, 900"),
    "fleet-events": ("outage 100x1, 30", "restart 100, 1 1"),
}


@pytest.mark.parametrize(("table", "case"), [(table, case) for table, cases in SMALL.items() for case in cases])
def test_the_page_has_what_a_run_gives(table: str, case: str) -> None:
    assert command.rendered(row(table, case)) in command.PAGE.read_text().splitlines()


def test_the_page_has_every_row_and_was_made_by_this_code() -> None:
    assert command.main(["--check"]) == 0
    page = command.PAGE.read_text()
    for name, table in TABLES.items():
        rows = page.partition(f"<!-- table: {name} -->\n")[2].partition("<!-- /table -->")[0].splitlines()
        assert [line.split(" | ")[0] for line in rows[2:]] == [f"| {cells[0]}" for cells, _ in table.cases.values()]


def test_a_change_of_the_code_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "digest", lambda: "1" * 64)
    assert command.main(["--check"]) == 1
    assert "docs/fleet.md" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.4, "3 s"), (119, "119 s"), (121, "2 min"), (7199, "120 min"), (9000, "2.5 h"), (math.inf, "never")],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_draws_come_from_the_seed_alone() -> None:
    random.seed(1)
    first = steady(Setting(workers=5), lifetimes=1)
    random.seed(2)
    assert steady(Setting(workers=5), lifetimes=1) == first
