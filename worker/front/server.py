"""The front's process: TLS, health, drain.

It reads its TLS files, becomes a user of its own, and gives up files, processes and new connections for good; see
`worker.rights`. New TLS files come from the supervisor (`reload`).
"""

import asyncio
import os
import socket
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import grpc

from worker.config import ListenSection
from worker.errors import StartupError
from worker.front import health as health_service
from worker.front.connections import MAX_CONNECTIONS, Connections
from worker.front.guard import Guard
from worker.front.health import Health
from worker.front.keyholder_client import KeyholderClient
from worker.front.readiness import Readiness
from worker.front.refused import RefusedCounter
from worker.front.reload import Reload
from worker.front.service import Service
from worker.front.submitters import Submitters
from worker.front.tls import Tls, check, read_listen_files
from worker.front.upkeep import report, upkeep
from worker.ipc import Boot, Channel, ChannelClosed, receive_boot
from worker.ipc.messages import Drained, FrontFromKeyholder, FrontFromSupervisor, SupervisorFromFront
from worker.job import LIMITS
from worker.log import log
from worker.memory import harden
from worker.rights import (
    FRONT,
    SOCKETS,
    become,
    deny,
    deny_powers,
    drop_capabilities,
    forbid_files_and_network,
)
from worker.wire.v1 import worker_pb2

SERVICE: Final = worker_pb2.DESCRIPTOR.services_by_name["CjiWorker"].full_name
_CAP_NET_BIND_SERVICE: Final = 10
_UNPRIVILEGED_PORT: Final = 1024
_RANDOM: Final = "/dev/urandom"
"""gRPC draws the seeds of its random numbers from it, and ends the process where it cannot."""
_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", 10_000),  # a connection that does not complete TLS
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_connection_idle_ms", 30 * 60 * 1000),  # CJISSECPOL SC-10: sessions end within an hour of inactivity
    ("grpc.max_connection_age_ms", 60 * 60 * 1000),  # then a client connects again, between two of its calls
    ("grpc.keepalive_time_ms", 60_000),  # a peer that vanished
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
"""Options of the gRPC server, but for `max_connection_age_grace_ms`: the time of the longest job."""


def address(listen: ListenSection) -> str:
    """Address and port in numbers; a name is resolved here, while files can be read. Raises StartupError."""
    try:
        found = socket.getaddrinfo(listen.host.strip("[]"), listen.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartupError("listen.host is not known here", "Set host of [listen] to an address.") from error
    family, _, _, _, (host, *_) = found[0]
    return f"[{host}]:{listen.port}" if family == socket.AF_INET6 else f"{host}:{listen.port}"


def _confine(port: int, *, own_user: bool) -> None:
    """Give up files, other processes and connections before gRPC has threads; only its port can be bound.

    gRPC adopts no listening socket, so it makes its own, and then loses the means to make another (`SOCKETS`).
    Libraries import modules when they first need them, so the front can still read its own code (`worker.launch`).
    """
    keep = (_CAP_NET_BIND_SERVICE,) if 0 < port < _UNPRIVILEGED_PORT else ()
    if own_user:
        become(FRONT, keep=keep)
        if not all(os.access(folder, os.R_OK | os.X_OK) for folder in sys.path):
            raise StartupError(
                "The front's user cannot read the worker's code", "Let every user read it: chmod -R o+rX /opt/cji."
            )
    else:
        drop_capabilities(keep=keep)
    harden(die_with_parent=True)
    forbid_files_and_network(read=(_RANDOM, *sys.path), bind=(port,))
    deny_powers()


async def _serve(boot: Boot, at: str, tls: Tls) -> None:
    config = boot.config
    submitters, refused = Submitters(), RefusedCounter()
    keyholder = KeyholderClient(Channel(boot.keyholder, FrontFromKeyholder), submitters)
    supervisor: Channel[FrontFromSupervisor, SupervisorFromFront] = Channel(boot.supervisor, FrontFromSupervisor)
    service, health, guard = Service(config, keyholder), Health(), Guard(submitters, refused, tls.require)
    grace_ms = 1000 * config.limits.max_job_seconds
    server = grpc.aio.server(options=(*OPTIONS, ("grpc.max_connection_age_grace_ms", grace_ms)))
    for name, handlers in ((SERVICE, service.handlers(guard)), (health_service.SERVICE, health.handlers(guard))):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_secure_port(at, tls.credentials())
    health.set("", serving=True)
    health.set(SERVICE, serving=False)
    await server.start()
    deny(SOCKETS)
    log("listening", port=port)

    readiness = Readiness(health, name=SERVICE, keyholder=keyholder, service=service, supervisor=supervisor, tls=tls)
    reload = Reload(tls, guard, supervisor)

    async def drain() -> None:
        await reload.follow(readiness.pulse)
        service.draining = True
        keyholder.changed.set()
        log("draining")
        while service.running:
            await asyncio.sleep(0.05)
        await server.stop(grace=5)
        report(refused, keyholder)
        keyholder.send(Drained())

    connections = Connections(port=port, per_address=config.limits.connections_per_address)
    own_clock = upkeep(connections, refused=refused, keyholder=keyholder, service=service)
    ending = asyncio.create_task(drain())
    tasks = {ending, *map(asyncio.create_task, (keyholder.serve(), readiness.follow(port), own_clock))}
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    drained = ending in done and ending.exception() is None
    if not drained:
        await server.stop(grace=0.2)
    await _end(tasks)
    if not drained:
        raise SystemExit(1)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel these tasks and take their exceptions, which asyncio would print. A neighbour may be gone."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, ChannelClosed):
            log("fault", error=type(outcome).__name__)


def main(boot: Boot) -> None:
    """Body of the process."""
    harden(die_with_parent=True)
    try:
        boot.code.check_mapped()
        listen = boot.config.listen
        at, tls = address(listen), Tls(check(read_listen_files(listen), now=datetime.now(UTC)))
        _confine(listen.port, own_user=boot.users)
        asyncio.run(_serve(boot, at, tls))
    except ChannelClosed:
        raise SystemExit(1) from None
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
