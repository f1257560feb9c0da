"""One agency for each file of drills; the times of all steps are printed at the end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runbook_drill import Agency, agency_of, drill_table, write_times


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    with agency_of(tmp_path_factory.mktemp("rb")) as found:
        yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the times, and write them to the file that CJI_DRILL_TIMES names."""
    if table := list(drill_table()):
        terminalreporter.section("runbooks: time of each step")
        terminalreporter.write_line("\n".join(table))
    if table and (file := os.environ.get("CJI_DRILL_TIMES")):
        write_times(Path(file))
