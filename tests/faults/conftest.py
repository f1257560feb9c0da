"""What the tests of faults share, and the figures that they print: nothing is asserted about time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench
from tests.support.simulations import simulated

FIGURE = "serving_s"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """Services of this module, which make a hardware report whenever one is read."""
    with simulated(tmp_path_factory.mktemp("faults") / "azure", release_limit=1000, report_period=0) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this module's worker."""
    return tmp_path_factory.mktemp("worker") / "site"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[Bench], None]:
    """Record how long the bench's worker took to serve again; it is printed at the end."""
    return lambda bench: record_property(FIGURE, bench.serving_s)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """For each test, how long it took until jobs were served after the end of its fault: median, worst and where."""
    by_test: dict[str, list[tuple[float, str]]] = {}
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, seconds in report.user_properties:
            if name == FIGURE and report.when == "call":
                test, _, case = report.nodeid.rpartition("::")[2].partition("[")
                by_test.setdefault(test, []).append((float(str(seconds)), case.rstrip("]")))
    for test, found in sorted(by_test.items()):
        worst, case = max(found)
        middle = median(seconds for seconds, _ in found)
        terminalreporter.write_line(f"SERVING again: {test}: median {middle:.2f} s, worst {worst:.2f} s ({case})")
