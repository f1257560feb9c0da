"""The keyholder's view of its machine: what it requires, and what receipts may state."""

import pytest

from cji_core.errors import Reason, StartupError
from cji_core.trail import TpmClock
from cji_worker.host import HostReport
from cji_worker.keyholder.host import HostState
from tests.support.refusals import refused

HELD = HostReport(not_held=(), profile="cji-host-1")
BARE = HostReport(not_held=("ptrace-scope", "host-profile"), profile="none")
SWAPS = HostReport(not_held=("swap",), profile="cji-host-1")


def test_x14_production_without_the_profile_has_no_keyholder() -> None:
    with pytest.raises(StartupError, match="host-profile"):
        HostState(BARE, production=True)
    assert HostState(BARE, production=False).unmet == ()


def test_a_job_is_refused_while_a_condition_does_not_hold() -> None:
    host = HostState(HELD, production=True)
    host.require()
    host.take(SWAPS)
    assert host.unmet == ("swap",)
    with refused(Reason.NOT_READY):
        host.require()
    host.take(HELD)
    host.require()


def test_the_clock_of_the_tpm_is_a_condition() -> None:
    host = HostState(BARE, production=False)
    host.tpm_clock.note(utc=0.0, tpm=TpmClock(clock=0, reset_count=0, restart_count=0))
    host.tpm_clock.note(utc=0.0, tpm=TpmClock(clock=3_600_000, reset_count=0, restart_count=0))
    assert host.unmet == ("tpm-clock",)


def test_a_profile_that_once_was_not_held_is_not_claimed_again() -> None:
    host = HostState(HELD, production=False)
    profiles: list[str] = [host.profile]
    host.take(HostReport(not_held=("host-profile",), profile="none"))
    host.take(HELD)
    assert [*profiles, host.profile] == ["cji-host-1", "none"]


def test_a_profile_that_came_later_is_not_claimed() -> None:
    host = HostState(BARE, production=False)
    host.take(HELD)
    assert host.profile == "none"
