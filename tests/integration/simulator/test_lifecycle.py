"""Servers start and end with whoever started them, and the files they write are what the worker reads."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from cji_client.profile import load_profile
from cji_core.format.configuration.worker import load
from cji_core.format.job.policy import Policy
from cji_simulator import Kind, Service, Simulation, SimulationError
from cji_simulator.cli import main
from cji_simulator.launch import Agency, worker_config
from cji_simulator.ports import free_port
from cji_simulator.processes import children, ended
from cji_simulator.raw import until

STARTER = """
import sys, time
from pathlib import Path
from cji_simulator import Simulation
simulation = Simulation(Path(sys.argv[1]))
simulation.begin()
begun = simulation._process.pid
simulation.start()
assert simulation._process.pid == begun
print(simulation._process.pid, flush=True)
time.sleep(60)
"""


def wait_for_end(processes: list[int]) -> None:
    until(lambda: all(map(ended, processes)), seconds=30)


def test_nothing_outlives_a_killed_starter(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        server = int(starter.stdout.readline())
        mine = [server, *children(server)]
        assert len(mine) == 2  # the servers and swtpm
        starter.send_signal(signal.SIGKILL)
    wait_for_end(mine)


def test_stop_twice_and_start_again(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    with simulation:
        first = simulation.trust
    simulation.stop()
    with pytest.raises(SimulationError, match="not started"):
        _ = simulation.endpoints
    assert not (tmp_path / "endpoints.json").exists()
    with simulation:
        assert simulation.trust.amd_roots == first.amd_roots
        assert simulation.endpoints.maa_url != first.maa_hosts[0]


def test_a_failed_start_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "vm-0").write_text("in the place of the first VM's folder")
    with pytest.raises(SimulationError, match=r"server\.log"):
        Simulation(tmp_path).start()
    assert "vm-0" in (tmp_path / "server.log").read_text()


def test_what_the_machine_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no swtpm there
    with pytest.raises(SimulationError, match=r"swtpm is missing.*apt-get install swtpm"):
        Simulation(tmp_path / "state").start()
    command = [sys.executable, "-c", "from cji_simulator.entry import main; main()", "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:] == [
        "  swtpm is missing, the software behind the vTPM: apt-get install swtpm",
    ]


def test_a_reset_begins_again_with_the_same_roots(tmp_path: Path) -> None:
    with Simulation(tmp_path) as simulation:
        key, roots = simulation.create_cmk(), simulation.trust.amd_roots
        simulation.fault(Service.MAA, Kind.DOWN)
        simulation.reset()
        assert simulation.faults() == []
        assert simulation.trust.amd_roots == roots
        assert simulation.create_cmk().kek_id != key.kek_id


def test_files_for_a_worker_and_an_agency(simulation: Simulation, tmp_path: Path) -> None:
    key = simulation.create_cmk("for-files")
    agency = Agency(name="test-pd", oris=("GA0600000", "GA0600001"), purposes=("C", "J"))
    files = worker_config(tmp_path, simulation=simulation, keys=[key], agency=agency)
    config = load(files.config)
    assert config.keys[0].kek_id == key.kek_id
    assert config.attestation.maa_url == simulation.maa_url
    assert Policy.load(files.policy.read_bytes()).submitter(agency.san).name == "test-pd"
    profile = load_profile(files.profile)
    certificate = x509.load_pem_x509_certificate(Path(profile.certificate).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [agency.san]
    for private in (*tmp_path.rglob("*.key"),):
        assert os.stat(private).st_mode & 0o077 == 0


@contextmanager
def up(state: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running `cji-simulator up` and what it printed; it does not outlive the test."""
    program = [sys.executable, "-c", "from cji_simulator.cli import main; main()"]
    command = [*program, "up", "--state", str(state), *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        lines = []
        while not (line := running.stdout.readline()).startswith("Running"):
            assert line, "the command ended"
            lines.append(line)
        yield running, lines
    finally:
        running.kill()
        running.wait()
        assert running.stdout is not None
        running.stdout.close()


def test_another_process_finds_the_simulation_and_leaves_it_up(tmp_path: Path) -> None:
    with up(tmp_path, "--no-worker"):
        found = Simulation.running(tmp_path)
        found.fault(Service.MAA, Kind.DOWN)
        found.stop()
        again = Simulation.running(tmp_path)
        assert [order.kind for order in again.faults()] == [Kind.DOWN]
        assert "does not answer" in CliRunner().invoke(main, ["status", "--state", str(tmp_path)]).output
        left = (tmp_path / "endpoints.json").read_bytes()
    until = time.monotonic() + 30
    while (tmp_path / "endpoints.json").exists():  # the servers end with the command
        assert time.monotonic() < until
        time.sleep(0.02)
    with pytest.raises(SimulationError, match="no simulation runs"):
        Simulation.running(tmp_path)
    (tmp_path / "endpoints.json").write_bytes(left)  # as after a crash of the machine
    with pytest.raises(SimulationError, match="has ended"):
        Simulation.running(tmp_path)


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    with up(tmp_path, "--no-worker"):
        before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        refused = CliRunner().invoke(main, ["up", "--state", str(tmp_path), "--no-worker"])
        assert refused.exit_code != 0
        assert "a simulation runs in" in refused.output
        assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
        assert Simulation.running(tmp_path).faults() == []


def test_a_killed_simulator_takes_its_door_along(tmp_path: Path) -> None:
    """The next one has the same port."""
    port = free_port()
    with up(tmp_path, "--port", str(port)):
        pass  # killed
    until = time.monotonic() + 10
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < until, "the door outlived the simulator"
        time.sleep(0.05)


def test_options_of_cji_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cji audit witness verify` has a `--state` too: it is not the simulation's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # where no other simulation of this user is found
    found = CliRunner().invoke(main, ["cji", "audit", "witness", "verify", "T", "--state", "its-own"])
    assert "no simulation was started in .demo;" in found.output
