"""The units of the engine let Dask start: below their system-call filters, with the /proc that they leave."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cji_engine.roles import Role
from tests.support.engine_tools import PYTHON, engine
from tests.support.paths import ROOT

SCHEDULER = ROOT / "deploy" / "systemd" / "cji-engine-scheduler.service"
_MOUNT = 'mount -t proc -o "$1" proc /proc && shift && exec "$@"'
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None
        or subprocess.run(["unshare", "--mount", "mount", "-t", "proc", "proc", "/proc"], check=False).returncode != 0,
        reason="no systemd-analyze, or mounts are denied",
    ),
]


def start(unit: Path, folder: Path) -> str:
    """What a scheduler prints that was started as in this unit, up to its address or its end."""
    subset = re.findall(r"(?m)^ProcSubset=(\w+)$", unit.read_text())
    options = "hidepid=invisible" + (",subset=pid" if subset == ["pid"] else "")
    with engine(folder) as made:
        files = made.files(Role.SCHEDULER, "main")
        own = [str(PYTHON), "-m", "cji_engine", "scheduler", *files, "--port", "0"]
        below = [sys.executable, "-m", "tests.support.unit_filter", str(unit), *own]
        command = ["unshare", "--mount", "bash", "-c", _MOUNT, "bash", options, *below]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "PYTHONPATH": f"{ROOT / 'engine'}:{ROOT}"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
        ) as process:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if line.startswith("tls://"):
                    break
            process.kill()
    return printed


def test_the_scheduler_starts_as_its_unit_says(tmp_path: Path) -> None:
    assert re.search(r"(?m)^tls://", start(SCHEDULER, tmp_path))


def test_it_does_not_without_the_size_of_the_memory(tmp_path: Path) -> None:
    unit = tmp_path / SCHEDULER.name
    unit.write_text(SCHEDULER.read_text().replace("ProcSubset=all", "ProcSubset=pid"))
    assert "/proc/meminfo" in start(unit, tmp_path)
