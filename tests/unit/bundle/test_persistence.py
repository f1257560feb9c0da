"""A machine's waits for its bundle, and the codes that it shows meanwhile."""

import json
import re
import stat
from pathlib import Path

import pytest

from cji_attestation import AttestationError, Fault
from cji_attestation.bundle.errors import BundleRefused
from cji_core.boot_codes import BOOT_CODES, BootCode
from cji_core.errors import StartupError
from cji_worker.bundle import persistence
from cji_worker.bundle.persistence import AGAIN_S, Pauses, Shown, boot_code, persist
from tests.support.paths import ROOT


def longest(low: float, high: float) -> float:
    assert low <= high
    return high


def test_an_outage_is_outwaited_in_growing_windows() -> None:
    pauses = Pauses(longest)
    waits = [pauses.after(BootCode.AWAY) for _ in range(40)]
    assert waits[:8] == [2, 3, 5, 9, 17, 33, 61, 61]
    assert set(waits[8:]) == {61}
    assert [Pauses(lambda low, _: low).after(code) for code in (BootCode.AWAY, BootCode.ABSENT)] == [1, 1]


def test_a_refused_bundle_is_polled_slowly() -> None:
    pauses = Pauses(longest)
    for code in BootCode:
        if BOOT_CODES[code].refused:
            assert pauses.after(code) == 360
            assert Pauses(lambda low, _: low).after(code) == 240
    for _ in range(9):
        pauses.after(BootCode.DENIED)
    pauses.after(BootCode.SIGNATURE)
    assert pauses.after(BootCode.DENIED) == 2  # another failure, from the first window


def test_machines_that_start_together_ask_apart() -> None:
    firsts = set[float]()
    for _ in range(50):
        pauses = Pauses()
        firsts |= {round(pauses.after(BootCode.AWAY), 6) for _ in range(6)}
    assert len(firsts) > 250


def test_each_failure_has_a_code_of_the_closed_set(tmp_path: Path) -> None:
    failures: dict[Exception, BootCode] = {
        BundleRefused("a.bundle holds SECRET", "Do x."): BootCode.UNUSABLE,
        BundleRefused("x", "y", boot_code=BootCode.SERIAL): BootCode.SERIAL,
        AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="user-data"): BootCode.NO_USER_DATA,
        AttestationError(Fault.CONFIG_INVALID, check="bundle-applied"): BootCode.ANOTHER,
        AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="tpm-open"): BootCode.TPM,
        AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="pcr-extend"): BootCode.TPM,
        AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="event-log"): BootCode.TPM,
        AttestationError(Fault.EVIDENCE_INVALID, check="event-log"): BootCode.MACHINE,
        StartupError("nginx is SECRET", "Do x."): BootCode.MACHINE,
        ValueError("SECRET"): BootCode.MACHINE,
    }
    assert {boot_code(error): code for error, code in failures.items()} == {code: code for code in failures.values()}
    assert set(BOOT_CODES) == set(BootCode)


def test_what_is_shown_is_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now, file = [0.0], tmp_path / "code"
    shown = Shown(file, clock=lambda: now[0])
    for _ in range(3):
        shown.failed(BootCode.AWAY)
    assert (file.read_text(), oct(stat.S_IMODE(file.stat().st_mode))) == ("bundle-away\n", "0o644")
    shown.failed(BootCode.DENIED)
    now[0] = AGAIN_S
    shown.failed(BootCode.DENIED)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["check"] for line in lines] == ["bundle-away", "bundle-denied", "bundle-denied"]
    assert all(line["remedy"] == BOOT_CODES[line["check"]].remedy for line in lines)
    shown.over()
    assert not file.exists()
    Shown(tmp_path / "absent" / "code").failed(BootCode.AWAY)  # what cannot be shown is tried all the same


def test_there_is_no_last_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, left = list[float](), [500]
    monkeypatch.setattr(persistence, "sleep", waits.append)

    def attempt() -> str:
        left[0] -= 1
        if left[0]:
            raise BundleRefused("x", "y", boot_code=BootCode.AWAY)
        return "done"

    assert persist(attempt, Shown(tmp_path / "code")) == "done"
    assert len(waits) == 499
    assert sum(waits) > 3600


@pytest.mark.parametrize("fault", [ValueError, OSError, RecursionError, MemoryError])
def test_a_fault_of_the_program_is_no_last_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: type[Exception]
) -> None:
    codes, waits = list[str](), list[float]()

    def sleep(seconds: float) -> None:
        codes.append((tmp_path / "code").read_text())
        waits.append(seconds)

    def attempt() -> str:
        if len(waits) < 2:
            raise fault("SECRET")
        return "done"

    monkeypatch.setattr(persistence, "sleep", sleep)
    assert persist(attempt, Shown(tmp_path / "code")) == "done"
    assert codes == ["bundle-machine\n"] * 2
    shown = capsys.readouterr().err
    assert "SECRET" not in shown
    lines = [json.loads(line) for line in shown.splitlines()]
    assert [line["event"] for line in lines] == ["fault", "no bundle in force", "fault"]
    assert [line["error"] for line in lines if line["event"] == "fault"] == [fault.__name__] * 2


def test_the_page_has_every_code() -> None:
    page = (ROOT / "docs" / "bundle.md").read_text()
    found = re.findall(r"^\| `(bundle-[a-z-]+)` \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert found == [
        (code, info.what, "about 5 minutes" if info.refused else "1 to 61 s", info.remedy)
        for code, info in BOOT_CODES.items()
    ]
