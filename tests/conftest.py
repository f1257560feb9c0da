"""What every test may ask for."""

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.drill_times import collect, drill_table, write_times
from tests.support.run_folder import FOLDER, new_folder

# how long an example takes says more about the machine than about the code
settings.register_profile("no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no deadline")


_NO_VECTORS = "CJI_VECTORS does not name the vectors folder"
_WAITING = ("adversarial/worker", "faults", "integration")
"""Folders whose tests start processes and wait for them most of their time."""
SUITES = {
    "drills": ("integration/runbooks", "integration/upgrade"),
    "faults": ("faults",),
    "image": ("image",),
    "parts": ("integration/engine", "integration/fleet", "integration/tasks"),
    "starts": ("adversarial/worker",),
}
"""The slow suites: the marker that tests below these folders get. `make NAME` runs them, `make test` all others."""
_FORKING = "fuzz"
"""Its readers run in forks, so it comes first, before threads of gRPC and of Arrow exist in a process."""


def pytest_configure(config: pytest.Config) -> None:
    """One folder for all processes of this run."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = str(new_folder())
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(FOLDER)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays, so no look for garbage is worth its time: neither now nor in any test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A run of one slow suite reads no other file, and a run without it none of its own: all take half a minute."""
    name = collection_path.relative_to(Path(__file__).parent).as_posix()
    wanted = " ".join(config.option.markexpr.split()).split(" and ")
    if any(name.startswith(SUITES[suite]) for suite in SUITES if f"not {suite}" in wanted):
        return True
    (suite, *more) = wanted
    if suite in SUITES and not more:
        return not any(name.startswith(place) or place.startswith(f"{name}/") for place in SUITES[suite]) or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files whose tests wait among those that compute, so that no processor is idle; skip what has no data.

    Slow suites get their markers. The order is the same in every run. Tests of real data are skipped, and counted,
    where CJI_VECTORS is not set.
    """
    files = [(path, list(tests)) for path, tests in groupby(items, key=lambda item: item.path)]
    groups: dict[str, list[list[pytest.Item]]] = {"forks": [], "waits": [], "computes": []}
    for path, tests in files:
        name = path.relative_to(Path(__file__).parent).as_posix()
        for suite in (suite for suite, places in SUITES.items() if name.startswith(places)):
            for test in tests:
                test.add_marker(suite)
        kind = "forks" if name.startswith(_FORKING) else "waits" if name.startswith(_WAITING) else "computes"
        groups[kind].append(tests)
    last = {"forks": 0.0, "waits": 0.9, "computes": 1.0}  # none that waits is left alone at the end
    placed = [
        ((at + 1) / len(group) * last[kind], tests) for kind, group in groups.items() for at, tests in enumerate(group)
    ]
    items[:] = [test for _, tests in sorted(placed, key=lambda each: each[0]) for test in tests]
    if not os.environ.get("CJI_VECTORS"):
        for item in items:
            if item.get_closest_marker("vectors"):
                item.add_marker(pytest.mark.skip(reason=_NO_VECTORS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the times of the steps of runbooks, and write them to the file that CJI_DRILL_TIMES names."""
    collect(report for reports in terminalreporter.stats.values() for report in reports)
    if table := list(drill_table()):
        terminalreporter.section("runbooks: time of each step")
        terminalreporter.write_line("\n".join(table))
    if table and (file := os.environ.get("CJI_DRILL_TIMES")):
        write_times(Path(file))


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sealed results that a command keeps do not go to the state folder of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of real data."""
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        pytest.skip(_NO_VECTORS)
    return Path(folder)
