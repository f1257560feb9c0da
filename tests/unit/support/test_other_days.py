"""Runs of the suite on other days: which days, and that every process has the day's clock."""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.other_days import DAYS, ZONE, on_day, when

NOW = datetime(2026, 11, 30, 4, 40, 12, tzinfo=UTC)
OTHER_PROCESSES = """
import os, subprocess, sys, time
asked = [sys.executable, "-c", "import time; print(int(time.time()), int(time.monotonic()))"]
print(int(time.time()), int(time.monotonic()), flush=True)
subprocess.run(asked, env={}, check=True)
subprocess.run(["/usr/bin/python3", *asked[1:]], env={}, user=65534, check=True)
print(subprocess.check_output(["/usr/bin/date", "+%s"], env={}, text=True).strip(), int(time.monotonic()))
"""


@pytest.mark.parametrize(
    ("day", "shown"),
    [
        ("+40d", "2027-01-09T04:40:12"),
        ("+400d", "2028-01-04T04:40:12"),
        ("monday", "2026-12-07T00:30:00"),
        ("saving", "2027-11-07T07:01:00"),
        ("new-year", "2026-12-31T23:50:00"),
        ("leap-day", "2028-02-29T12:00:00"),
        ("2031-05-01T08:00", "2031-05-01T08:00:00"),
    ],
)
def test_each_day_is_ahead(day: str, shown: str) -> None:
    assert when(day, NOW) == datetime.fromisoformat(shown).replace(tzinfo=UTC)


def test_the_hour_of_saving_is_there_twice() -> None:
    at = when("saving", NOW)
    before = at - timedelta(hours=1)
    assert at.astimezone(ZONE).replace(fold=0, tzinfo=None) == before.astimezone(ZONE).replace(fold=0, tzinfo=None)


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="tomorrow"):
        when("tomorrow", NOW)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("day", DAYS)
def test_every_process_has_the_clock_of_the_day(day: str, tmp_path: Path) -> None:
    """With an empty environment, as another user, and in another language; monotonic clocks go on."""
    expected, real = when(day, datetime.now(UTC)).timestamp(), time.monotonic()
    with (tmp_path / "output").open("w+b") as output:
        assert on_day(day, [sys.executable, "-c", OTHER_PROCESSES], tmp_path, output) == 0
        output.seek(0)
        lines = output.read().decode().splitlines()
    assert len(lines) == 4
    for line in lines:
        wall, monotonic = map(int, line.split())
        assert 0 <= wall + 1 - expected < 60
        assert 0 <= monotonic + 1 - real < 60
