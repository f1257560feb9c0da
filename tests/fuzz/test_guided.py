"""Guided runs follow coverage: they find what blind damage cannot, keep it and name it, whatever ended its process."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")

PLANTED = """
import contextlib, os, signal, sys
import atheris
atheris.instrument_imports = lambda **_: contextlib.nullcontext()  # these targets read by no code of ours
from tests.fuzz import guided
from tests.fuzz.engine import Target

guided.STUCK_SECONDS = 2.0

@atheris.instrument_func
def planted(data):
    at = 0
    for sign in b"guided":
        if data[at:at + 1] != bytes([sign]):
            return at
        at += 1
    raise KeyError("found")

def dies(data):
    if data == b"die":
        os.kill(os.getpid(), signal.SIGKILL)

def spins(data):
    while data == b"spin":
        pass

guided.TARGETS = tuple(
    Target(name=read.__name__, corpus=lambda one=one: (b"sound", one), read=read, refusals=(), fair=lambda *_: True)
    for read, one in ((planted, b"another"), (dies, b"die"), (spins, b"spin"))
)
sys.exit(guided.main(["--seconds", "240", "--processes", "3", "--seed", "7"]))
"""
ENDS = {
    "planted": "failed: foreign KeyError",
    "dies": "its process ended with -9",
    "spins": "an input took more than 2 s of a processor",
}


@pytest.mark.slow
def test_six_bytes_are_found_one_by_one_and_each_end_is_named(tmp_path: Path) -> None:
    """Blind damage would need 2 ** 48 inputs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1, ran.stderr
    kept = {path.name.partition("-")[0]: path for path in (tmp_path / "build/fuzz").iterdir()}
    assert kept["planted"].read_bytes().startswith(b"guided")
    assert (kept["dies"].read_bytes(), kept["spins"].read_bytes()) == (b"die", b"spin")
    _, _, said = ran.stdout.partition("These targets failed:\n")
    for name, why in ENDS.items():
        again = f"    python -m tests.fuzz --target {name} --file build/fuzz/{kept[name].name}"
        assert re.search(f"  {name}: {why}[^\n]*\n{re.escape(again)}\n", said), said


def test_targets_that_run_at_once_have_folders_of_their_own() -> None:
    """Two readers of `people.csv` would otherwise read each other's input."""
    program = """
import os
from tests.fuzz.worker_targets import folder
print(folder(), flush=True)
if os.fork() == 0:
    print(folder(), flush=True)
    os._exit(0)
os.wait()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    one, other = map(Path, ran.stdout.split())
    assert one != other
    one.rmdir()
    other.rmdir()
