"""The front gives its user and its files away. Each case runs in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from cji_simulator.view import let_others_reach_the_code
from worker.errors import StartupError
from worker.front import server
from worker.rights import FRONT
let_others_reach_the_code()
sys.path[:] = [folder for folder in sys.path if os.path.isdir(folder)] + sys.argv[1:]
try:
    server._confine(0, own_user=True)
    print(os.getresuid() == (FRONT,) * 3, os.getgroups())
except StartupError as error:
    print(error.what)
"""


def run(*folders: Path) -> str:
    command = [sys.executable, "-c", SCRIPT, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id")
def test_a_front_that_cannot_read_its_code_is_refused(tmp_path: Path) -> None:
    """At its start, and not when it first needs a module."""
    assert run() == "True []"
    tmp_path.chmod(0o700)
    assert run(tmp_path) == "The front's user cannot read the worker's code"
