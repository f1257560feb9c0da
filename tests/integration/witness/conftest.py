"""A trail, a folder and services for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.witness_kinds import Setting
from tests.support.witness_services import services
from tests.support.witness_trails import Trail


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with services(tmp_path) as found:
        yield Setting(folder=tmp_path, trail=Trail(path=tmp_path / "audit.log"), services=found)
