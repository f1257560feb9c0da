"""Words to the service manager: sent over a connection that is made at the start, or not at all."""

import socket
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_worker.notify import ServiceManager


def test_a_manager_that_cannot_be_reached_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with pytest.raises(StartupError, match="NOTIFY_SOCKET cannot be reached"):
        ServiceManager()


def test_a_manager_hears_what_is_sent_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after its address is gone: this process may open nothing by then."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        manager = ServiceManager()
        (tmp_path / "notify").unlink()
        manager.notify(READY="1", STATUS="serving")
        heard.settimeout(60)
        assert heard.recv(100) == b"READY=1\nSTATUS=serving"


def test_nobody_is_told_without_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert ServiceManager()._socket is None
