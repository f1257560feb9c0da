"""One worker can start in each boot of a machine: another start ends by name, on whose status systemd reboots."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from cji_core.errors import RebootError
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_simulator.worker import PROGRAM, Worker
from tests.support.paths import ROOT


def started_again(site: Site) -> tuple[int, str]:
    """The exit status of one more start on this machine, and its log."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, str(site.files.config)],
        input=msgspec.json.encode(site.simulation.trust),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode()


def test_x03_a_killed_worker_starts_again_after_a_reboot_only(azure: Simulation, tmp_path: Path) -> None:
    with open_site(tmp_path / "site", azure) as site:
        assert site.run(people(2)).receipt.claims.sequence == 1
        site.worker.process.kill()
        assert site.worker.process.wait(60) == -signal.SIGKILL
        status, log = started_again(site)
        assert status == RebootError.status
        (error,) = [line for line in map(json.loads, log.splitlines()) if line["event"] == "error"]
        assert error["what"] == "A worker has started in this boot before"
        assert error["remedy"].startswith("Reboot the VM")
        assert started_again(site)[0] == RebootError.status  # as often as it is tried
        site.worker.stop()  # its door
        site.simulation.reboot()
        with Worker(site.files.config, trust=site.simulation.trust, log=tmp_path / "again.log") as worker:
            again = Site(
                simulation=site.simulation, cmk=site.cmk, files=site.files, worker=worker, profile=site.profile
            )
            assert again.run(people(2)).receipt.claims.sequence == 2


def test_the_unit_reboots_on_this_status_and_no_other() -> None:
    unit = (ROOT / "deploy" / "systemd" / "cji-worker.service").read_text()
    lines = re.findall(r"^(FailureAction|RestartPreventExitStatus|StartLimitIntervalSec|Restart)=(.+)$", unit, re.M)
    assert dict(lines) == {
        "FailureAction": "reboot",  # which happens once the unit has failed: this status, and only this one, ends it
        "RestartPreventExitStatus": str(RebootError.status),
        "StartLimitIntervalSec": "0",
        "Restart": "on-failure",
    }
