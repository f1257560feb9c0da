"""The two event logs as files: what cannot be read or locked is refused at once."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from cji_attestation import Fault
from cji_attestation.evidence.boot_logs import BootLogs
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
