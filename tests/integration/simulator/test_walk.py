"""The tester's walk: the README's commands in order, as they stand, against one `cji-simulator up`."""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_simulator.cli import main
from tests.support.paths import ROOT

README = ROOT / "simulator" / "README.md"
PROGRAM = [sys.executable, "-c", "from cji_simulator.entry import main; main()"]
BY_HAND = README.read_text().partition("\n## By hand\n")[2].partition("\n## ")[0]
FIRST, *COMMANDS = re.findall(r"^    cji-simulator ([^#\n]*[^#\s])", BY_HAND, re.MULTILINE)
PRINTED = {
    "status": ["worker-1 at 127.0.0.1:", "none"],
    "cji job run": ["receipt"],
    "fault set maa wrong-nonce": ["worker: not attested: TOKEN_INVALID, T12"],
    "fault list": ["until cleared"],
    "fault clear": ["worker: attested", "worker: released"],
    "fault set vault status": ["worker: not released: RELEASE_THROTTLED, vault-429"],
    "fault reboot": ["the worker serves in the new boot"],
    "reset": ["everything is as after"],
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the commands run: the README's paths, and one that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "examples").symlink_to(ROOT / "examples")
        yield Path(name)


def ran(line: str) -> str:
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == 0, (line, result.output)
    return result.output


@pytest.mark.timeout(600)
def test_the_testers_walk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    began = time.monotonic()
    assert FIRST == "up"
    with subprocess.Popen([*PROGRAM, *shlex.split(FIRST)], cwd=folder, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        try:
            shown = ""
            while "Running" not in shown:
                line = up.stdout.readline()
                assert line, "it ended"
                shown += line
            profile = folder / ".demo" / "worker" / "client" / "client.toml"
            assert str(profile.relative_to(folder)) in shown
            target = profile.read_text().splitlines()[0]
            left = dict(PRINTED)
            for command in COMMANDS:
                output = ran(command)
                (key,) = [key for key in left if command.startswith(key)]
                for words in left.pop(key):
                    assert words in output, (command, output)
            assert not left
            assert profile.read_text().splitlines()[0] == target  # after the reset, on the same port
        finally:
            up.terminate()
        assert up.wait(60) == 0
    print(f"the tester's walk took {time.monotonic() - began:.0f} s")
    assert not (folder / ".demo" / "endpoints.json").exists()
