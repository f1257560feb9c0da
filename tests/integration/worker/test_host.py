"""A worker on machines that turn bad while it runs, or that were never fit; and what it states about them."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_attestation import AZURE_US
from cji_client.profile import load_profile
from cji_core.errors import Reason
from cji_core.trail import HostChanged, WorkerNotReady, WorkerReady, WorkerStarted, claims_unverified
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, WorkerDied
from cji_worker.front.server import SERVICE
from tests.support.host_profile import build, host_folder, missing

SWAPPING = "Filename\n/dev/sda2 partition 1 0 -2\n"
SERVING = health_pb2.HealthCheckResponse.SERVING
MOST_S = 3.0


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return host_folder(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def place(azure: Simulation, machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("host")
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-host")
    files = worker_config(folder, simulation=azure, keys=[cmk])
    with Worker(files.config, trust=azure.trust, log=folder / "worker.log", host=machine) as worker:
        yield Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))


def serving(raw: RawWorker) -> bool:
    answer = health_pb2_grpc.HealthStub(raw.channel).Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60)
    return bool(answer.status == SERVING)


def seconds_until(raw: RawWorker, state: bool) -> float:
    started = time.monotonic()
    until(lambda: serving(raw) is state or None)
    return time.monotonic() - started


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_swap_withdraws_readiness_until_it_is_off(place: Site, machine: Path) -> None:
    swaps = machine / "proc/swaps"
    good = swaps.read_text()
    with RawWorker.of(place) as raw:
        assert serving(raw)
        try:
            swaps.write_text(SWAPPING)
            withdrawn = seconds_until(raw, False)
            job = forge(place)
            assert raw.run_once(job.messages(job.stream(people(2)))).reason is Reason.NOT_READY
        finally:
            swaps.write_text(good)
        back = seconds_until(raw, True)
    assert (withdrawn < MOST_S, back < MOST_S) == (True, True), (withdrawn, back)
    changes = [e for e in events(place) if isinstance(e, HostChanged | WorkerReady | WorkerNotReady)][-4:]
    assert [getattr(e, "unmet", None) for e in changes] == [("swap",), None, (), None]
    assert isinstance(changes[1], WorkerNotReady)
    assert isinstance(changes[3], WorkerReady)
    said = [line for line in logged(place.worker.log) if line.get("check") == "swap"]
    assert [line["event"] for line in said] == ["host condition not met", "host condition met"]
    assert "swapoff" in said[0]["remedy"]


def test_what_a_simulation_need_not_have_is_only_logged(place: Site, machine: Path) -> None:
    scope = machine / "proc/sys/kernel/yama/ptrace_scope"
    scope.write_text("0\n")
    until(lambda: [line for line in logged(place.worker.log) if line.get("check") == "ptrace-scope"] or None)
    scope.write_text("3\n")
    with RawWorker.of(place) as raw:
        assert serving(raw)


def test_receipts_and_the_trail_say_that_no_profile_held(place: Site) -> None:
    """Everything but this process's own calls looks as it should: `permitted_calls` is not deceived by files."""
    with RawWorker.of(place) as raw:
        job = forge(place)
        receipt = raw.run(job.messages(job.stream(people(2)))).receipt
    assert receipt is not None
    assert claims_unverified(receipt).host_profile == "none"
    (started,) = [e for e in events(place) if isinstance(e, WorkerStarted)]
    assert started.host_profile == "none"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="a filter without no_new_privs needs root")
@pytest.mark.skipif(bool(missing("gcc")), reason="the host profile cannot be built: no gcc")
def test_x14_a_worker_serves_under_the_profile(azure: Simulation, tmp_path: Path) -> None:
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-profiled")
    files = worker_config(tmp_path / "site", simulation=azure, keys=[cmk])
    program = build(tmp_path / "filter", filter_only=True)
    machine = host_folder(tmp_path / "machine")
    with Worker(files.config, trust=azure.trust, log=tmp_path / "log", host=machine, under=[str(program)]) as worker:
        place = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))
        with RawWorker.of(place) as raw:
            job = forge(place)
            receipts = [raw.run(job.messages(job.stream(people(2)))).receipt]
            (machine / "sys/kernel/security/lockdown").write_text("[none] integrity confidentiality\n")
            until(lambda: [line for line in logged(worker.log) if line.get("check") == "host-profile"] or None)
            time.sleep(0.5)  # for the supervisor's report
            job = forge(place)
            receipts.append(raw.run(job.messages(job.stream(people(2)))).receipt)
    assert [claims_unverified(each or "").host_profile for each in receipts] == ["cji-host-1", "none"]
    (started,) = [e for e in events(place) if isinstance(e, WorkerStarted)]
    assert started.host_profile == "cji-host-1"


def test_r04_a_machine_that_swaps_starts_no_worker(azure: Simulation, place: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(WorkerDied):
        Worker(place.files.config, trust=azure.trust, log=log, host=host_folder(tmp_path / "bad", swaps=SWAPPING))
    assert '"what": "swap: this machine must not swap memory to disk' in log.read_text()


def test_x14_production_without_the_profile_obtains_no_key(azure: Simulation, tmp_path: Path) -> None:
    files = worker_config(tmp_path / "site", simulation=azure, keys=[azure.create_cmk("cji-bare")])
    log = tmp_path / "log"
    with pytest.raises(WorkerDied):
        Worker(files.config, trust=AZURE_US, log=log, host=host_folder(tmp_path / "bare"))
    (error,) = [line for line in logged(log) if line["event"] == "error"]
    assert "host-profile: this machine must deny" in error["what"]
    assert "deploy/host-profile/README.md" in error["remedy"]
    assert not files.audit.exists()
