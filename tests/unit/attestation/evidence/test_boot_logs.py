"""The two event logs as files: what cannot be read or locked is refused at once."""

import errno
import fcntl
import os
import resource
import stat
import time
from pathlib import Path

import pytest

from cji_attestation import Fault
from cji_attestation.evidence.boot_logs import BootLogs, append_measured, whole_userspace_log, writing
from tests.support.refusals import rejected


def test_a_log_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)  # reading a folder fails
    try:
        with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
            BootLogs(firmware=fd).read()
    finally:
        os.close(fd)
    assert BootLogs().read() == (b"", b"")


def test_a_log_that_cannot_be_locked_is_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    def sleep(seconds: float) -> None:
        raise AssertionError("waited")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(time, "sleep", sleep)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE), BootLogs(userspace=fd).locked():
            pass
    finally:
        os.close(fd)


def test_a_record_is_appended_behind_its_measurement(tmp_path: Path) -> None:
    path, seen = tmp_path / "measure" / "log", list[bytes]()
    with writing(str(path)) as log:
        append_measured(log, lambda: seen.append(path.read_bytes()), b"first")
        append_measured(log, lambda: seen.append(path.read_bytes()), b" second")
        assert whole_userspace_log(log) == b"first second"
    assert seen == [b"", b"first"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_written_behind_a_measurement_without_record(tmp_path: Path) -> None:
    def fails() -> None:
        raise LookupError

    path = tmp_path / "log"
    with writing(str(path)) as log:
        append_measured(log, lambda: None, b"first")
        with pytest.raises(LookupError):
            append_measured(log, fails, b"second")
    with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE), writing(str(path)):
        pass
    assert path.read_bytes() == b"first"


def test_a_log_that_is_a_link_is_not_written(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "log"
    other.write_bytes(b"")
    path.symlink_to(other)
    with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE), writing(str(path)):
        pass


def test_a_record_that_is_cut_short_leaves_its_mark(tmp_path: Path) -> None:
    path, before = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    with writing(str(path)) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
        try:
            with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
                append_measured(log, lambda: None, b"record")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"reco"
    assert path.stat().st_mode & stat.S_ISVTX
