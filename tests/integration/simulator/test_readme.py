"""The simulator's README says what is so: its Python runs, its commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cji_simulator.cli import main
from tests.support.paths import ROOT

README = ROOT / "simulator" / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^    cji-simulator (.*)$", README.read_text(), re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_o05_python(block: str, tmp_path: Path) -> None:
    (tmp_path / "test_my_app.py").write_text(block)
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in block else []
    command = [sys.executable, *runner, "test_my_app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", COMMANDS)
def test_o05_commands(line: str) -> None:
    """Parsed as they stand by the command that they name, down to the last option."""
    words = shlex.split(line.partition("#")[0])
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


def test_there_is_something_to_test() -> None:
    assert len(BLOCKS) == 2
    assert len(COMMANDS) == 10
