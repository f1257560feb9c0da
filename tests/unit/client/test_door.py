"""The door of the SDK: few names, and the README's program is typed against them."""

import re
import subprocess
import sys
from pathlib import Path

import cji_client
from tests.support.paths import ROOT


def program() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return str(block)


def test_door_leads_with_few_names_in_order() -> None:
    names = cji_client.__all__
    assert len(names) <= 25
    assert len(set(names)) == len(names)
    assert all(hasattr(cji_client, name) for name in names)


def test_readme_program_passes_mypy_strict(tmp_path: Path) -> None:
    """Checked outside the tree, as in an app: types come from the installed packages, by their `py.typed`."""
    (tmp_path / "app.py").write_text(program())
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
