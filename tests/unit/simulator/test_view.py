"""Root's code shown to other users, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
from cji_simulator import view
from cji_core.manifest import import_folders
home = Path(sys.argv[1])
view.import_folders = lambda: (*import_folders(), home / "code")
view.let_others_reach_the_code()
print(*sorted(os.listdir(home)), os.readlink(home / "link"), (home / "file").read_text())
os.setresuid(*[12001] * 3)
print((home / "code" / "module.py").read_text(), os.access(home / "file", os.R_OK))
try:
    os.listdir(home)
except PermissionError:
    print("entered, not listed")
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_others_reach_the_code_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "code").mkdir(parents=True)
    (home / "code" / "module.py").write_text("code")
    (home / "file").write_text("secret")
    (home / "file").chmod(0o600)
    (home / "link").symlink_to("file")
    home.chmod(0o700)
    command = [sys.executable, "-c", SCRIPT, str(home)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert done.stdout.splitlines() == ["code file link file secret", "code False", "entered, not listed"], done.stderr
    assert home.stat().st_mode & 0o777 == 0o700
