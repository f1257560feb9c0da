"""Orders of transport, as a middleware of each HTTP service carries them out."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from cji_simulator.faults import TRANSPORT, Fault, Faults, Kind, Service

__all__ = ["Handler", "middleware"]


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError


def _refusal(fault: Fault) -> web.Response:
    headers = {"x-ms-error-code": "Simulated"}
    if fault.seconds:
        headers["Retry-After"] = str(int(fault.seconds))
    body = {"error": {"code": "Simulated", "message": "A fault that was ordered."}}
    return web.json_response(body, status=fault.status or 503, headers=headers)


def middleware(service: Service, faults: Faults) -> Middleware:
    """Return the aiohttp middleware that carries out orders of transport."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = faults.take(service, *TRANSPORT, path=request.path)
        if fault is None:
            return await handler(request)
        match fault.kind:
            case Kind.STATUS:
                return _refusal(fault)
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds or 0)
                return await handler(request)
            case Kind.DOWN:
                return _drop(request)
            case _:
                return web.Response(body=b'{"value":', content_type="application/json")

    return strike
