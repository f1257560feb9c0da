"""A premium Key Vault over TLS: challenge authentication, keys with release policies, release, throttling.

Errors have the codes and texts that the service has been seen to send. Creating and releasing HSM keys is limited to
ten calls in ten seconds, as in the service's documented limits. `managed_hsm.py` has what an HSM does differently.
"""

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp import web

from cji_simulator import statement
from cji_simulator.certificates import Credential
from cji_simulator.diagnostic_log import DiagnosticLog
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.errors import SimulatorError
from cji_simulator.faults import Faults, Kind, Service
from cji_simulator.http_faults import Handler, middleware
from cji_simulator.identity import Identities, Role
from cji_simulator.release_policy import PolicyError, ReleasePolicy
from cji_simulator.roots import Roots
from cji_simulator.vault_keys import WRAPS, Backups, Key, KeyVersion, new_material, use, verifies, wrap

__all__ = ["TENANT", "KeyVault", "Refused"]

TENANT: Final = "11111111-1111-1111-1111-111111111111"
_WINDOW: Final = 10.0  # seconds
_OPERATIONS: Final = {"sign": "sign", "decrypt": "decrypt", "unwrapkey": "unwrapKey"}
"""By the last segment of their paths."""


class Refused(SimulatorError):  # noqa: N818 - the service's answer
    """An answer with an error, by status and code."""

    code = "vault-refused"
    remedy = "Send the request as the service documents it."

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.inner, self.headers = status, code, inner, headers or {}

    def response(self) -> web.Response:
        """Return it as JSON."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return web.json_response({"error": error}, status=self.status, headers=self.headers)


def _bad(message: str) -> Refused:
    return Refused(400, "BadParameter", message)


class KeyVault:
    """One vault. `url` has no trailing slash; `resource` is the audience that its tokens must have.

    `limit` is the number of creations and releases in ten seconds. Vaults with the same `backups` can restore each
    other's keys. While the vault is `deleted`, nothing answers at its address.
    """

    def __init__(
        self,
        *,
        url: str,
        resource: str,
        roots: Roots,
        identities: Identities,
        faults: Faults,
        limit: int,
        log: DiagnosticLog,
        backups: Backups,
    ) -> None:
        self.url, self.deleted = url, False
        self._log = log
        self.resource = resource
        self._signer = roots.vault
        self._tls = ssl.create_default_context(cadata=roots.tls_pem)
        self._identities = identities
        self._faults = faults
        self._limit = limit
        self._recent: deque[float] = deque()
        self._keys: dict[str, Key] = {}
        self._deleted_keys: dict[str, Key] = {}
        self._backups = backups

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[self._log.middleware, middleware(Service.VAULT, self._faults), self._errors])
        app.add_routes(
            [
                web.post("/keys/{name}/create", self._create),
                web.post("/keys/{name}/rotate", self._rotate),
                web.get("/keys/{name}/versions", self._versions),
                web.post("/keys/restore", self._restore),
                web.post("/keys/{name}/backup", self._backup),
                web.delete("/keys/{name}", self._delete),
                web.get("/deletedkeys/{name}", self._get_deleted),
                web.get("/keys/{name}", self._get),
                web.get("/keys/{name}/{version:.*}", self._get),
                web.patch("/keys/{name}/{version:.*}", self._update),
                web.post("/keys/{name}/{version:[^/]*}/sign", self._use),
                web.post("/keys/{name}/{version:[^/]*}/decrypt", self._use),
                web.post("/keys/{name}/{version:[^/]*}/unwrapkey", self._use),
                web.post("/keys/{name}/{version:[^/]*}/verify", self._verify),
                web.post("/keys/{name}/release", self._release),
                web.post("/keys/{name}/{version:[^/]*}/release", self._release),
            ]
        )
        return app

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.deleted and request.transport is not None:
            request.transport.abort()  # its name is not resolved any more
        try:
            if "api-version" not in request.query:
                raise _bad("api-version must be specified")
            return await handler(request)
        except Refused as refusal:
            return self.refused(refusal)
        except statement.Denied as denial:
            return Refused(403, "Forbidden", str(denial), inner=denial.inner).response()

    def _authorise(self, request: web.Request, *roles: Role) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        identity = self._identities.find(token, self.resource) if kind == "Bearer" else None
        if identity is None:
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{self.resource}"'
            text = "AKV10000: Request is missing a Bearer or PoP token."
            raise Refused(401, "Unauthorized", text, headers={"WWW-Authenticate": challenge})
        if identity.role not in roles:
            raise Refused(403, "Forbidden", "Caller is not authorized to perform action.", inner="ForbiddenByRbac")

    def throttle(self) -> None:
        """Count one creation or release."""
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= _WINDOW:
            self._recent.popleft()
        if len(self._recent) >= self._limit:
            wait = {"Retry-After": str(int(_WINDOW - (now - self._recent[0])) + 1)}
            raise Refused(429, "Throttled", "Request was not processed because too many requests.", headers=wait)
        self._recent.append(now)

    def refused(self, refusal: Refused) -> web.Response:
        """Return the answer with an error."""
        return refusal.response()

    def kept(self, policy: ReleasePolicy) -> ReleasePolicy:
        """Return a policy as it is kept."""
        return policy

    def shown(self, bundle: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a key as it is shown: `key`, `attributes` and `release_policy`."""
        return bundle

    def stated(self, bundle: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a key as a statement has it: without the content type that is shown everywhere else."""
        policy = {name: value for name, value in bundle["release_policy"].items() if name != "contentType"}
        return {**bundle, "release_policy": policy}

    def signed(self, payload: Mapping[str, Any], signer: Credential) -> str:
        """Return a statement."""
        return statement.signed(payload, signer)

    def _find(self, request: web.Request) -> tuple[str, Key, KeyVersion]:
        name = request.match_info["name"]
        key = self._keys.get(name)
        version = key.find(request.match_info.get("version", "")) if key else None
        if key is None or version is None:
            raise Refused(404, "KeyNotFound", f"A key with (name/id) {name} was not found in this key vault.")
        return f"{self.url}/keys/{name}", key, version

    def _deleted_bundle(self, name: str) -> web.Response:
        recovery = {"recoveryId": f"{self.url}/deletedkeys/{name}"}
        key = self._deleted_keys[name]
        return self._bundle(f"{self.url}/keys/{name}", key, key.versions[-1], **recovery)

    def _bundle(self, base: str, key: Key, version: KeyVersion, **more: str) -> web.Response:
        jwk = version.jwk(f"{base}/{version.version}")
        bundle = {"key": jwk, "attributes": version.attributes(), **key.policy_json()}
        return web.json_response({**self.shown(bundle), **more})

    async def _get(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.WORKER, Role.OPERATOR)
        return self._bundle(*self._find(request))

    async def _versions(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.WORKER, Role.OPERATOR)
        base, key, _ = self._find(request)
        listed = [{"kid": f"{base}/{one.version}", "attributes": one.attributes()} for one in key.versions]
        return web.json_response({"value": listed, "nextLink": None})

    async def _create(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        self.throttle()
        body = await _body(request)
        exportable = bool(body.get("attributes", {}).get("exportable"))
        policy, immutable = self._policy(body)
        if exportable and policy is None:
            raise _bad("AKV.SKR.1004: Exportable keys must have release policy.")
        if policy is not None and not exportable:
            raise _bad("AKV.SKR.1005: Non-exportable keys must not have release policy.")
        key = Key(
            kty=str(body.get("kty")),
            size=int(body.get("key_size", 2048)),
            curve=str(body.get("crv", "P-256")),
            policy=policy,
            immutable=immutable,
        )
        version = await self._add(key, operations=list(body.get("key_ops", ())), exportable=exportable)
        name = request.match_info["name"]
        if (old := self._keys.get(name)) is not None:
            key.versions[:0] = old.versions
        self._keys[name] = key
        return self._bundle(f"{self.url}/keys/{name}", key, version)

    async def _add(self, key: Key, *, operations: list[str], exportable: bool) -> KeyVersion:
        try:
            material = await asyncio.to_thread(new_material, kty=key.kty, size=key.size, curve=key.curve)
        except (ValueError, KeyError) as error:
            raise _bad(f"Property {error} has invalid value") from error
        version = KeyVersion(material=material, operations=operations, exportable=exportable)
        key.versions.append(version)
        return version

    async def _rotate(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        self.throttle()
        base, key, last = self._find(request)
        return self._bundle(base, key, await self._add(key, operations=last.operations, exportable=last.exportable))

    async def _update(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        base, key, version = self._find(request)
        body = await _body(request)
        attributes = body.get("attributes", {})
        if attributes.get("exportable", version.exportable) != version.exportable:
            raise _bad("AKV.SKR.1014: Cannot modify the exportable state of a key.")
        policy, immutable = self._policy(body)
        if policy is not None:
            if request.match_info["version"]:
                raise _bad("AKV.SKR.1016: Key Release Policy can only be set on versionless key.")
            if key.immutable:
                raise _bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")
            key.policy, key.immutable = policy, immutable
        version.enabled = bool(attributes.get("enabled", version.enabled))
        version.times |= {name: int(attributes[name]) for name in ("nbf", "exp") if name in attributes}
        return self._bundle(base, key, version)

    async def _delete(self, request: web.Request) -> web.Response:
        """Soft deletion: the key is kept, and its name is taken, for 90 days."""
        self._authorise(request, Role.OPERATOR)
        self._find(request)
        name = request.match_info["name"]
        self._deleted_keys[name] = self._keys.pop(name)
        return self._deleted_bundle(name)

    async def _get_deleted(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        name = request.match_info["name"]
        if name not in self._deleted_keys:
            raise Refused(404, "KeyNotFound", f"Deleted Key not found: {name}")
        return self._deleted_bundle(name)

    async def _backup(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        _, key, _ = self._find(request)
        return web.json_response({"value": b64url(self._backups.keep(request.match_info["name"], key))})

    async def _restore(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.OPERATOR)
        try:
            name, key = self._backups.restored(unb64url(str((await _body(request)).get("value"))))
        except (KeyError, ValueError) as error:
            raise _bad("Backup blob is not valid.") from error
        if name in self._keys or name in self._deleted_keys:
            raise Refused(409, "Conflict", f"A key with (name/id) {name} already exists in this key vault.")
        self._keys[name] = key
        return self._bundle(f"{self.url}/keys/{name}", key, key.versions[-1])

    async def _use(self, request: web.Request) -> web.Response:
        kid, version, body = await self._usable(request, operation := _OPERATIONS[request.path.rsplit("/", 1)[1]])
        try:
            value = use(version.material, operation, str(body.get("alg")), unb64url(str(body.get("value"))))
        except ValueError as error:
            raise _bad(str(error)) from error
        return web.json_response({"kid": kid, "value": b64url(value)})

    async def _verify(self, request: web.Request) -> web.Response:
        _, version, body = await self._usable(request, "verify")
        try:
            digest, signature = (unb64url(str(body.get(member))) for member in ("digest", "value"))
            found = verifies(version.material, str(body.get("alg")), digest, signature)
        except ValueError as error:
            raise _bad(str(error)) from error
        return web.json_response({"value": found})

    async def _usable(self, request: web.Request, operation: str) -> tuple[str, KeyVersion, dict[str, Any]]:
        """The id, the key and the body of a request for an operation that the key permits."""
        self._authorise(request, Role.OPERATOR)
        base, _, version = self._find(request)
        body = await _body(request)
        if not version.enabled:
            raise statement.Denied(f"Operation {operation} is not allowed on a disabled key.", inner="KeyDisabled")
        if operation not in version.operations:
            raise Refused(403, "Forbidden", f"Operation {operation} is not permitted on this key.")
        return f"{base}/{version.version}", version, body

    async def _release(self, request: web.Request) -> web.Response:
        self._authorise(request, Role.WORKER)
        if self._faults.take(Service.VAULT, Kind.FORBIDDEN):
            raise Refused(403, "Forbidden", "Caller is not authorized to perform action.", inner="ForbiddenByRbac")
        self.throttle()
        base, key, version = self._find(request)
        body = await _body(request)
        token, enc = body.get("target"), body.get("enc", "CKM_RSA_AES_KEY_WRAP")
        if not isinstance(token, str) or enc not in WRAPS:
            raise _bad("Property target or enc has invalid value")
        if not version.enabled:
            raise statement.Denied("Operation release is not allowed on a disabled key.", inner="KeyDisabled")
        if key.policy is None:
            raise _bad("The key is not exportable.")
        kid, target = await statement.target(token, key.policy, self._fetch)
        ciphertext = wrap(version.exported(), target=target, enc=enc)
        asked = request.match_info.get("version", "")
        about: dict[str, Any] = {
            "api-version": request.query["api-version"],
            "enc": enc,
            "kid": f"{base}/{asked}" if asked else base,
        }
        if "nonce" in body:
            about["nonce"] = body["nonce"]
        if self._faults.take(Service.VAULT, Kind.REPLACED_STATEMENT):
            about["nonce"] = "another-request"
        jwk = version.jwk(f"{base}/{version.version}")
        jwk["key_hsm"] = statement.key_hsm(kid=kid, enc=enc, ciphertext=ciphertext)
        released = self.stated({"key": jwk, "attributes": version.attributes(), **key.policy_json()})
        payload = {"request": about, "response": {"key": released}}
        return web.json_response({"value": self.signed(payload, self._signer)})

    def _policy(self, body: Mapping[str, Any]) -> tuple[ReleasePolicy | None, bool]:
        given = body.get("release_policy")
        if given is None:
            return None, False
        try:
            return self.kept(ReleasePolicy.parse(unb64url(given["data"]))), bool(given.get("immutable"))
        except (PolicyError, ValueError, KeyError, TypeError) as error:
            raise _bad("AKV.SKR.1002: The release policy is not valid.") from error

    async def _fetch(self, url: str) -> Mapping[str, Any]:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
            response.raise_for_status()
            found: Mapping[str, Any] = await response.json(content_type=None)
            return found


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise _bad("Request body not specified") from error
    if not isinstance(body, dict):
        raise _bad("Request body is invalid")
    return body
