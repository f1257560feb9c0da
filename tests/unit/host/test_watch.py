"""A change of a condition is reported once and logged once, both ways."""

import json
from pathlib import Path

import pytest

from cji_worker.host import Answers, Host, HostReport, HostWatch
from tests.support.host_profile import host_folder

GOOD = Answers(permitted=(), secret_memory=True, lockable_bytes=None)
SWAPPING = "Filename\n/dev/sda2 partition 1 0 -2\n"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.host.readings.EVERY_S", 0.0)


def test_a_change_is_reported_and_logged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host = Host(root=host_folder(tmp_path), answers=GOOD)
    watch = HostWatch(host)
    assert watch.report == HostReport(not_held=(), profile="cji-host-1")
    swaps = tmp_path / "proc/swaps"
    good = swaps.read_text()
    reports = []
    for text in (good, SWAPPING, SWAPPING, good, good):
        swaps.write_text(text)
        reports.append(watch.changed())
    bad = HostReport(not_held=("swap",), profile="cji-host-1")
    assert reports == [None, bad, None, HostReport(not_held=(), profile="cji-host-1"), None]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["check"]) for line in lines] == [
        ("host condition not met", "swap"),
        ("host condition met", "swap"),
    ]
    assert "swapoff" in lines[0]["remedy"]
    host.close()


def test_a_profile_that_is_not_held_has_no_name(tmp_path: Path) -> None:
    host = Host(root=host_folder(tmp_path, lockdown="[none]\n"), answers=GOOD)
    assert HostWatch(host).report == HostReport(not_held=("host-profile",), profile="none")
    host.close()


def test_readings_are_not_made_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.host.readings.EVERY_S", 60.0)
    host = Host(root=host_folder(tmp_path), answers=GOOD)
    watch = HostWatch(host)
    (tmp_path / "proc/swaps").write_text(SWAPPING)
    assert watch.changed() is None
    host.close()
