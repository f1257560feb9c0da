"""AU-5 on a running worker: it withdraws readiness while its trail is not delivered, and shows the destination."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_client.profile import load_profile
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.trail import CallsRefused, DeliveryOverdue
from cji_core.trail.delivered import write_position
from cji_core.trail.trail import START, Position, after
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import worker_config
from cji_simulator.raw import RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from cji_worker.front.server import SERVICE

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def place(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("delivery")
    azure, cmk = azure.another_vm(), azure.create_cmk("cji-delivery")
    files = worker_config(folder, simulation=azure, keys=[cmk])
    (folder / "delivered").mkdir()
    section = f'[audit_delivery]\nstate = "{folder}/delivered"\nrequired = ["sentinel"]\non_failure = "stop"\n'
    files.config.write_text(f"{files.config.read_text()}\n{section}")
    with Worker(files.config, trust=azure.trust, log=folder / "worker.log") as worker:
        yield Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))


def serving(raw: RawWorker) -> bool:
    answer = health_pb2_grpc.HealthStub(raw.channel).Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60)
    return bool(answer.status == SERVING)


def delivery(site: Site) -> dict[str, Any]:
    """The one destination, as `cji status` has it."""
    command = build(site.simulation.trust)
    shown = CliRunner().invoke(command, ["status", "--config", str(site.files.config), "--json"])
    (found,) = json.loads(shown.output)["audit"]["deliveries"]
    return dict(found)


def positions(site: Site) -> list[Position]:
    return [position for position, _ in after(site.files.audit, START)]


def test_a_contradicted_delivery_stops_jobs_and_is_shown(place: Site) -> None:
    state = place.files.config.parent / "delivered"
    with RawWorker.of(place) as raw:
        until(lambda: serving(raw) or None)
        write_position(state, "sentinel", positions(place)[-1])
        last = positions(place)[-1]
        write_position(state, "sentinel", Position(seq=last.seq + 1, hash=last.hash, offset=last.offset))
        until(lambda: not serving(raw) or None)
        (alert,) = [each for each in events(place) if isinstance(each, DeliveryOverdue)]
        assert (alert.destination, alert.cause, alert.admits_jobs) == ("sentinel", "contradicted", False)
        job = forge(place)
        answer = raw.run(job.messages(job.stream(people(2))))
        assert answer.reason is Reason.AUDIT_UNAVAILABLE
    assert until(lambda: delivery(place)["overdue"] or None)  # the report is that of the last half second
    assert delivery(place)["destination"] == "sentinel"


def test_a_receipt_of_nobodys_job_is_refused_and_counted(place: Site) -> None:
    with RawWorker.of(place) as raw:
        with pytest.raises(grpc.RpcError):
            raw.stub.GetReceipt(pb.GetReceiptRequest(job_id=bytes(3)), timeout=60)
        until(
            lambda: (
                any(isinstance(e, CallsRefused) and e.reason is Reason.BAD_PARAMETERS for e in events(place)) or None
            ),
            seconds=40,
        )


def test_a_trail_has_left_the_machine_or_the_place_is_named(place: Site) -> None:
    """As cji-drain.service asks before the probe gives a machine up to Azure."""
    state, command = place.files.config.parent / "delivered", build(place.simulation.trust)

    def left() -> tuple[int, str]:
        shown = CliRunner().invoke(command, ["audit", "delivered", "--config", str(place.files.config)])
        return shown.exit_code, shown.output

    (state / "sentinel.delivered").unlink(missing_ok=True)
    assert left()[0] == 4
    assert "sentinel" in left()[1]

    def delivered() -> bool:
        write_position(state, "sentinel", positions(place)[-1])
        return left()[0] == 0

    until(lambda: delivered() or None)
    (state / "sentinel.delivered").write_text("{}")
    assert left()[0] == 4
