"""What becomes of a trail whose disk fails under it, and of one that somebody changes meanwhile."""

import errno
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cji_core.errors import Reason, Refusal, StartupError
from cji_core.trail import TailRecovered, read, verify_chain
from cji_worker.trail.file import ATTEMPTS, AuditFile
from cji_worker.trail.replay_ledger import JobState
from tests.support.audit_events import admitted, completed, ended, ledger_of, opened
from tests.support.refusals import refused

HEADER = b"\x02" * 48
LIMIT = 64 * 1024


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def permit() -> Iterator[Callable[[int], None]]:
    """Sets the largest size that a file may have."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _until_full(trail: AuditFile, *, first: int = 1) -> int:
    """Append until it fails; returns the number of the job that was not admitted."""
    for number in range(first, 1000):
        try:
            trail.append(admitted(_id(number), HEADER))
        except Refusal:
            return number
    raise AssertionError("never full")


def _kinds(path: Path) -> list[str]:
    return [type(read(line).event).__name__ for line in path.read_bytes().splitlines(keepends=True)]


def _broken_fsync(_: int) -> None:
    raise OSError(errno.EIO, "the disk is gone")


def test_x09_a_full_disk_is_left_when_there_is_room(path: Path, permit: Callable[[int], None]) -> None:
    with opened(path) as trail:
        trail.append(admitted(_id(0), HEADER))
        number = 1
        while path.stat().st_size < LIMIT:  # and so the ledger has room
            trail.append(admitted(_id(number), HEADER))
            number += 1
        permit(path.stat().st_size + 16)  # less than any line needs
        lost = _until_full(trail, first=number)
        for _ in range(2 * ATTEMPTS):  # a full disk is waited for
            trail.maintain()
            assert not trail.writable()
        data = path.read_bytes()
        assert data.endswith(b"\n")
        permit(4 * LIMIT)
        trail.maintain()
        assert trail.writable()
        assert trail.entry(_id(lost)) is None
        trail.append(completed(_id(0), HEADER))
    assert path.read_bytes().startswith(data)
    assert _kinds(path)[lost:] == ["TailRecovered", "JobCompleted"]
    with opened(path) as trail:
        assert trail.head == verify_chain(path.read_bytes().splitlines(keepends=True))


def test_x09_a_torn_line_is_cut_and_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as trail:
        trail.append(admitted(_id(1), HEADER))
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", _broken_fsync)
            patched.setattr(os, "ftruncate", lambda *_: None)
            with refused(Reason.AUDIT_UNAVAILABLE):
                trail.append(completed(_id(1), HEADER))
        assert path.read_bytes().count(b"\n") == 2  # written, but never acknowledged
        trail.maintain()
        trail.append(ended(_id(1), HEADER))
    assert _kinds(path) == ["JobAdmitted", "TailRecovered", "JobEnded"]
    event = read(path.read_bytes().splitlines(keepends=True)[1]).event
    assert isinstance(event, TailRecovered)
    assert event.cut_bytes > 0


def test_x09_a_disk_that_keeps_failing_ends_the_worker(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as trail, monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _broken_fsync)
        with refused(Reason.AUDIT_UNAVAILABLE):
            trail.append(admitted(_id(1), HEADER))
        for _ in range(ATTEMPTS - 1):
            trail.maintain()
        with refused(Reason.AUDIT_UNAVAILABLE) as caught:
            trail.maintain()
        assert isinstance(caught.value, StartupError)
        assert "EIO" in caught.value.what


def test_events_owed_are_written_after_a_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as trail:
        trail.append(admitted(_id(1), HEADER))
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", _broken_fsync)
            with refused(Reason.AUDIT_UNAVAILABLE):
                trail.append(completed(_id(1), HEADER))
            assert not trail.record(ended(_id(1), HEADER))
        trail.maintain()
        entry = trail.entry(_id(1))
        assert entry is not None
        assert entry.state is JobState.ENDED
    assert _kinds(path) == ["JobAdmitted", "TailRecovered", "JobEnded"]


def _deleted(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.touch(mode=0o600)
    path.write_bytes(data)


def _extended(path: Path) -> None:
    with path.open("ab") as stranger:
        stranger.write(b"x")


def _shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _altered(path: Path) -> None:
    """Of the same length; noticed when the file is read again."""
    data = path.read_bytes()
    path.write_bytes(data.replace(b"op-17", b"op-18") + b"x")
    os.truncate(path, len(data) + 1)


@pytest.mark.parametrize("change", [_deleted, _replaced, _extended, _shortened, _altered])
def test_a_trail_that_is_changed_meanwhile_is_final(path: Path, change: Callable[[Path], None]) -> None:
    with opened(path) as trail:
        trail.append(admitted(_id(1), HEADER))
        change(path)
        data = path.read_bytes() if path.exists() else b""
        assert not trail.writable()
        with refused(Reason.AUDIT_UNAVAILABLE):
            trail.append(completed(_id(1), HEADER))
        with refused(Reason.AUDIT_UNAVAILABLE) as caught:
            for _ in range(ATTEMPTS):
                trail.maintain()
        assert isinstance(caught.value, StartupError)
        assert (path.read_bytes() if path.exists() else b"") == data


def test_a_ledger_that_fails_follows_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is on disk, so it counts; nothing is decided from a ledger that lacks it."""
    with opened(path) as trail:
        trail.append(admitted(_id(1), HEADER))
        trail._ledger._database.execute("PRAGMA query_only = ON")
        trail.append(completed(_id(1), HEADER))
        assert not trail.writable()
        trail.maintain()
        assert trail.writable()
        assert trail.completion(_id(1)) == completed(_id(1), HEADER)
    assert _kinds(path) == ["JobAdmitted", "JobCompleted", "TailRecovered"]


def test_a_damaged_ledger_is_named_and_built_again(path: Path) -> None:
    with opened(path) as trail:
        trail.append(admitted(_id(1), HEADER))
    for damage in (b"x" * 8192, ledger_of(path).read_bytes()[:5000] + b"x" * 20_000):
        ledger_of(path).write_bytes(damage)
        with refused(Reason.AUDIT_UNAVAILABLE) as caught:
            opened(path)
        assert isinstance(caught.value, StartupError)
        assert "damaged" in caught.value.what
        assert f"Move {ledger_of(path).name}" in caught.value.remedy
        ledger_of(path).unlink()
        with opened(path) as trail:
            assert trail.unfinished() == (admitted(_id(1), HEADER),)


def test_a_ledger_in_use_starts_no_second_worker(path: Path) -> None:
    opened(path).close()
    other = sqlite3.connect(ledger_of(path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with refused(Reason.AUDIT_UNAVAILABLE) as caught:
            opened(path)
        assert "SQLITE_BUSY" in getattr(caught.value, "what", "")
    finally:
        other.close()
