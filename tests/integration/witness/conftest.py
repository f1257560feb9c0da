"""A trail and a folder for each test; the services of a module, which forget everything in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.witness_kinds import Setting
from tests.support.witness_services import Services, services
from tests.support.witness_trails import Trail


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("services")) as found:
        yield found


@pytest.fixture
def setting(served: Services, tmp_path: Path) -> Setting:
    served.reset()
    return Setting(folder=tmp_path, trail=Trail(path=tmp_path / "audit.log"), services=served)
