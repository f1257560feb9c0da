"""A worker with several fronts: all have jobs at once, limits hold over all, and drain and reload reach each."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_core.errors import Reason
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawJob, RawStream, RawWorker, forge, sends, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_worker.front.server import SERVICE
from cji_worker.front.submitters import POOLS, Kind
from cji_worker.fronts import FRONT_NAMES
from cji_worker.ipc.status import ask
from tests.adversarial.peers.stopped_process import stopped
from tests.support.neighbours import FIRST, SECOND, Neighbours, neighbours
from tests.support.simulations import PATIENT, simulated

FINISH = pb.RunRequest(finish=pb.Finish())


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("fronts") / "azure", release_limit=1000) as simulation:
        yield simulation


def rings(site: Site) -> dict[str, int]:
    """Rings of jobs that each front has."""
    fronts = {name: pid for name, pid in site.worker.pids.items() if name in FRONT_NAMES}
    return {name: Path(f"/proc/{pid}/maps").read_text().count("cji-ring") for name, pid in fronts.items()}


def begun(raw: RawWorker, job: RawJob, held: ExitStack) -> RawStream:
    stream = held.enter_context(raw.stream(timeout=120))
    assert stream.begin(job.open()).WhichOneof("message") == "accepted"
    return stream


def ends_well(stream: RawStream, job: RawJob) -> bool:
    stream.send(*sends(job.stream(people(2))), FINISH)
    stream.half_close()
    return stream.answer().receipt is not None


@pytest.mark.parametrize("fronts", [2, 4])
def test_every_front_has_a_job_and_a_drain_waits_for_all(azure: Simulation, tmp_path: Path, fronts: int) -> None:
    with (
        open_site(tmp_path / "site", azure, cells=fronts, settings=PATIENT, fronts=fronts) as site,
        ExitStack() as held,
    ):
        settled(site)
        status = until(lambda: found if (found := status_of(site))["fronts"]["serving"] else None)
        assert status["fronts"] == {"serving": fronts, "count": fronts, "cores": None}
        assert [each["name"] for each in status["processes"] if each["name"] in FRONT_NAMES] == [*FRONT_NAMES[:fronts]]
        with ThreadPoolExecutor(fronts) as pool:  # each verifies its receipt
            found = list(pool.map(lambda _: site.run(people(3)), range(2 * fronts)))
        assert len({result.receipt.claims.job_id for result in found}) == 2 * fronts
        settled(site)
        raw = held.enter_context(RawWorker.of(site))
        jobs = [forge(site) for _ in range(fronts)]
        streams = [begun(raw, job, held) for job in jobs]
        assert rings(site) == dict.fromkeys(FRONT_NAMES[:fronts], 1)
        site.worker.process.send_signal(signal.SIGTERM)
        health = health_pb2_grpc.HealthStub(raw.channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        until(lambda: health.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.NOT_SERVING)
        for job, stream in zip(jobs, streams, strict=True):
            assert site.worker.process.poll() is None
            assert ends_well(stream, job)
        assert site.worker.process.wait(60) == 0


def status_of(site: Site) -> Any:
    return json.loads(ask(str(site.files.folder / "status.sock"), "status", timeout=60))


def answer(held: ExitStack, call: Any) -> str:
    """The reason of a refusal, nothing for a call that stays open."""
    held.callback(call.cancel)
    try:
        next(call)
    except grpc.RpcError as error:
        return str((error.details() or "").partition(":")[0])
    return ""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    folder = tmp_path_factory.mktemp("town")
    with neighbours(folder, cells=4, fronts=2, revocable=True, idle_seconds=600) as found:
        yield found


def test_no_caller_has_more_of_all_fronts_than_of_one(town: Neighbours) -> None:
    """Of the calls of one kind, a caller that is alone gets half: all fronts together count them."""
    share, request = POOLS[Kind.HEALTH] // 2, health_pb2.HealthCheckRequest(service=SERVICE)
    with town.raw(FIRST) as raw, ExitStack() as held:
        stub = health_pb2_grpc.HealthStub(raw.channel)
        answers = [answer(held, stub.Watch(request, timeout=60)) for _ in range(2 * share)]
        assert answers.count("") == share
        assert set(answers) == {"", Reason.OVERLOADED}
        with town.raw(SECOND) as other:  # as much is free for the next one
            next(health_pb2_grpc.HealthStub(other.channel).Watch(request, timeout=60))


def test_a_reload_reaches_the_calls_of_every_front(town: Neighbours) -> None:
    settled(town.site)
    with ExitStack() as held:
        mine, theirs = held.enter_context(town.raw(FIRST)), held.enter_context(town.raw(SECOND))
        jobs = [forge(town.site, signing_key=town.signing[name]) for name in (FIRST, FIRST, SECOND, SECOND)]
        streams = [begun(raw, job, held) for raw, job in zip((mine, mine, theirs, theirs), jobs, strict=True)]
        assert rings(town.site) == {"front": 2, "front-1": 2}
        town.revoke(FIRST)
        town.reload()
        assert [stream.answer().reason for stream in streams[:2]] == [Reason.CERTIFICATE_REFUSED] * 2
        assert all(ends_well(stream, job) for stream, job in zip(streams[2:], jobs[2:], strict=True))
    town.revoke()
    town.reload()


def test_a_front_that_dies_ends_the_worker(azure: Simulation, tmp_path: Path) -> None:
    """The supervisor starts the worker again as a whole; a second attestation needs another boot in any case."""
    with open_site(tmp_path / "site", azure, fronts=2) as site, stopped(site.worker.pids["front-1"]):
        assert site.worker.process.wait(60) == 1
