"""UTC against the TPM's clock."""

import time

import pytest

from cji_core.trail import TpmClock
from cji_worker.host import TpmClockWatch


def tpm(ms: int, *, boot: tuple[int, int] = (3, 1)) -> TpmClock:
    return TpmClock(clock=ms, reset_count=boot[0], restart_count=boot[1])


@pytest.fixture
def watch() -> TpmClockWatch:
    started = TpmClockWatch()
    started.note(utc=1_000_000.0, tpm=tpm(5_000))
    assert started.held
    return started


@pytest.mark.parametrize("seconds", [0, 1, 1500, 86_400])
@pytest.mark.parametrize("error", [-55.0, 0.0, 55.0])
def test_clocks_in_step_are_held(watch: TpmClockWatch, seconds: int, error: float) -> None:
    watch.note(utc=1_000_000.0 + seconds + error, tpm=tpm(5_000 + seconds * 1000))
    assert watch.held


@pytest.mark.parametrize("seconds", [0, 1500])
@pytest.mark.parametrize("error", [-86_400.0, -80.0, 80.0, 86_400.0])
def test_a_step_is_found_until_it_is_undone(watch: TpmClockWatch, seconds: int, error: float) -> None:
    watch.note(utc=1_000_000.0 + seconds + error, tpm=tpm(5_000 + seconds * 1000))
    assert not watch.held
    watch.note(utc=1_000_000.0 + seconds + 30, tpm=tpm(5_000 + seconds * 1000 + 30_000))
    assert watch.held


def test_a_guest_whose_time_runs_too_fast_is_found(watch: TpmClockWatch) -> None:
    watch.note(utc=1_000_000.0 + 36_000, tpm=tpm(5_000 + 30_000_000))
    assert not watch.held


def test_a_tpm_that_was_restarted_is_a_new_beginning(watch: TpmClockWatch) -> None:
    watch.note(utc=2_000_000.0, tpm=tpm(10, boot=(4, 0)))
    assert watch.held
    watch.note(utc=2_000_200.0, tpm=tpm(1_000, boot=(4, 0)))
    assert not watch.held


def test_this_machines_own_clocks_can_be_read() -> None:
    from cji_worker.host.clock import clock_offset

    assert abs(clock_offset() - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))) < 1
