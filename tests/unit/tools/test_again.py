"""What CI does with tests that failed beside others: few pass alone and are named, or the suite has failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# passes from the second run on
RACE = """
def test_race(request):
    seen = request.path.with_suffix(".seen")
    before = seen.exists()
    seen.touch()
    assert before
"""
BROKEN = "def test_broken():\n    assert False\n"


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def suite(folder: Path, *contents: str) -> subprocess.CompletedProcess[str]:
    """A suite of one file for each content, run, and what failed in it run again."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number, content in enumerate(contents):
        (folder / f"test_{number}.py").write_text(content)
    status = python(folder, "pytest", "-q", "-o", "cache_dir=.pytest_cache/quick").returncode
    return python(folder, "tools.again", "quick", str(status))


def test_a_test_that_passes_alone_is_named(tmp_path: Path) -> None:
    found = suite(tmp_path, RACE, RACE, RACE)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "UNSTEADY in quick, run again alone:\n  test_0.py::test_race\n" in found.stdout


@pytest.mark.parametrize(
    "contents", [(BROKEN,), (RACE, BROKEN), (RACE,) * 4], ids=["fails", "one of two", "four files"]
)
def test_all_else_has_failed(tmp_path: Path, contents: tuple[str, ...]) -> None:
    assert suite(tmp_path, *contents).returncode == 1


def test_a_suite_that_did_not_run_has_failed(tmp_path: Path) -> None:
    assert python(tmp_path, "tools.again", "quick", "1").returncode == 1


def test_a_suite_that_was_cut_short_has_failed(tmp_path: Path) -> None:
    """One test had failed by then, and would pass now. Others were never run."""
    assert suite(tmp_path, RACE, "def test_cut():\n    raise KeyboardInterrupt\n", BROKEN).returncode == 1
