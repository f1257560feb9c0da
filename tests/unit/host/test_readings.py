"""Conditions of made-up machines: each that does not hold is found, by its name, and nothing else is."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cji_core.format.configuration.worker import load
from cji_worker.host import Answers, Finding, Host, HostReport, HostWatch, secret_mib
from tests.support.host_profile import host_folder
from tests.support.worker_configs import WORKER_CONFIG

GOOD = Answers(permitted=(), secret_memory=True, lockable_bytes=None)

SWAPPING = "Filename\n/dev/sda2 partition 1 0 -2\n"


class Clock:
    """A difference between two clocks that a test can change."""

    offset = 1_000_000.0

    def __call__(self) -> float:
        return self.offset


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    opened: list[Host] = []

    def make(*, answers: Answers = GOOD, files: dict[str, str] | None = None, **options: Any) -> Host:
        options = {"offset": Clock(), **options}
        opened.append(Host(root=host_folder(tmp_path, **(files or {})), answers=answers, **options))
        return opened[-1]

    yield make
    for host in opened:
        host.close()


def not_held(host: Host) -> dict[str, str]:
    return {each.id: each.found for each in host.read() if not each.held}


def test_a_good_machine_meets_everything(machine: Callable[..., Host]) -> None:
    findings = machine().read()
    assert all(each.held and each.found for each in findings)
    assert Finding(id="host-profile", held=True, found="cji-host-1") in findings


@pytest.mark.parametrize(
    ("file", "text", "condition"),
    [
        ("swaps", "Filename\n/dev/sda2 partition 1 0 -2\n", "swap"),
        ("swaps", "Filename\n/a file 1 0 -2\n/b file 1 0 -3\n", "swap"),
        ("core_pattern", "|/usr/share/apport/apport %p\n", "core-pattern"),
        ("core_pattern", "|/bin/falsehood\n", "core-pattern"),
        ("ptrace_scope", "0\n", "ptrace-scope"),
        ("ptrace_scope", "2\n", "ptrace-scope"),
        ("status", "Name:\tsystemd\nSeccomp:\t0\n", "host-profile"),
        ("status", "Name:\tSeccomp:\t2\nSeccomp:\t1\n", "host-profile"),
        ("cmdline", "root=/dev/sda1 lockdown=confidentiality\n", "host-profile"),
        ("cmdline", "init=/usr/lib/cji/host-profile.old lockdown=confidentiality\n", "host-profile"),
        ("lockdown", "none [integrity] confidentiality\n", "host-profile"),
        ("lockdown", "[none] integrity confidentiality\n", "host-profile"),
    ],
)
def test_a_file_with_another_value_is_found(machine: Callable[..., Host], file: str, text: str, condition: str) -> None:
    assert set(not_held(machine(files={file: text}))) == {condition}


@pytest.mark.parametrize("pattern", ["core\n", "\n", "/var/cores/%p\n", "|/usr/bin/false\n"])
def test_a_core_file_obeys_the_limit_of_its_process(machine: Callable[..., Host], pattern: str) -> None:
    assert not_held(machine(files={"core_pattern": pattern})) == {}


def test_pid_1_may_be_hidden(machine: Callable[..., Host], tmp_path: Path) -> None:
    """As by ProtectProc=invisible in the unit."""
    host = machine()
    (tmp_path / "proc/1/status").unlink()
    assert not_held(host) == {}


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        ("proc/swaps", "swap"),
        ("proc/sys/kernel/core_pattern", "core-pattern"),
        ("proc/sys/kernel/yama/ptrace_scope", "ptrace-scope"),
        ("proc/cmdline", "host-profile"),
        ("sys/kernel/security/lockdown", "host-profile"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_held(
    machine: Callable[..., Host], tmp_path: Path, path: str, condition: str
) -> None:
    host = machine()
    (tmp_path / path).unlink()
    assert set(not_held(host)) == {condition}


@pytest.mark.parametrize(
    ("answers", "condition", "found"),
    [
        (Answers(permitted=("bpf", "kcmp"), secret_memory=True, lockable_bytes=None), "host-profile", "bpf, kcmp"),
        (Answers(permitted=(), secret_memory=False, lockable_bytes=None), "secret-memory", "memfd_secret"),
        (Answers(permitted=(), secret_memory=True, lockable_bytes=99 << 20), "locked-memory", "RLIMIT_MEMLOCK is 99"),
    ],
)
def test_an_answer_of_the_kernel_is_found(
    machine: Callable[..., Host], answers: Answers, condition: str, found: str
) -> None:
    gaps = not_held(machine(answers=answers, secret_mib=100))
    assert set(gaps) == {condition}
    assert found in gaps[condition]


def test_enough_lockable_memory_is_enough(machine: Callable[..., Host]) -> None:
    exact = Answers(permitted=(), secret_memory=True, lockable_bytes=100 << 20)
    assert not_held(machine(answers=exact, secret_mib=100)) == {}


@pytest.mark.parametrize("step", [-3600.0, -6.0, 6.0, 3600.0])
def test_a_clock_that_is_set_is_found_until_it_is_right(machine: Callable[..., Host], step: float) -> None:
    clock = Clock()
    host = machine(offset=clock)
    clock.offset += step
    assert "clock-step" in not_held(host)
    clock.offset -= step - 1
    assert not_held(host) == {}


def test_files_stay_open_when_others_are_put_in_their_place(machine: Callable[..., Host], tmp_path: Path) -> None:
    """As under a mount over /proc, or in a process that may open nothing any more."""
    host = machine(files={"swaps": "Filename\n/dev/sda2 partition 1 0 -2\n"})
    assert set(not_held(host)) == {"swap"}
    (tmp_path / "fake").write_text("Filename\n")
    (tmp_path / "fake").rename(tmp_path / "proc/swaps")
    assert set(not_held(host)) == {"swap"}


def test_the_memory_of_references_and_cells_is_counted(tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    before = secret_mib(load(tmp_path / "worker.toml"))
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG + "\n[references]\nmax_references = 3\nmemory_mib = 64\n")
    assert secret_mib(load(tmp_path / "worker.toml")) == before + 192


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
