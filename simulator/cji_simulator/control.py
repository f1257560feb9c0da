"""The simulation's control interface over HTTP, for testers. It listens on loopback and protects nothing.

| request | does |
|---|---|
| GET, POST, DELETE /faults | the orders in force; one more; none |
| POST /events/NAME | lets an event happen; extend-pcr takes `{"pcr": 7}`, reboot `{"image": "2"}` |
| PUT /vault/deleted | deletes the vault, or recovers it: `true` or `false` |
| GET /vault/deleted | whether it is deleted |
| POST /machines | starts one more VM of the same kind; its `Machine` |
| POST /machines?qemu=1 | the vTPM of one that QEMU runs, which boots and measures itself |
| PUT /publication | what Intel says of the processor's TCB from now on, `intel.Publication` |
| POST /entra-token | a token of an application, `entra.TokenOrder` |
| GET /entra-fetches | how often key sets were fetched |
| GET /unit | what has been asked of the worker's unit, and what it reports: `Unit` |
| PUT /unit | its report, `UnitReport` |
| POST /reset | asks for a new simulation in place of this one |
| POST /operator-token | a token of the keys' owner, for the vault's own interface, or for `?resource=` |
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from cji_core.documents import decode
from cji_simulator.endpoints import Machine, Unit, UnitReport
from cji_simulator.entra import Entra, TokenOrder
from cji_simulator.faults import Event, Fault, Faults
from cji_simulator.identity import Identities, Role
from cji_simulator.intel import Intel, Publication
from cji_simulator.keyvault import KeyVault
from cji_simulator.maa import SigningKeys

__all__ = ["Control", "EventOptions"]


class EventOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of an event: `pcr` is 0 to 23, `machine` a number of a `Machine`, `image` the name of what it boots."""

    pcr: int = 7
    logged: bool = True
    machine: int = 0
    image: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.pcr <= 23:
            raise ValueError("a PCR is 0 to 23")


class Control:
    """Carries orders to those who execute them; `events` must name a handler for each."""

    def __init__(
        self,
        *,
        faults: Faults,
        events: Mapping[Event, Callable[[EventOptions], Awaitable[None]]],
        identities: Identities,
        intel: Intel,
        vault: KeyVault,
        new_machine: Callable[[bool], Awaitable[Machine]],
        signing: SigningKeys,
        entra: Entra,
    ) -> None:
        self._entra, self._unit = entra, Unit()
        self._signing = signing
        self._new_machine = new_machine
        self._faults = faults
        self._events = events
        self._identities = identities
        self._intel = intel
        self._vault = vault

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/faults", self._list),
                web.post("/faults", self._add),
                web.delete("/faults", self._clear),
                web.post("/events/{name}", self._event),
                web.post("/machines", self._machine),
                web.get("/signing-keys", self._signing_keys),
                web.get("/unit", self._show_unit),
                web.put("/unit", self._report_unit),
                web.post("/reset", self._reset),
                web.put("/publication", self._publish),
                web.post("/operator-token", self._token),
                web.get("/vault/deleted", self._vault_deleted),
                web.put("/vault/deleted", self._delete_vault),
                web.post("/entra-token", self._entra_token),
                web.get("/entra-fetches", self._entra_fetches),
            ]
        )
        return app

    async def _list(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(list(self._faults)), content_type="application/json")

    async def _add(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(decode(await request.read(), Fault, limit=1 << 20))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.json_response({})

    async def _clear(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({})

    async def _event(self, request: web.Request) -> web.Response:
        try:
            happen = self._events[Event(request.match_info["name"])]
            options = decode(await request.read() or b"{}", EventOptions, limit=1 << 20)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        await happen(options)
        if happen is self._events[Event.REBOOT] and options.machine == 0:
            self._unit = msgspec.structs.replace(self._unit, boot=self._unit.boot + 1)
        return web.json_response({})

    async def _show_unit(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._unit), content_type="application/json")

    async def _report_unit(self, request: web.Request) -> web.Response:
        try:
            report = decode(await request.read(), UnitReport, limit=1 << 20)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        self._unit = msgspec.structs.replace(self._unit, report=report)
        return web.json_response({})

    async def _reset(self, _: web.Request) -> web.Response:
        self._unit = msgspec.structs.replace(self._unit, reset=True)
        return web.json_response({})

    async def _machine(self, request: web.Request) -> web.Response:
        made = await self._new_machine("qemu" in request.query)
        return web.Response(body=msgspec.json.encode(made), content_type="application/json")

    async def _signing_keys(self, _: web.Request) -> web.Response:
        return web.json_response(self._signing.spki_sha256)

    async def _publish(self, request: web.Request) -> web.Response:
        try:
            self._intel.publication = decode(await request.read(), Publication, limit=1 << 20)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.json_response({})

    async def _entra_token(self, request: web.Request) -> web.Response:
        try:
            order = decode(await request.read(), TokenOrder, limit=1 << 20)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.json_response({"token": await asyncio.to_thread(self._entra.mint, order)})

    async def _entra_fetches(self, _: web.Request) -> web.Response:
        return web.json_response(self._entra.fetches)

    async def _token(self, request: web.Request) -> web.Response:
        resource = request.query.get("resource", self._vault.resource)
        return web.json_response({"token": self._identities.issue(Role.OPERATOR, resource)})

    async def _vault_deleted(self, _: web.Request) -> web.Response:
        return web.json_response(self._vault.deleted)

    async def _delete_vault(self, request: web.Request) -> web.Response:
        self._vault.deleted = bool(await request.json())
        return web.json_response({})
