"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


_NO_VECTORS = "CJI_VECTORS does not name the vectors folder"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need real data are skipped, and counted, where CJI_VECTORS is not set."""
    if not os.environ.get("CJI_VECTORS"):
        for item in items:
            if item.get_closest_marker("vectors"):
                item.add_marker(pytest.mark.skip(reason=_NO_VECTORS))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of real data."""
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        pytest.skip(_NO_VECTORS)
    return Path(folder)
