"""One image for all boots of a run: CJI_IMAGE is the folder of a build and its keys; `make image-boot` makes both."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_simulator import Simulation
from cji_simulator.machine.guest import missing_packages
from tests.support.machine.built import Built

BOOT_S = float(os.environ.get("CJI_IMAGE_BOOT_SECONDS", "900"))
"""For each boot. Emulation is slow: minutes on two busy processors."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = os.environ.get("CJI_IMAGE", "")
    if not folder:
        pytest.skip("CJI_IMAGE names no build; make image-boot makes one and boots it")
    if os.geteuid() != 0:
        pytest.fail("no image can be booted: not root")
    if missing := missing_packages():
        pytest.fail(f"no image can be booted: not installed: {', '.join(missing)}")
    return Built.of(Path(folder), tmp_path_factory.mktemp("firmware"))


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with Simulation(tmp_path_factory.mktemp("azure")) as simulation:
        yield simulation
