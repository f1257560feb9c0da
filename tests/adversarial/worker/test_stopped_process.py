"""A worker with a stopped process is not ready, and is ready again when the process continues; or it ends."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_core.errors import Reason
from cji_simulator.raw import RawWorker, cells, forge, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_worker.front.server import SERVICE
from cji_worker.ipc.beats import BEAT_S, STALE_S
from tests.adversarial.peers.stopped_process import hogs, stopped
from tests.support.simulations import simulated

SERVING = health_pb2.HealthCheckResponse.SERVING
WITHDRAWN_S = 3.0
"""A process counts as stopped by then; what follows is waited for, since a busy machine takes longer."""
STARVED_S = 20.0


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("stopped") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def standing(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The worker of all tests that leave it serving."""
    with open_site(tmp_path_factory.mktemp("standing") / "site", azure) as opened:
        settled(opened)
        yield opened


@pytest.fixture
def site(azure: Simulation, tmp_path: Path) -> Iterator[Site]:
    """A worker, on a machine of its own, which the test may end or change."""
    with open_site(tmp_path / "site", azure.another_vm()) as opened:
        settled(opened)
        yield opened


def health(site: Site) -> int:
    """The answer of the health service."""
    with RawWorker.of(site) as raw:
        stub = health_pb2_grpc.HealthStub(raw.channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60).status)


def serving(site: Site) -> bool:
    return health(site) == int(SERVING)


def test_x08_a_stopped_process_is_known_within_seconds() -> None:
    assert STALE_S + 2 * BEAT_S <= WITHDRAWN_S


@pytest.mark.parametrize("victim", ["keyholder", "zygote", "supervisor"])
def test_x08_readiness_follows_a_stopped_process(standing: Site, victim: str) -> None:
    assert serving(standing)
    with stopped(standing.worker.pids[victim]):
        until(lambda: not serving(standing))
    until(lambda: serving(standing))
    with RawWorker.of(standing) as raw:
        job = forge(standing)
        assert raw.run(job.messages(job.stream(people(2)))).receipt


def test_x08_a_stopped_front_ends_the_worker(site: Site) -> None:
    with stopped(site.worker.pids["front"]):
        assert site.worker.process.wait(60) == 1
    with pytest.raises(grpc.RpcError):
        health(site)


@pytest.mark.parametrize("victim", ["keyholder", "zygote", "control"])
def test_x08_a_process_that_stays_stopped_ends_the_worker(site: Site, victim: str) -> None:
    with stopped(site.worker.pids[victim]):
        assert site.worker.process.wait(60) == 1


def test_x08_a_keyholder_that_stood_still_looks_again(site: Site) -> None:
    """The machine changed meanwhile: no job is admitted under the old evidence, however fresh it is."""
    with stopped(site.worker.pids["keyholder"]):
        until(lambda: not serving(site))
        site.simulation.extend_pcr(12)
    time.sleep(0.2)
    dropped = until(lambda: b'"pcr-drift"' in site.files.audit.read_bytes() or None)
    assert dropped


def test_x08_a_stopped_cell_costs_its_job_only(standing: Site) -> None:
    job = forge(standing)
    with RawWorker.of(standing) as raw, raw.stream(timeout=8) as stream:
        before = settled(standing)
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(WITHDRAWN_S)
        assert serving(standing)
        assert stream.answer().reason is Reason.DEADLINE
    for pid in before & cells(standing):
        os.kill(pid, signal.SIGCONT)
    until(lambda: len(settled(standing)) == 2)
    assert serving(standing)


def test_x08_a_worker_without_a_processor_stays_ready(standing: Site) -> None:
    """Less than a hundredth of a core is left to all its processes: none counts as stopped, and nothing ends.

    The keyholder may confirm its evidence, as after every pause of its own, and its anchor in the TPM may be late.
    """
    (core, *_), tasks = os.sched_getaffinity(0), list(_tasks(standing))
    cores = {task: os.sched_getaffinity(task) for task in tasks}
    begin = len(standing.files.audit.read_bytes())
    with hogs(core, 4):
        for task in tasks:
            os.sched_setaffinity(task, [core])
            os.setpriority(os.PRIO_PROCESS, task, 19)  # a weight of 15 beside 4 of 1024: sched(7), kernel/sched/core.c
        try:
            time.sleep(STARVED_S)
        finally:
            for task in tasks:
                os.sched_setaffinity(task, cores[task])
                os.setpriority(os.PRIO_PROCESS, task, 0)
    unmet = set(re.findall(rb'"condition":"([^"]*)"', standing.files.audit.read_bytes()[begin:]))
    assert unmet <= {b"evidence", b"anchor"}
    until(lambda: serving(standing))


def _tasks(site: Site) -> Iterator[int]:
    """Threads of the worker's processes but cells, which have no beat."""
    for pid in site.worker.pids.values():
        yield from map(int, os.listdir(f"/proc/{pid}/task"))


def test_x08_systemd_is_told(azure: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY once jobs are served, WATCHDOG while every process beats, STOPPING at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with open_site(tmp_path / "site", azure) as site:
            manager.settimeout(60)
            assert manager.recv(200).decode().splitlines() == ["READY=1", "STATUS=serving", "WATCHDOG=1"]
            with stopped(site.worker.pids["keyholder"]):
                until(lambda: "WATCHDOG=1" not in _told(manager, seconds=1.5))
            assert "WATCHDOG=1" in manager.recv(200).decode()
            with RawWorker.of(site) as raw, raw.stream() as stream:
                assert stream.begin(forge(site).open()).WhichOneof("message") == "accepted"
                _drain(manager)
                site.worker.process.send_signal(signal.SIGTERM)
                until(lambda: "STOPPING=1" in manager.recv(200).decode())


def _told(manager: socket.socket, *, seconds: float) -> list[str]:
    """Every line that arrives from now on until so many seconds have passed."""
    _drain(manager)
    time.sleep(seconds)
    return _drain(manager)


def _drain(manager: socket.socket) -> list[str]:
    """Every line that has arrived."""
    lines: list[str] = []
    manager.setblocking(False)
    try:
        while True:
            lines += manager.recv(200).decode().splitlines()
    except BlockingIOError:
        manager.settimeout(60)
        return lines
