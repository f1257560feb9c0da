"""The instance metadata service: AMD certificates or TD quotes, place and id of the VM, tokens of its identity."""

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from cji_core.documents import decode
from cji_simulator.certificates import pem
from cji_simulator.encoding import b64, b64url, unb64url
from cji_simulator.faults import Faults, Kind, Service
from cji_simulator.http_faults import Handler, middleware
from cji_simulator.identity import CLIENT_ID, LIFETIME, Identities, Role
from cji_simulator.roots import Roots
from cji_simulator.scheduled_events import ScheduledEvents
from cji_simulator.tdx import TdxHost

__all__ = ["LOCATION", "NAME", "MetadataService"]

LOCATION: Final = "eastus"
NAME: Final = "cji-vmss_3"
"""Of the machine in its scale set."""
_WITHOUT_VERSION: Final = ("/metadata/THIM/amd/certification", "/acc/tdquote")
# learn.microsoft.com, "Azure Instance Metadata Service", "Supported API versions"
_VERSIONS: Final = (
    *("2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01"),
    *("2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01"),
    *(
        "2020-06-01",
        "2020-07-01",
        "2020-07-15",
        "2020-09-01",
        "2020-10-01",
        "2020-12-01",
        "2021-01-01",
        "2021-02-01",
        "2021-03-01",
    ),
    *("2021-05-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01"),
)


@web.middleware
async def _from_the_vm(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a request forged through a server in the VM looks like, and one of no known version."""
    if request.headers.get("Metadata", "").lower() != "true" or "X-Forwarded-For" in request.headers:
        return web.json_response({"error": "Bad request. Required metadata header not specified"}, status=400)
    if request.path not in _WITHOUT_VERSION and request.query.get("api-version") not in _VERSIONS:
        text = "Bad request. api-version is invalid or was not specified in the request."
        return web.json_response({"error": text, "newest-versions": _VERSIONS[:-4:-1]}, status=400)
    return await handler(request)


def _invalid(description: str) -> web.Response:
    return web.json_response({"error": "invalid_request", "error_description": description}, status=400)


class MetadataService:
    """The content of 169.254.169.254 for one VM."""

    def __init__(
        self,
        *,
        roots: Roots,
        host: TdxHost | None,
        vm_id: uuid.UUID,
        identities: Identities,
        faults: Faults,
        user_data: Path | None = None,
        events: ScheduledEvents | None = None,
    ) -> None:
        """`user_data` is the file of them, read at each request."""
        self._events = events or ScheduledEvents()
        self._roots = roots
        self._host = host
        self._vm_id = vm_id
        self._user_data_file = user_data
        self._identities = identities
        self._faults = faults

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.IMDS, self._faults), _from_the_vm])
        app.add_routes(
            [
                web.get("/metadata/THIM/amd/certification", self._certificates),
                web.post("/acc/tdquote", self._td_quote),
                web.get("/metadata/scheduledevents", self._scheduled),
                web.post("/metadata/scheduledevents", self._approved),
                web.get("/metadata/instance/compute", self._compute),
                web.get("/metadata/instance/compute/location", self._location),
                web.get("/metadata/instance/compute/vmId", self._id),
                web.get("/metadata/instance/compute/userData", self._user_data),
                web.get("/metadata/identity/oauth2/token", self._token),
            ]
        )
        return app

    async def _certificates(self, request: web.Request) -> web.Response:
        if self._host is not None:
            return web.Response(status=404)  # not a host with SEV-SNP
        roots, tcb = self._roots, self._roots.tcb
        if self._faults.take(Service.IMDS, Kind.WRONG_TCBM):
            tcb = replace(tcb, microcode=tcb.microcode - 1)
        return web.json_response(
            {
                "vcekCert": pem(roots.vcek.certificate).decode(),
                "tcbm": tcb.tcbm,
                "certificateChain": (pem(roots.ask.certificate) + pem(roots.ark.certificate)).decode(),
                "cacheControl": "86400",
            }
        )

    async def _td_quote(self, request: web.Request) -> web.Response:
        if self._host is None:
            return web.Response(status=404)  # not a host with TDX
        try:
            report = decode(await request.read(), dict[str, str], limit=1 << 20)["report"]
            return web.json_response({"quote": b64url(self._host.quote(unb64url(report)))})
        except (KeyError, ValueError):
            return web.json_response({"error": "Bad request. The report is not one of this machine"}, status=400)

    async def _scheduled(self, _: web.Request) -> web.Response:
        return web.Response(body=self._events.document(), content_type="application/json")

    async def _approved(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self._events.approve(await request.read()) else 400)

    async def _compute(self, _: web.Request) -> web.Response:
        return web.json_response({"name": NAME, "location": LOCATION, "vmId": str(self._vm_id)})

    async def _location(self, request: web.Request) -> web.Response:
        abroad = self._faults.take(Service.IMDS, Kind.ELSEWHERE)
        return self._text(request, "westeurope" if abroad else LOCATION)

    async def _id(self, request: web.Request) -> web.Response:
        return self._text(request, str(self._vm_id))

    async def _user_data(self, request: web.Request) -> web.Response:
        """As the VM's owner put them, in base64; nothing if there are none."""
        file = self._user_data_file
        found = file.read_bytes() if file is not None and file.is_file() else b""
        return self._text(request, b64(found))

    @staticmethod
    def _text(request: web.Request, value: str) -> web.Response:
        if request.query.get("format") != "text":
            return web.json_response({"error": "Bad request. This simulation serves format=text alone"}, status=400)
        return web.Response(text=value)

    async def _token(self, request: web.Request) -> web.Response:
        resource, client_id = request.query.get("resource"), request.query.get("client_id")
        if not resource:
            return _invalid("Required audience parameter not specified")
        if client_id is None and self._faults.take(Service.IMDS, Kind.SEVERAL_IDENTITIES):
            return _invalid(
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in "
                "the token request"
            )
        if client_id not in {None, CLIENT_ID} or {"object_id", "msi_res_id"} & set(request.query):
            return _invalid("Identity not found")
        return web.json_response(
            {
                "access_token": self._identities.issue(Role.WORKER, resource),
                "client_id": CLIENT_ID,
                "expires_in": str(LIFETIME),
                "expires_on": str(int(time.time()) + LIFETIME),
                "not_before": str(int(time.time())),
                "resource": resource,
                "token_type": "Bearer",
            }
        )
