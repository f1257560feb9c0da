"""`grpc.health.v1` behind the guard: the one service that a caller with a certificate, but without a policy, may call.

The library's servicer would read requests before the guard and keep watchers without bound.
"""

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2 as pb

from cji_worker.front.guard import Call, Guard
from cji_worker.front.submitters import Kind

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
