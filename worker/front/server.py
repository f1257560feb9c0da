"""The front's process: TLS, health, drain."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from worker.config import ListenSection
from worker.errors import StartupError
from worker.front.keyholder_client import KeyholderClient
from worker.front.service import Service, handlers
from worker.ipc import Boot, Channel, ChannelClosed, receive_boot
from worker.ipc.messages import ChildFromSupervisor, Drained, FrontFromKeyholder, NotReady, SupervisorFromChild, Up
from worker.job import LIMITS
from worker.log import log
from worker.memory import harden
from worker.wire.v1 import worker_pb2

SERVICE: Final = worker_pb2.DESCRIPTOR.services_by_name["CjiWorker"].full_name
_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_connection_idle_ms", 30 * 60 * 1000),  # CJISSECPOL SC-10: sessions end within an hour of inactivity
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
"""Options of the gRPC server."""


def credentials(listen: ListenSection) -> grpc.ServerCredentials:
    """Mutual TLS from the files of this section. Raises StartupError if one cannot be read."""
    try:
        key, chain, roots = (
            Path(name).read_bytes() for name in (listen.private_key, listen.certificate, listen.client_roots)
        )
    except OSError as error:
        raise StartupError("A TLS file of [listen] cannot be read", "Check paths and permissions.") from error
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=roots, require_client_auth=True)


async def _serve(boot: Boot) -> None:
    boot.code.check_mapped()
    config = boot.config
    keyholder = KeyholderClient(Channel(boot.keyholder, FrontFromKeyholder))
    supervisor: Channel[ChildFromSupervisor, SupervisorFromChild] = Channel(boot.supervisor, ChildFromSupervisor)
    service, health = Service(config, keyholder), HealthServicer()
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers(service)),))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_secure_port(f"{config.listen.host}:{config.listen.port}", credentials(config.listen))
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    await health.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
    await server.start()
    log("listening", port=port)

    async def readiness() -> None:
        announced = False
        while True:
            await keyholder.changed.wait()
            keyholder.changed.clear()
            serving = not isinstance(keyholder.ready, NotReady) and not service.draining
            state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
            await health.set(SERVICE, state)
            if serving and not announced:
                announced = True
                supervisor.send(Up(port=port))

    async def drain() -> None:
        await supervisor.receive_async()
        service.draining = True
        keyholder.changed.set()
        log("draining")
        while service.running:
            await asyncio.sleep(0.05)
        await server.stop(grace=5)
        keyholder.send(Drained())

    ending = asyncio.create_task(drain())
    tasks = {asyncio.create_task(keyholder.serve()), asyncio.create_task(readiness()), ending}
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if ending not in done:
        await server.stop(grace=0.2)
        raise SystemExit(1)


def main(boot: Boot) -> None:
    """Body of the process."""
    harden(die_with_parent=True)
    try:
        asyncio.run(_serve(boot))
    except ChannelClosed:
        raise SystemExit(1) from None
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
