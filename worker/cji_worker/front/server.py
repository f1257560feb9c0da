"""The process of a front, one of several that are alike: its sockets, health, drain.

TLS ends at the door (`cji_worker.door`), the only other user of the socket's folder. The front gives up files,
processes and new connections for good; see `cji_worker.rights`.
"""

import asyncio
import contextlib
import itertools
import os
import stat
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import grpc

from cji_core.errors import Reason, Refusal, Stage, StartupError
from cji_core.format.configuration.operator_files import read_client_files
from cji_core.format.job import LIMITS
from cji_core.log import events_only, log
from cji_core.wire.v1 import worker_pb2
from cji_worker.door.report import MAX_CALLS, OWN_SERVICE
from cji_worker.front import health as health_service
from cji_worker.front.client_certificates import AcceptedClients, ClientCertificates
from cji_worker.front.fleet_door import FleetDoor
from cji_worker.front.guard import Call, Context, Guard
from cji_worker.front.health import Health, Readiness
from cji_worker.front.heap import keep_free_memory, return_free_memory
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.own_door import OwnDoor
from cji_worker.front.peer import DOOR, FLEET, Peer
from cji_worker.front.refused import RefusedCounter
from cji_worker.front.reload import Reload
from cji_worker.front.service import Service
from cji_worker.front.submitters import Submitters
from cji_worker.fronts import FRONT_NAMES, socket_of
from cji_worker.ipc import Boot, Channel, ChannelClosed, receive_boot
from cji_worker.ipc.beats import CpuClock, Pulse
from cji_worker.ipc.messages import Drained, FrontFromKeyholder, FrontFromSupervisor, SupervisorFromFront
from cji_worker.memory import harden
from cji_worker.rights import FRONT, SOCKETS, become, deny, deny_powers, drop_capabilities, forbid_files_and_network

SERVICE: Final = worker_pb2.DESCRIPTOR.services_by_name["CjiWorker"].full_name
_RANDOM: Final = "/dev/urandom"
"""gRPC draws the seeds of its random numbers from it, and ends the process where it cannot."""
_REMEDY: Final = (
    "Make it with deploy/systemd/cji-worker.tmpfiles.conf: mode 2770, owner root, and a group of its own, in which "
    "only the process is that connects to it."
)
_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_metadata_size", 60 << 10),  # an escaped certificate, and the 40 KiB that the door takes of a caller
    ("grpc.absolute_max_metadata_size", 64 << 10),
    ("grpc.max_allowed_incoming_connections", MAX_CALLS),
    ("grpc.max_concurrent_streams", 256),
    # what a call may send before it is read; gRPC would measure the line with pings, and raise it up to megabytes
    ("grpc.http2.lookahead_bytes", 256 << 10),
    ("grpc.http2.bdp_probe", 0),
)
"""Options of the gRPC server; connections, their time and their number for each address are the door's."""

Handlers: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""Of calls by name: for the door, and for the fleet process."""
Services: TypeAlias = tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]
"""The same by service."""
_TRIM_S: Final = 5
_REPORT_S: Final = 10
"""A stranger adds one line in this time to the audit trail, however often it calls."""


class UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """A handler of every method, for those that no other handler has: counted, then UNIMPLEMENTED.

    gRPC would answer such calls by itself, and no trail would show who probes.
    """

    def __init__(self, refused: RefusedCounter, *, only: Peer | None = None) -> None:
        """`only` as in `Guard`."""
        self._refused, self._only = refused, only
        self._handler = grpc.stream_stream_rpc_method_handler(self._refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002 - all are alike
        """The handler of one call."""
        return self._handler

    async def _refuse(self, _: object, context: Context) -> None:
        call = Call(context)
        if self._only is not None:
            call.peer = self._only
        else:
            with contextlib.suppress(Refusal):  # then it is a call of nobody
                call.identify()
        if self._refused.count(Reason.BAD_PARAMETERS, source=call.peer.source, identity=call.peer.identity):
            log("refused", correlation_id=call.correlation_id, reason=Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)


def listening_folder(socket: str) -> str:
    """The folder of a socket. Raises StartupError unless nobody but root, the worker and one group can enter.

    The front trusts what a connection of the TLS door says about its caller, so only the door may make one; and it
    trusts that nobody but the fleet process connects to the other socket.
    """
    folder = os.path.dirname(socket)
    try:
        found = os.stat(folder)
    except OSError as error:
        raise StartupError(f"The folder {folder!a} of the front's socket is not there", _REMEDY) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IRWXO:
        raise StartupError(f"The folder {folder!a} of the front's socket is open to other users", _REMEDY)
    return folder


def listening_folders(sockets: Sequence[str]) -> list[str]:
    """The folders of the front's sockets, as `listening_folder`. Raises StartupError for one that two sockets share.

    The fleet process could make connections that only the door may make, and state any caller's certificate.
    """
    folders = [listening_folder(each) for each in sockets]
    if any(os.path.samefile(one, other) for one, other in itertools.combinations(folders, 2)):
        raise StartupError(
            "Two sockets of the front are in one folder",
            "Give [fleet] socket a folder of its own, which only the fleet's group can enter.",
        )
    return folders


def _confine(folders: Sequence[str], *, own_user: bool, parent: int) -> None:
    """Give up files, other processes and connections before gRPC has threads; only its sockets can be bound.

    gRPC adopts no listening socket, so it makes its own, and then loses the means to make another (`SOCKETS`).
    Libraries import modules when they first need them, so the front can still read its own code (`cji_worker.launch`).
    """
    if own_user:
        become(FRONT, groups=[os.stat(folder).st_gid for folder in folders])
        if not all(os.access(each, os.R_OK | os.X_OK) for each in sys.path):
            raise StartupError(
                "The front's user cannot read the worker's code", "Let every user read it: chmod -R o+rX /opt/cji."
            )
    else:
        drop_capabilities()
    harden(parent=parent)
    forbid_files_and_network(read=(_RANDOM, *sys.path), sockets=folders)
    deny_powers()
    os.umask(0o007)  # the socket's own mode: the folder's group is the door's


async def _serve(boot: Boot, clients: AcceptedClients, pulse: Pulse) -> None:
    submitters, refused = Submitters(fronts=boot.count), RefusedCounter()
    keyholder = KeyholderClient(Channel(boot.keyholder, FrontFromKeyholder), submitters, front=boot.number)
    supervisor: Channel[FrontFromSupervisor, SupervisorFromFront] = Channel(boot.supervisor, FrontFromSupervisor)
    service, health = Service(boot.config, keyholder), Health(SERVICE)
    guard, fleet, door = (Guard(submitters, refused, clients.require, only=only) for only in (None, FLEET, DOOR))
    healths = health.handlers(guard), health.handlers(fleet)
    calls: Services = (
        {SERVICE: service.handlers(guard), OWN_SERVICE: OwnDoor(keyholder).handlers(door)},
        {SERVICE: FleetDoor(service, keyholder).handlers(fleet)},
    )
    servers = _servers(boot, refused, calls, healths)
    for server in servers:
        await server.start()
    deny(SOCKETS)
    log("listening")

    readiness = Readiness(
        health,
        name=SERVICE,
        keyholder=keyholder,
        service=service,
        supervisor=supervisor,
        pulse=pulse,
        clients=clients,
        others=set(FRONT_NAMES[: boot.count]) - {FRONT_NAMES[boot.number]},
    )
    reload = Reload(clients, guard, supervisor)

    async def drain() -> None:
        await reload.follow(readiness)
        service.draining = True
        keyholder.changed.set()
        log("draining")
        while service.running:
            await asyncio.sleep(0.05)
        await _stop(servers, grace=5)
        _report_refused(refused, keyholder)
        keyholder.send(Drained())

    own_clock = _upkeep(refused=refused, keyholder=keyholder, service=service)
    ending = asyncio.create_task(drain())
    tasks = {ending, *map(asyncio.create_task, (keyholder.serve(), readiness.follow(), own_clock))}
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    drained = ending in done and ending.exception() is None
    if not drained:
        await _stop(servers, grace=0.2)
    await _end(tasks)
    if not drained:
        raise SystemExit(1)


def _sockets(boot: Boot) -> list[str]:
    """The sockets of this front: for the door, and for the fleet process if there is one."""
    listen, fleet = boot.config.listen, boot.config.fleet
    return [socket_of(each.socket, boot.number) for each in (listen, fleet) if each is not None]


def _servers(boot: Boot, refused: RefusedCounter, calls: Services, healths: Handlers) -> list[grpc.aio.Server]:
    """A server on each socket, with the calls for the door or for the fleet process. Raises StartupError."""
    return [
        _server(socket, own | {health_service.SERVICE: ours}, UnknownMethods(refused, only=only))
        for socket, only, own, ours in zip(_sockets(boot), (None, FLEET), calls, healths, strict=False)
    ]


def _server(socket: str, calls: dict[str, dict[str, Any]], unknown: UnknownMethods) -> grpc.aio.Server:
    """A server on this socket with the calls of each service by name. Raises StartupError."""
    server = grpc.aio.server(options=OPTIONS)
    for name, handlers in calls.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    server.add_generic_rpc_handlers((unknown,))  # the last: of what no other has
    try:
        server.add_secure_port(f"unix:{socket}", grpc.local_server_credentials(grpc.LocalConnectionType.UDS))
    except RuntimeError as error:
        raise StartupError(f"The front cannot listen on {socket!a}", _REMEDY) from error
    return server


async def _stop(servers: Collection[grpc.aio.Server], *, grace: float) -> None:
    await asyncio.gather(*(server.stop(grace=grace) for server in servers))


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel these tasks and take their exceptions, which asyncio would print. A neighbour may be gone."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, ChannelClosed):
            log("fault", error=type(outcome).__name__)


async def _upkeep(*, refused: RefusedCounter, keyholder: KeyholderClient, service: Service) -> None:
    """The front's own clock: trim the heap while no job runs; report what was refused."""
    for second in itertools.count(1):
        await asyncio.sleep(1)
        if second % _TRIM_S == 0 and not service.running:
            return_free_memory()
        if second % _REPORT_S == 0:
            _report_refused(refused, keyholder)


def _report_refused(refused: RefusedCounter, keyholder: KeyholderClient) -> None:
    """Send the counts of this period to the keyholder."""
    for each in refused.take():
        keyholder.send(each)


def main(boot: Boot) -> None:
    """Body of the process."""
    events_only()
    harden(parent=boot.parent)
    keep_free_memory()
    try:
        boot.code.check_mapped()
        listen = boot.config.listen
        files = read_client_files(client_roots=listen.client_roots, client_crl=listen.client_crl)
        clients = AcceptedClients(ClientCertificates.load(files, now=datetime.now(UTC)))
        supervisor = Pulse(CpuClock(boot.clock))
        _confine(listening_folders(_sockets(boot)), own_user=boot.users, parent=boot.parent)
        asyncio.run(_serve(boot, clients, supervisor))
    except ChannelClosed:
        raise SystemExit(1) from None
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
