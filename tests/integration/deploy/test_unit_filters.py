"""A process confines itself below the system-call filter of its own unit, which systemd has installed before."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNITS = ROOT / "deploy" / "systemd"
BESIDE = "from cji_worker.service_rights import confine; confine(read=(), write=(), urls=('https://a.example',))"
BROKER = "from cji_worker.broker.__main__ import _confine; _confine()"
pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def confined(unit: Path, code: str) -> bool:
    command = [
        sys.executable,
        "-m",
        "tests.support.unit_filter",
        str(unit),
        sys.executable,
        "-c",
        f"{code}; print('done')",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    return bool(done.stdout == "done\n")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cji-broker.service", BROKER),
        ("cji-audit.service", BESIDE),
        ("cji-fleet.service", BESIDE),
        ("cji-console.service", BESIDE),
    ],
)
def test_a_unit_permits_what_its_process_does(tmp_path: Path, name: str, code: str) -> None:
    assert confined(UNITS / name, code)
    (tmp_path / name).write_text((UNITS / name).read_text().replace("SystemCallFilter=capset\n", ""))
    assert not confined(tmp_path / name, code)
