"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of real data; tests that need it are skipped, and counted, where CJI_VECTORS is not set."""
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        pytest.skip("CJI_VECTORS does not name the vectors folder")
    return Path(folder)
