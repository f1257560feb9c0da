"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of real data; tests that need it are skipped, and counted, where CJI_VECTORS is not set."""
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        pytest.skip("CJI_VECTORS does not name the vectors folder")
    return Path(folder)
