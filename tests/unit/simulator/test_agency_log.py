"""`cji-simulator log`: what it prints can be run as it stands; a log that is not there is an error with a remedy."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_simulator.log_cli import _show, log


def test_a_log_that_is_not_there_cannot_be_forked(tmp_path: Path) -> None:
    """Not a traceback."""
    done = CliRunner().invoke(log, ["fork", "--state", str(tmp_path)])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "there is no log in" in done.output
    assert "Start it: `cji-simulator log up`." in done.output


def test_the_printed_commands_name_the_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it they would look for the default state."""
    _show(tmp_path)
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    ours = [line for line in printed if line.startswith("cji-simulator ")]
    assert len(ours) == 5
    assert [line for line in ours if f" --state {tmp_path}" not in line] == []
    (forks,) = [line for line in ours if " log fork " in line]
    assert [line for line in printed if "packet verify" in line and "# status 3" not in line] == []
    assert forks.endswith(str(tmp_path))
