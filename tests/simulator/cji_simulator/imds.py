"""The instance metadata service: AMD certificates or TD quotes, place and id of the VM, tokens of its identity."""

import time
import uuid
from typing import Final

import msgspec
from aiohttp import web

from cji_simulator.certificates import pem
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.faults import Faults, Handler, Service, middleware
from cji_simulator.identity import LIFETIME, Identities, Role
from cji_simulator.roots import Roots
from cji_simulator.tdx import TdxHost

__all__ = ["LOCATION", "MetadataService"]

LOCATION: Final = "eastus"


@web.middleware
async def _from_the_vm(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a request forged through a server in the VM looks like."""
    if request.headers.get("Metadata", "").lower() != "true" or "X-Forwarded-For" in request.headers:
        return web.json_response({"error": "Bad request. Required metadata header not specified"}, status=400)
    return await handler(request)


class MetadataService:
    """What 169.254.169.254 serves to one VM."""

    def __init__(
        self, *, roots: Roots, host: TdxHost | None, vm_id: uuid.UUID, identities: Identities, faults: Faults
    ) -> None:
        self._roots = roots
        self._host = host
        self._vm_id = vm_id
        self._identities = identities
        self._faults = faults

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.IMDS, self._faults), _from_the_vm])
        app.add_routes(
            [
                web.get("/metadata/THIM/amd/certification", self._certificates),
                web.post("/acc/tdquote", self._td_quote),
                web.get("/metadata/instance/compute/location", self._location),
                web.get("/metadata/instance/compute/vmId", self._id),
                web.get("/metadata/identity/oauth2/token", self._token),
            ]
        )
        return app

    async def _certificates(self, request: web.Request) -> web.Response:
        if self._host is not None:
            return web.Response(status=404)  # not a host with SEV-SNP
        roots = self._roots
        return web.json_response(
            {
                "vcekCert": pem(roots.vcek.certificate).decode(),
                "tcbm": roots.tcb.tcbm,
                "certificateChain": (pem(roots.ask.certificate) + pem(roots.ark.certificate)).decode(),
                "cacheControl": "86400",
            }
        )

    async def _td_quote(self, request: web.Request) -> web.Response:
        if self._host is None:
            return web.Response(status=404)  # not a host with TDX
        try:
            report = msgspec.json.decode(await request.read(), type=dict[str, str])["report"]
            return web.json_response({"quote": b64url(self._host.quote(unb64url(report)))})
        except (KeyError, ValueError):
            return web.json_response({"error": "Bad request. The report is not one of this machine"}, status=400)

    async def _location(self, request: web.Request) -> web.Response:
        return self._text(request, LOCATION)

    async def _id(self, request: web.Request) -> web.Response:
        return self._text(request, str(self._vm_id))

    @staticmethod
    def _text(request: web.Request, value: str) -> web.Response:
        if "api-version" not in request.query or request.query.get("format") != "text":
            return web.json_response({"error": "Bad request. api-version or format is invalid"}, status=400)
        return web.Response(text=value)

    async def _token(self, request: web.Request) -> web.Response:
        resource = request.query.get("resource")
        if not resource or "api-version" not in request.query:
            return web.json_response(
                {"error": "invalid_request", "error_description": "Required audience parameter not specified"},
                status=400,
            )
        return web.json_response(
            {
                "access_token": self._identities.issue(Role.WORKER, resource),
                "client_id": request.query.get("client_id", str(self._vm_id)),
                "expires_in": str(LIFETIME),
                "expires_on": str(int(time.time()) + LIFETIME),
                "not_before": str(int(time.time())),
                "resource": resource,
                "token_type": "Bearer",
            }
        )
