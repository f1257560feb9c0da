"""`grpc.health.v1` behind the guard: the one service that a caller with a certificate, but without a policy, may call.

The library's servicer would read requests before the guard and keep watchers without bound.
"""

import asyncio
import contextlib
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2 as pb

from cji_worker.front.client_certificates import AcceptedClients
from cji_worker.front.guard import Call, Guard
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.service import Service
from cji_worker.front.submitters import Kind
from cji_worker.ipc import Channel
from cji_worker.ipc.beats import BEAT_S, Pulse
from cji_worker.ipc.messages import Beat, FrontFromSupervisor, FrontReport, NotReady, SupervisorFromFront, Up

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """The state of each service by name; the empty name is the process itself."""

    def __init__(self) -> None:
        self._states: dict[str, pb.HealthCheckResponse.ServingStatus] = {}
        self._changed = asyncio.Event()

    def set(self, service: str, *, serving: bool) -> None:
        """Set a state and wake the watchers."""
        self._states[service] = pb.HealthCheckResponse.SERVING if serving else pb.HealthCheckResponse.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    def handlers(self, guard: Guard) -> dict[str, Any]:
        """The calls by name."""
        return {
            "Check": guard.unary(Kind.HEALTH, pb.HealthCheckRequest, self._check),
            "Watch": guard.stream(Kind.HEALTH, self._watch),
        }

    async def _check(self, call: Call, request: pb.HealthCheckRequest) -> pb.HealthCheckResponse:
        state = self._states.get(request.service)
        if state is None:
            await call.context.abort(grpc.StatusCode.NOT_FOUND)
        return pb.HealthCheckResponse(status=state)

    async def _watch(self, call: Call) -> None:
        request = await call.request(pb.HealthCheckRequest)
        told = None
        while True:
            changed = self._changed
            state = self._states.get(request.service, pb.HealthCheckResponse.SERVICE_UNKNOWN)
            if state != told:
                told = state
                await call.context.write(pb.HealthCheckResponse(status=state).SerializeToString())
            await changed.wait()


class Readiness:
    """The answer of the health service: SERVING while keyholder and revocation lists allow it and nothing is stopped.

    Follows the keyholder's reports and the beats of both neighbours, and beats itself.
    """

    def __init__(
        self,
        health: Health,
        *,
        name: str,
        keyholder: KeyholderClient,
        service: Service,
        supervisor: Channel[FrontFromSupervisor, SupervisorFromFront],
        clients: AcceptedClients,
    ) -> None:
        """`name` is the service whose health is answered."""
        self._health, self._name = health, name
        self._keyholder, self._service, self._supervisor, self._clients = keyholder, service, supervisor, clients
        self.pulse = Pulse()
        """Of the supervisor."""

    async def follow(self) -> None:
        """Follow for ever; tell the supervisor when jobs are served for the first time."""
        reported, announced = False, False
        while True:
            self._supervisor.offer(Beat())
            serving = self._serving()
            self._supervisor.offer(self._report(serving=serving))
            if serving != reported:
                reported = serving
                self._health.set(self._name, serving=serving)
            if serving and not announced:
                announced = True
                self._supervisor.send(Up())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._keyholder.changed.wait(), BEAT_S)
            self._keyholder.changed.clear()

    def _serving(self) -> bool:
        stopped = [pulse.stale() for pulse in (self.pulse, self._keyholder.pulse)]
        ready = not isinstance(self._keyholder.ready, NotReady) and self._clients.current()
        return ready and not (any(stopped) or self._service.draining)

    def _report(self, *, serving: bool) -> FrontReport:
        clients = self._clients.now
        crl_until = clients.current_until
        return FrontReport(
            serving=serving,
            jobs=self._service.running,
            crl_until=None if crl_until is None else int(crl_until.timestamp()),
            authorities_until=int(clients.authorities_until.timestamp()),
            revoked=clients.revoked,
        )
