"""`grpc.health.v1` behind the guard: the one service that a caller with a certificate, but without a policy, may call.

The library's servicer would read requests before the guard and keep watchers without bound.
"""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2 as pb

from cji_core.log import log
from cji_worker.front.client_certificates import AcceptedClients
from cji_worker.front.guard import Call, Guard
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.service import Service
from cji_worker.front.submitters import Kind
from cji_worker.ipc import Channel
from cji_worker.ipc.beats import BEAT_S, Pulse
from cji_worker.ipc.messages import (
    Beat,
    Condition,
    FrontFromSupervisor,
    FrontReport,
    NotReady,
    ProcessName,
    SupervisorFromFront,
    Up,
)

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """The state of each service by name; the empty name is the process itself."""

    def __init__(self, name: str) -> None:
        """`name` is the service that is not served yet."""
        self._states: dict[str, pb.HealthCheckResponse.ServingStatus] = {}
        self._changed = asyncio.Event()
        self.set("", serving=True)
        self.set(name, serving=False)

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

    Follows the keyholder's reports, the supervisor's beats and its word on other processes, and beats itself.
    """

    def __init__(
        self,
        health: Health,
        *,
        name: str,
        keyholder: KeyholderClient,
        service: Service,
        supervisor: Channel[FrontFromSupervisor, SupervisorFromFront],
        pulse: Pulse,
        clients: AcceptedClients,
        others: Collection[ProcessName] = (),
    ) -> None:
        """`name` is the service whose health is answered, `pulse` the supervisor's.

        `others` are the other fronts. Until the supervisor says that they beat, they count as stopped: a caller
        that reads here that jobs are served may get any of them next.
        """
        self._health, self._name = health, name
        self._keyholder, self._service, self._supervisor, self._clients = keyholder, service, supervisor, clients
        self._pulse = pulse
        self._others = frozenset(others)
        self._silent: Collection[ProcessName] = tuple(others)

    def hear(self, silent: Collection[ProcessName]) -> None:
        """A beat of the supervisor: the processes that it finds silent."""
        self._pulse.beat()
        if silent != self._silent:
            self._silent = silent
            self._keyholder.changed.set()

    async def follow(self) -> None:
        """Follow for ever; tell the supervisor when jobs are served for the first time."""
        reported, announced = False, False
        told: Condition | None = "starting"
        while True:
            self._supervisor.offer(Beat())
            condition = self._condition()
            serving = condition is None and not self._service.draining
            self._supervisor.offer(self._report(condition, serving=serving))
            if serving != reported:
                reported = serving
                self._health.set(self._name, serving=serving)
            if condition != told:
                told = condition
                log("front serves" if condition is None else "front does not serve", condition=condition or "none")
            if serving and not announced:
                announced = True
                self._supervisor.send(Up())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._keyholder.changed.wait(), BEAT_S)
            self._keyholder.changed.clear()

    def _condition(self) -> Condition | None:
        ready = self._keyholder.ready
        if self._pulse.stale():
            return "supervisor-silent"
        if "keyholder" in self._silent:
            return "keyholder-silent"
        if isinstance(ready, NotReady):
            return ready.condition
        if self._others.intersection(self._silent):
            return "front-silent"
        return None if self._clients.current() else "revocation-lists"

    def _report(self, condition: Condition | None, *, serving: bool) -> FrontReport:
        clients = self._clients.now
        crl_until = clients.current_until
        return FrontReport(
            serving=serving,
            condition=condition,
            jobs=self._service.running,
            crl_until=None if crl_until is None else int(crl_until.timestamp()),
            authorities_until=int(clients.authorities_until.timestamp()),
            revoked=clients.revoked,
        )
