"""The front gives its user and its files away. Each case runs in a process of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from cji_simulator.view import let_others_reach_the_code
from cji_core.errors import StartupError
from cji_worker.front import server
from cji_worker.rights import FRONT
let_others_reach_the_code()
sys.path[:] = [folder for folder in sys.path if os.path.isdir(folder)] + sys.argv[2:]
try:
    folder = sys.argv[1]
    server._confine([folder], own_user=True, parent=os.getppid())
    print(os.getresuid() == (FRONT,) * 3, os.getgroups(), os.access(folder, os.W_OK))
except StartupError as error:
    print(error.what)
"""


def run(*folders: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="cji-") as own:
        os.chown(own, 0, 65533)
        os.chmod(own, 0o2770)
        command = [sys.executable, "-c", SCRIPT, own, *map(str, folders)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id")
def test_a_front_that_cannot_read_its_code_is_refused(tmp_path: Path) -> None:
    """At its start, and not when it first needs a module. In the group of the door's folder and in no other."""
    assert run() == "True [65533] True"
    tmp_path.chmod(0o700)
    assert run(tmp_path) == "The front's user cannot read the worker's code"
