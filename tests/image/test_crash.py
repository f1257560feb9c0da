"""A worker that is killed on the booted image: the machine reboots before a start in vain, and serves again."""

from pathlib import Path

import pytest

from cji_simulator import Simulation
from tests.image.conftest import BOOT_S
from tests.support.machine.built import Built
from tests.support.machine.crash import crashed

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]


def test_a_killed_worker_serves_after_a_reboot(built: Built, azure: Simulation, tmp_path: Path) -> None:
    found = crashed(built, azure, tmp_path, seconds=BOOT_S)
    print(f"crash to serving: {found.to_serving_s:.1f} s, of these {found.to_kernel_s:.1f} s until the kernel ran")
    assert (found.first["served"], found.first["again"]) == (True, False), found.first["journal"][-6000:]
    assert (found.again["served"], found.again["again"]) == (True, True), found.again["journal"][-6000:]
