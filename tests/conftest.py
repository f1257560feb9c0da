"""What every test may ask for."""

import os
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


_NO_VECTORS = "CJI_VECTORS does not name the vectors folder"
_WAITING = ("adversarial/worker", "faults", "integration")
"""Folders whose tests start processes and wait for them most of their time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files whose tests wait among those that compute, so that no processor is idle; skip what has no data.

    The order is the same in every run. Tests of real data are skipped, and counted, where CJI_VECTORS is not set.
    """
    files = [(path, list(tests)) for path, tests in groupby(items, key=lambda item: item.path)]
    groups: dict[bool, list[list[pytest.Item]]] = {True: [], False: []}
    for path, tests in files:
        folder = path.relative_to(Path(__file__).parent).as_posix()
        groups[folder.startswith(_WAITING)].append(tests)
    placed = [  # those that wait a little earlier, so that none is left alone at the end
        ((at + 1) / len(group) * (0.9 if waiting else 1.0), tests)
        for waiting, group in groups.items()
        for at, tests in enumerate(group)
    ]
    items[:] = [test for _, tests in sorted(placed, key=lambda each: each[0]) for test in tests]
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
