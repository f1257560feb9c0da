"""Microsoft Entra, as a worker and a submitter see it: key sets of tenants, and access tokens of applications.

GET /TENANT/discovery/v2.0/keys. Tokens come from the control interface, as no tester registers applications. As in the
real service, one set of signing keys serves every tenant, so a signature alone names no tenant.

A `TokenOrder` describes a good token, and in what it is to be wrong.
"""

import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator import jws
from cji_simulator.encoding import b64url, public_jwk
from cji_simulator.faults import Faults, Service
from cji_simulator.http_faults import middleware

__all__ = ["Entra", "TokenOrder"]

_TENANT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIFETIME: Final = 3600


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token of an application, bound to a certificate (hexadecimal SHA-256 of its DER).

    `claims` and `header` replace members, or remove those that are null. `forgery` is how it is signed, if not by the
    tenant: not at all, with HMAC over the public key, or with the key of a stranger under the tenant's `kid`. `twice`
    is a claim that is there a second time, with the value null.
    """

    tenant: str
    client: str
    audience: str
    roles: tuple[str, ...]
    certificate_sha256: str
    claims: dict[str, Any] = {}
    header: dict[str, Any] = {}
    forgery: Literal["unsigned", "hs256", "stranger"] | None = None
    twice: str | None = None


class Entra:
    """The authority of one cloud."""

    def __init__(self, *, faults: Faults) -> None:
        self.url = ""
        """Set once the address is known."""
        self.fetches = 0
        self._faults = faults
        self.signing_keys: dict[str, rsa.RSAPrivateKey] = {}
        """By their kid; made when they are first needed."""

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.ENTRA, self._faults)])
        app.add_routes([web.get("/{tenant}/discovery/v2.0/keys", self._discovery)])
        return app

    def rotate(self) -> None:
        """Sign with a new key from now on; no other is published any more."""
        self.signing_keys = {b64url(uuid.uuid4().bytes): rsa.generate_private_key(65537, 2048)}

    def mint(self, order: TokenOrder) -> str:
        """Return the token."""
        kid, key = self._signing()
        now = int(time.time())
        claims = {
            "aud": order.audience,
            "iss": f"{self.url}/{order.tenant}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + _LIFETIME,
            "azp": order.client,
            "azpacr": "2",
            "cnf": {"x5t#S256": b64url(bytes.fromhex(order.certificate_sha256))},
            "idtyp": "app",
            "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, order.client)),
            "roles": list(order.roles),
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, order.client)),
            "tid": order.tenant,
            "uti": b64url(uuid.uuid4().bytes[:15]).replace("-", "A").replace("_", "B"),
            "ver": "2.0",
        }
        header = _changed({"typ": "JWT", "alg": "RS256", "kid": kid}, order.header)
        claims = _changed(claims, order.claims)
        match order.forgery:
            case "unsigned":
                return jws.unsigned(claims)
            case "hs256":
                return jws.hs256(header | {"alg": "HS256"}, claims, key.public_key())
            case "stranger":
                return jws.sign(header, claims, rsa.generate_private_key(65537, 2048))
        if order.twice is not None:
            text = json.dumps(claims)
            return jws.sign_bytes(header, f"{text[:-1]}, {json.dumps(order.twice)}: null}}".encode(), key)
        return jws.sign(header, claims, key)

    def _signing(self) -> tuple[str, rsa.RSAPrivateKey]:
        if not self.signing_keys:
            self.rotate()
        return next(iter(self.signing_keys.items()))

    async def _discovery(self, request: web.Request) -> web.Response:
        if not _TENANT.fullmatch(request.match_info["tenant"]):
            return web.Response(status=400)
        self.fetches += 1
        self._signing()
        template = f"{self.url}/{{tenantid}}/v2.0"
        keys = [
            {"use": "sig", "kid": kid, "x5t": kid, "issuer": template, **public_jwk(key.public_key())}
            for kid, key in self.signing_keys.items()
        ]
        return web.json_response({"keys": keys})


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}
