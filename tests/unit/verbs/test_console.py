"""`cji console` as an operator types it."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build


def console(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["console", *map(str, arguments)], catch_exceptions=False)


def test_the_help_teaches() -> None:
    shown = console("--help").output
    assert "cji console --config /etc/cji/console.toml" in shown
    assert "[monitor]" in shown


def test_root_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "console.toml").write_text('status_socket = "s"')
    found = console("--config", tmp_path / "console.toml")
    assert (found.exit_code, "this process is root" in found.output) == (2, True)
    assert "cji-console" in found.output


def test_a_bad_file_is_named_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "console.toml").write_text('status_socket = "s"\nlisten = ["0.0.0.0:80"]')
    found = console("--config", tmp_path / "console.toml")
    assert (found.exit_code, "not a loopback address" in found.output) == (2, True)
    assert "docs/console.md" in found.output
