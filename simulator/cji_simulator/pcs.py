"""Intel's Provisioning Certification Service, API v4, and the distribution point of the root's CRL.

GET /tdx/certification/v4/tcb, /tdx/certification/v4/qe/identity, /sgx/certification/v4/pckcrl, /IntelSGXRootCA.der.
The first two have two update channels, "standard" by default and "early".
The service signs each answer again; issuer chains are in headers, URL-encoded.
"""

import datetime
import re
from typing import Final
from urllib.parse import quote

from aiohttp import web

from cji_simulator.faults import Faults, Service
from cji_simulator.http_faults import middleware
from cji_simulator.intel import FMSPC, Collateral, Intel, Statements

__all__ = ["CertificationService"]

_FMSPC: Final = re.compile(r"[0-9A-Fa-f]{12}")


class CertificationService:
    """Intel's public service."""

    def __init__(self, *, intel: Intel, faults: Faults) -> None:
        self._intel = intel
        self._faults = faults

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.INTEL, self._faults)])
        app.add_routes(
            [
                web.get("/tdx/certification/v4/tcb", self._tcb),
                web.get("/tdx/certification/v4/qe/identity", self._identity),
                web.get("/sgx/certification/v4/pckcrl", self._pck_crl),
                web.get("/IntelSGXRootCA.der", self._root_crl),
            ]
        )
        return app

    def _published(self) -> Collateral:
        return self._intel.collateral(datetime.datetime.now(datetime.UTC).replace(microsecond=0))

    def _channel(self, request: web.Request) -> Statements | None:
        """The statements of the update channel that is asked for; None for another one."""
        published = self._published()
        return {"standard": published, "early": published.early}.get(request.query.get("update", "standard"))

    async def _tcb(self, request: web.Request) -> web.Response:
        fmspc = request.query.get("fmspc", "")
        if not _FMSPC.fullmatch(fmspc):
            return web.Response(status=400)
        if fmspc.lower() != FMSPC.hex():
            return web.Response(status=404)
        found = self._channel(request)
        if found is None:
            return web.Response(status=400)
        return _statement("tcbInfo", found.tcb_info, found.tcb_info_signature, "TCB-Info", found.tcb_info_issuer_chain)

    async def _identity(self, request: web.Request) -> web.Response:
        found = self._channel(request)
        if found is None:
            return web.Response(status=400)
        signed = found.qe_identity, found.qe_identity_signature
        return _statement("enclaveIdentity", *signed, "SGX-Enclave-Identity", found.qe_identity_issuer_chain)

    async def _pck_crl(self, request: web.Request) -> web.Response:
        if request.query.get("encoding") != "der" or request.query.get("ca") not in {"platform", "processor"}:
            return web.Response(status=400)  # the real service has PEM too
        if request.query["ca"] == "processor":
            return web.Response(status=404)  # this Intel has no such CA
        found = self._published()
        headers = {"SGX-PCK-CRL-Issuer-Chain": quote(found.pck_crl_issuer_chain)}
        return web.Response(body=found.pck_crl, content_type="application/pkix-crl", headers=headers)

    async def _root_crl(self, request: web.Request) -> web.Response:
        return web.Response(body=self._published().root_ca_crl, content_type="application/octet-stream")


def _statement(member: str, text: str, signature: bytes, header: str, chain: str) -> web.Response:
    body = f'{{"{member}":{text},"signature":"{signature.hex()}"}}'
    headers = {f"{header}-Issuer-Chain": quote(chain)}
    return web.Response(text=body, content_type="application/json", headers=headers)
