"""`cji-simulator image` as a user runs it, on the build of this run: two boots, and a sealed job on the second."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cji_core.boot_codes import BootCode
from cji_deploy.image.boot_events import PREDICTED
from tests.image.conftest import BOOT_S
from tests.support.machine.built import Built

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(3600)]


def test_one_command_measures_the_image_and_runs_a_job(built: Built, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from cji_simulator.entry import main; main()", "image", str(built.raw.parent)]
    options = ["--json", "--folder", str(tmp_path / "own"), "--minutes", str(int(BOOT_S // 60))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    found = json.loads(done.stdout)
    assert (found["flavour"], found["as_predicted"]) == (built.build.flavour, True)
    values = {}
    for name in ("as_built", "simulated"):
        rows = {one["pcr"]: one for one in found[name]["pcrs"]}
        assert rows.keys() == set(range(16))
        assert {pcr for pcr, one in rows.items() if one["same"]} == set(PREDICTED)
        values[name] = {pcr: one["quoted"] for pcr, one in rows.items()}
    assert found["as_built"]["code"] in set(BootCode)
    differ = {pcr for pcr in PREDICTED if values["as_built"][pcr] != values["simulated"][pcr]}
    assert differ == {4, 7, 9, 11}
    assert (found["job"]["rows_in"], found["job"]["rows_out"]) == (100, 100)
    assert {"E19", "E49", "E61"} <= set(found["job"]["checks"])
    commands = [_command(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert [one for one in commands if str(tmp_path) in one] == []  # QEMU, the vTPM and the services are gone


def _command(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
