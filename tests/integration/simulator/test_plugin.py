"""The pytest plugin, as a tree that is not this one meets it."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from cji_simulator import Kind, Service


@pytest.fixture(scope="session")
def simulation_options():
    return {"tee": "tdx", "report_period": 0}


def test_options_are_the_trees_own(simulation):
    assert simulation.endpoints.tee == "tdx"


def test_orders_a_fault_and_leaves_it(simulation):
    simulation.fault(Service.MAA, Kind.DOWN)


def test_finds_no_fault(simulation):
    assert simulation.faults() == []


def test_has_one_of_its_own(simulation, fresh_simulation):
    assert fresh_simulation.endpoints.control_url != simulation.endpoints.control_url
    assert fresh_simulation.trust.intel_roots == simulation.trust.intel_roots
"""


def test_options_are_overridden_and_faults_end_with_their_test(tmp_path: Path) -> None:
    (tmp_path / "test_tree.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tree.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_session_that_asks_for_nothing_loads_no_worker(tmp_path: Path) -> None:
    (tmp_path / "test_tree.py").write_text("import sys\ndef test():\n    assert 'cji_client' not in sys.modules\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tree.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
