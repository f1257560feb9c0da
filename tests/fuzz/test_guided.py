"""Guided runs follow coverage: what blind damage cannot find, they find, keep and report."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")

PLANTED = """
import sys
import atheris
from tests.fuzz import guided
from tests.fuzz.engine import Target

@atheris.instrument_func
def read(data):
    at = 0
    for sign in b"guided":
        if data[at:at + 1] != bytes([sign]):
            return at
        at += 1
    raise KeyError("found")

guided.TARGETS = (
    Target(name="planted", corpus=lambda: (b"sound",), read=read, refusals=(), fair=lambda data, value: True),
)
sys.exit(guided.main(["--seconds", "240", "--processes", "1", "--seed", "7"]))
"""


@pytest.mark.slow
def test_six_bytes_are_found_one_by_one(tmp_path: Path) -> None:
    """Blind damage would need 2 ** 48 inputs."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/simulator'}"}
    ran = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    (kept,) = (tmp_path / "build/fuzz").iterdir()
    assert ran.returncode == 1, ran.stderr
    assert kept.read_bytes().startswith(b"guided")
    assert "failed: foreign KeyError" in ran.stdout
    assert f"python -m tests.fuzz --target planted --file build/fuzz/{kept.name}" in ran.stdout
