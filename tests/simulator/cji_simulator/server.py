"""Every service of one simulation in one event loop. When all of them answer, `STATE/endpoints.json` appears."""

import asyncio
import contextlib
import socket
import ssl
import uuid
from pathlib import Path

import msgspec
from aiohttp import web

from cji_simulator.faults import Fault, Faults
from cji_simulator.identity import Identities, Role
from cji_simulator.imds import LOCATION, MetadataService
from cji_simulator.keyvault import KeyVault
from cji_simulator.maa import AttestationService
from cji_simulator.roots import HOST, Roots
from cji_simulator.vtpm import VirtualTpm

__all__ = ["ENDPOINTS", "Endpoints", "serve"]

ENDPOINTS = "endpoints.json"


class Endpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where everything is and which roots vouch for it. Public data."""

    maa_url: str
    vault_url: str
    vault_resource: str
    imds_url: str
    control_url: str
    tcti: str
    region: str
    vm_id: str
    tls_roots: str
    release_roots: str
    ark_spki_sha256: str


class _Control:
    """What a tester may order. Listens on loopback like all else; guards nothing."""

    def __init__(self, *, faults: Faults, maa: AttestationService, identities: Identities, resource: str) -> None:
        self._faults = faults
        self._maa = maa
        self._identities = identities
        self._resource = resource

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/faults", self._add),
                web.delete("/faults", self._clear),
                web.post("/maa/rotate", self._rotate),
                web.post("/operator-token", self._token),
            ]
        )
        return app

    async def _add(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(msgspec.json.decode(await request.read(), type=Fault))
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        return web.json_response({})

    async def _clear(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({})

    async def _rotate(self, request: web.Request) -> web.Response:
        self._maa.rotate()
        return web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"token": self._identities.issue(Role.OPERATOR, self._resource)})


def _listen() -> tuple[socket.socket, int]:
    listener = socket.create_server((HOST, 0))
    return listener, int(listener.getsockname()[1])


def _tls(roots: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(roots / "tls.pem", roots / "tls.key")
    return context


async def serve(state: Path, *, limit: int, report_period: float, stop: asyncio.Event) -> None:
    """Run until `stop` is set.

    `limit` is the vault's number of creations and releases in ten seconds, `report_period` the least time in seconds
    between two hardware reports.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state / ENDPOINTS).unlink(missing_ok=True)
    roots = await asyncio.to_thread(Roots.open, state / "roots")
    vm_id, faults, identities = uuid.uuid4(), Faults(), Identities()
    (maa_socket, maa_port), (vault_socket, vault_port), (imds_socket, imds_port), (control_socket, control_port) = (
        _listen() for _ in range(4)
    )
    # The audience that a vault names must be a parent domain of its host, as vault.azure.net is of a vault's name.
    # 0.0.1 stands so to 127.0.0.1, and the client's check of that rule stays on.
    resource = f"https://0.0.1:{vault_port}"
    maa = AttestationService(issuer=f"https://{HOST}:{maa_port}", roots=roots, faults=faults)
    vault = KeyVault(
        url=f"https://{HOST}:{vault_port}",
        resource=resource,
        roots=roots,
        identities=identities,
        faults=faults,
        limit=limit,
    )
    imds = MetadataService(roots=roots, vm_id=vm_id, identities=identities, faults=faults)
    control = _Control(faults=faults, maa=maa, identities=identities, resource=resource)
    tls = _tls(state / "roots")
    async with contextlib.AsyncExitStack() as stack:
        tpm = await VirtualTpm.start(folder=state, roots=roots, vm_id=vm_id, report_period=report_period)
        stack.push_async_callback(tpm.stop)
        for app, listener, context in (
            (maa.application(), maa_socket, tls),
            (vault.application(), vault_socket, tls),
            (imds.application(), imds_socket, None),
            (control.application(), control_socket, None),
        ):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener, ssl_context=context).start()
        endpoints = Endpoints(
            maa_url=maa.issuer,
            vault_url=vault.url,
            vault_resource=resource,
            imds_url=f"http://{HOST}:{imds_port}",
            control_url=f"http://{HOST}:{control_port}",
            tcti=tpm.tcti,
            region=LOCATION,
            vm_id=str(vm_id),
            tls_roots=roots.tls_pem,
            release_roots=roots.release_pem,
            ark_spki_sha256=roots.ark_spki_sha256,
        )
        part = state / f"{ENDPOINTS}.part"
        part.write_bytes(msgspec.json.encode(endpoints))
        part.rename(state / ENDPOINTS)
        stack.callback((state / ENDPOINTS).unlink)
        await stop.wait()
