"""What can be made to go wrong, service by service.

Faults of transport (`STATUS`, `SLOW`, `DOWN`, `MALFORMED`) strike any request of a service, before it is looked at.
The others change one answer and are asked for by name in the service that gives it. A fault strikes `times` times,
or until cleared.
"""

import asyncio
import enum
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

__all__ = ["Fault", "Faults", "Handler", "Kind", "Service", "middleware"]


class Service(enum.StrEnum):
    """Whose answers change."""

    MAA = "maa"
    VAULT = "vault"
    IMDS = "imds"


class Kind(enum.StrEnum):
    """What happens."""

    STATUS = "status"  # answers `status`, with Retry-After where `seconds` is set
    SLOW = "slow"  # answers after `seconds`
    DOWN = "down"  # closes the connection without an answer
    MALFORMED = "malformed"  # answers 200 with half a JSON object
    EXPIRED = "expired"  # maa: the token's life is over
    FUTURE = "future"  # maa: the token's life has not begun
    WRONG_NONCE = "wrong-nonce"  # maa: the token carries somebody else's nonce
    DEBUGGABLE = "debuggable"  # maa: the guest may be debugged
    TRUSTED_LAUNCH = "trusted-launch"  # maa: a token without any claim about a TEE
    UNSIGNED = "unsigned"  # maa: alg none
    REPLACED_STATEMENT = "replaced-statement"  # vault: answers with the nonce of another request
    FORBIDDEN = "forbidden"  # vault: the identity has no permission to release


TRANSPORT: Final = (Kind.STATUS, Kind.SLOW, Kind.DOWN, Kind.MALFORMED)


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One order to fail. `times=None` means until cleared."""

    service: Service
    kind: Kind
    status: int = 503
    seconds: float = 0.0
    times: int | None = None


class Faults:
    """The orders in force."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put an order in force."""
        self._orders.append(fault)

    def clear(self) -> None:
        """Drop all orders."""
        self._orders.clear()

    def take(self, service: Service, *kinds: Kind) -> Fault | None:
        """Return the oldest matching order and count it as struck."""
        for order in self._orders:
            if order.service is service and order.kind in kinds:
                if order.times is not None:
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                return order
        return None


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError


def middleware(service: Service, faults: Faults) -> Middleware:
    """Return the aiohttp middleware that carries out orders of transport."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = faults.take(service, *TRANSPORT)
        if fault is None:
            return await handler(request)
        match fault.kind:
            case Kind.STATUS:
                headers = {"Retry-After": str(int(fault.seconds))} if fault.seconds else {}
                body = {"error": {"code": "Simulated", "message": "A fault that was ordered."}}
                return web.json_response(body, status=fault.status, headers=headers)
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            case Kind.DOWN:
                return _drop(request)
            case _:
                return web.Response(body=b'{"value":', content_type="application/json")

    return strike
