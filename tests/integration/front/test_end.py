"""A front whose neighbour has gone ends with 1, and prints nothing but its log."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from cji_simulator.processes import ended
from cji_simulator.raw import RawWorker, forge, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site
from tests.adversarial.peers.stopped_process import stopped


@pytest.mark.parametrize("victim", ["keyholder", "supervisor"])
@pytest.mark.parametrize("busy", [False, True])
def test_a_front_without_its_neighbour_prints_no_traceback(
    azure: Simulation, tmp_path: Path, victim: str, busy: bool
) -> None:
    with open_site(tmp_path / "site", azure) as site:
        settled(site)
        front = site.worker.pids["front"]
        with RawWorker.of(site) as raw, raw.stream() as stream:
            if busy:
                assert stream.begin(forge(site).open()).WhichOneof("message") == "accepted"
            # a supervisor that runs would kill the front before it could print
            with stopped(site.worker.pids["supervisor"]):
                os.kill(site.worker.pids[victim], signal.SIGKILL)
                until(partial(ended, front))
        printed = [line for line in site.worker.log.read_text().splitlines() if not line.startswith("{")]
        assert printed == []
