"""Windows of the waits between requests: failures, throttled first releases and renewals, denials."""

import pytest

from cji_worker.keyholder.pacing import Backoff, Pace

LIFETIME = 3600.0


def latest(low: float, high: float) -> float:
    """The longest wait that a draw may give."""
    return high


def pace(releases: int) -> Pace:
    return Pace(latest, releases=releases, lifetime=LIFETIME)


def waits(backoff: Backoff, count: int) -> list[float]:
    found = []
    for _ in range(count):
        backoff.failed(100.0, retry_after=7.0)
        found.append(backoff.at - 107.0)
    return found


def test_failures_are_repeated_soon_and_then_as_the_fleet_allows() -> None:
    assert waits(Backoff(latest), 5) == [1, 4, 16, 60, 60]
    assert waits(pace(100).failures(), 5) == [1, 4, 16, 60, 60]
    assert waits(pace(2000).failures(), 6) == [1, 4, 16, 64, 256, 500]


@pytest.mark.parametrize(
    ("releases", "expected"),
    [
        (1, [10, 80, 600, 600]),
        (100, [25, 200, 600, 600]),
        (1000, [250, 2000, 3600, 3600]),
    ],
)
def test_denials_cost_a_large_fleet_no_more_than_keys_do(releases: int, expected: list[float]) -> None:
    assert waits(pace(releases).denials(), len(expected)) == expected


def test_a_success_ends_the_backoff() -> None:
    backoff = Backoff(latest)
    waits(backoff, 3)
    backoff.reset()
    assert backoff.at == float("-inf")
    assert waits(backoff, 1) == [1]


def test_waiting_for_another_reason_does_not_widen_the_window() -> None:
    backoff = Backoff(latest)
    waits(backoff, 2)
    backoff.wait(200.0, retry_after=3.0)
    assert backoff.at == 207.0
    assert waits(backoff, 1) == [16]


def test_without_a_key_the_windows_are_short_near_completion() -> None:
    found, now, windows = pace(1000), 0.0, []
    while now < 1600:
        found.throttled(now, left=-1.0)
        windows.append((now, found.at - now - 1.0))
        now = found.at
    assert [window for _, window in windows[:5]] == [10, 20, 40, 80, 120]
    assert min(window for at, window in windows if 950 < at < 1050) < 20
    assert max(window for _, window in windows) == 120


def test_a_key_that_was_found_again_begins_anew() -> None:
    found = pace(1000)
    for now in (0.0, 20.0, 50.0):
        found.throttled(now, left=-1.0)
    found.complete()
    found.throttled(500.0, left=-1.0)
    assert found.at == 511.0


@pytest.mark.parametrize(
    ("left", "window"), [(2700, 1521), (2340, 1089), (1800, 576), (900, 81), (540, 10), (360, 10), (1, 10)]
)
def test_a_renewal_waits_for_less_the_less_time_it_has(left: float, window: float) -> None:
    found = pace(1000)
    found.throttled(0.0, left=left)
    assert found.at == pytest.approx(window + 1.0)


def test_a_demand_of_the_vault_is_always_honoured() -> None:
    found = Pace(lambda low, _: low, releases=1, lifetime=LIFETIME)
    found.throttled(10.0, left=1000.0, retry_after=37.0)
    assert found.at == 47.0
    found.throttled(50.0, left=-1.0)
    assert found.at == 51.0  # one release's time at least, so that nothing spins
    found.hold(40.0)
    assert found.at == 51.0
    found.hold(60.0)
    assert found.at == 60.0
