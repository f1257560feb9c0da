"""GET and PUT /policies/TYPE of an attestation provider: the policy in force, and a new one from an operator.

A policy travels as {"AttestationPolicy": base64url(text)} in a JWS without a signature, or signed with RS256 by the key
of its x5c. Answers are {"token": JWT} that the provider signs. Texts are looked at as far as the version; what a policy
says is not carried out.
"""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator import jws
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.identity import Identities, Role

__all__ = ["RESOURCE", "Policies"]

RESOURCE: Final = "https://attest.azure.net"
LIFETIME: Final = 28800  # seconds
_EVERYTHING: Final = "version= 1.0;authorizationrules{=> permit();};"
_GUEST_DENIES: Final = (
    "x-ms-azurevm-default-securebootkeysvalidated",
    "x-ms-azurevm-debuggersdisabled",
    "secureboot",
    "x-ms-azurevm-signingdisabled",
    "x-ms-azurevm-dbvalidated",
    "x-ms-azurevm-dbxvalidated",
)
_GUEST: Final = (
    "version= 1.0;\nauthorizationrules\n{\n"
    + "".join(f'    [type=="{claim}", value==false] => deny();\n' for claim in _GUEST_DENIES)
    + "    => permit();\n};\nissuancerules\n{\n};"
)
_TEXT: Final = re.compile(r"\s*version\s*=\s*1\.[0-2];\s*(configurationrules|authorizationrules)\b")


class Policies:
    """The policies of one provider; `sign` makes its tokens."""

    def __init__(self, *, issuer: str, identities: Identities, sign: Callable[[Mapping[str, Any]], str]) -> None:
        self._issuer = issuer
        self._identities = identities
        self._sign = sign
        default = {"AzureGuest": _GUEST, "SevSnpVm": _EVERYTHING, "TdxVm": _EVERYTHING}
        self._stored = {
            kind: jws.unsigned({"AttestationPolicy": b64url(text.encode())}) for kind, text in default.items()
        }

    def hash(self, kind: str) -> str:
        """Return the x-ms-policy-hash of the policy in force."""
        encoded = jws.split(self._stored[kind])[1]["AttestationPolicy"]
        return b64url(hashlib.sha256(encoded.rstrip("=").encode()).digest())

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [web.get("/policies/{kind}", self._get), web.put("/policies/{kind}", self._put)]

    def _refusal(self, request: web.Request) -> web.Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        identity = self._identities.find(token, RESOURCE) if scheme == "Bearer" else None
        if identity is None:
            return _error(401, "Unauthorized", "A token of the operator is missing.")
        if identity.role is not Role.OPERATOR:
            return _error(403, "Forbidden", "The identity has no role at this provider.")
        if request.match_info["kind"] not in self._stored:
            return _error(400, "InvalidParameter", "The attestation type is not known.")
        return None

    async def _get(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        return refusal or self._answer({"x-ms-policy": self._stored[request.match_info["kind"]]})

    async def _put(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        statement = (await request.read()).decode("ascii", "replace")
        try:
            _check(statement)
        except (ValueError, LookupError, TypeError) as error:
            return _error(400, "PolicyParsingError", str(error))
        self._stored[request.match_info["kind"]] = statement
        digest = b64url(hashlib.sha256(statement.encode()).digest())
        return self._answer({"x-ms-policy-result": "Updated", "x-ms-policy-token-hash": digest})

    def _answer(self, claims: Mapping[str, Any]) -> web.Response:
        now = int(time.time())
        times = {"iss": self._issuer, "iat": now, "nbf": now, "exp": now + LIFETIME}
        return web.json_response({"token": self._sign({**times, **claims})})


def _check(statement: str) -> None:
    header, payload = jws.split(statement)
    if header["alg"] == "RS256":
        key = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0])).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("not an RSA certificate")
        jws.verify(statement, key)
    elif header["alg"] != "none" or not statement.endswith("."):
        raise ValueError("neither unsigned nor RS256")
    if not _TEXT.match(unb64url(payload["AttestationPolicy"]).decode("utf-8")):
        raise ValueError("not a policy")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response(
        {"error": {"code": code, "message": message}}, status=status, headers={"x-ms-error-code": code}
    )
