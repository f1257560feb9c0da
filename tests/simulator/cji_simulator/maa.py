"""The attestation service: POST /attest/AzureGuest, the signing keys and OpenID metadata.

Two signing keys, as each real provider has two kinds: one in a certificate that names the provider and signs itself,
one below a CA. Tokens are signed with the first. `rotate` replaces both; the old ones are gone at once.
"""

import os
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_simulator import jws
from cji_simulator.certificates import Credential
from cji_simulator.claims import LIFETIME, guest_claims
from cji_simulator.encoding import b64, b64url, rsa_jwk
from cji_simulator.faults import Faults, Kind, Service, middleware
from cji_simulator.guest import AttestRefused, GuestEvidence, verify
from cji_simulator.roots import Roots

__all__ = ["AttestationService"]

_BODY_MAX: Final = 1 << 20
_API_VERSIONS: Final = ("2020-10-01", "2025-06-01")
_TAG: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _SigningKey:
    kid: str
    credential: Credential

    def jwk(self) -> dict[str, Any]:
        key = rsa_jwk(self.credential.rsa().public_key())
        return {"alg": "RS256", "use": "sig", "kid": self.kid, "x5c": jws.x5c(self.credential), **key}


class AttestationService:
    """One provider. `issuer` is its base URL without a trailing slash."""

    def __init__(self, *, issuer: str, roots: Roots, faults: Faults) -> None:
        self.issuer = issuer
        self._roots = roots
        self._faults = faults
        self._keys: tuple[_SigningKey, ...] = ()
        self.rotate()

    def rotate(self) -> None:
        """Replace the signing keys."""
        own, chained = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self._keys = (
            _SigningKey(kid=b64(os.urandom(32)), credential=self._roots.maa_self_signed(self.issuer, own)),
            _SigningKey(kid=b64url(os.urandom(20)), credential=self._roots.maa_chained(chained)),
        )

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.MAA, self._faults)], client_max_size=_BODY_MAX)
        app.add_routes(
            [
                web.post("/attest/AzureGuest", self._attest),
                web.get("/certs", self._certs),
                web.get("/.well-known/openid-configuration", self._metadata),
            ]
        )
        return app

    async def _certs(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": self.jwks()}, content_type="application/jwk+json")

    def jwks(self) -> list[dict[str, Any]]:
        """Return the public signing keys."""
        return [key.jwk() for key in self._keys]

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "response_types_supported": ["token", "none"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "revocation_endpoint": f"{self.issuer}/revoke",
                "claims_supported": ["iss", "iat", "nbf", "exp", "jti", "x-ms-attestation-type", "x-ms-runtime"],
                "jwks_uri": f"{self.issuer}/certs",
                "issuer": self.issuer,
            }
        )

    async def _attest(self, request: web.Request) -> web.Response:
        try:
            if request.query.get("api-version") not in _API_VERSIONS:
                raise AttestRefused("The api-version is missing or not supported")
            evidence = verify(await request.read(), self._roots)
        except AttestRefused as refusal:
            body = {"error": {"code": refusal.code, "message": str(refusal)}}
            return web.json_response(body, status=400, headers={"x-ms-error-code": refusal.code})
        return web.json_response({"token": _sealed(self._token(evidence), evidence.key)})

    def _token(self, evidence: GuestEvidence) -> str:
        claims = guest_claims(evidence, issuer=self.issuer, now=int(time.time()))
        for fault, change in _CHANGES.items():
            if self._faults.take(Service.MAA, fault):
                change(claims)
        if self._faults.take(Service.MAA, Kind.UNSIGNED):
            return jws.unsigned(claims)
        signer = self._keys[0]
        header = {"jku": f"{self.issuer}/certs", "kid": signer.kid, "typ": "JWT"}
        return jws.sign(header, claims, signer.credential.rsa())


def _shift(claims: dict[str, Any], seconds: int) -> None:
    for name in ("exp", "iat", "nbf"):
        claims[name] += seconds


def _other_nonce(claims: dict[str, Any]) -> None:
    claims["x-ms-runtime"]["client-payload"]["nonce"] = b64(b64(os.urandom(32)).encode())


def _debuggable(claims: dict[str, Any]) -> None:
    claims["x-ms-isolation-tee"]["x-ms-sevsnpvm-is-debuggable"] = True


def _no_tee(claims: dict[str, Any]) -> None:
    del claims["x-ms-isolation-tee"]


_CHANGES: Final = {
    Kind.EXPIRED: lambda claims: _shift(claims, -LIFETIME - 3600),
    Kind.FUTURE: lambda claims: _shift(claims, 3600),
    Kind.WRONG_NONCE: _other_nonce,
    Kind.DEBUGGABLE: _debuggable,
    Kind.TRUSTED_LAUNCH: _no_tee,
}


def _sealed(token: str, key: rsa.RSAPublicKey) -> str:
    """Encrypt the token to the guest's ephemeral key: RSAES-PKCS1-v1_5 over an AES-256-GCM key."""
    inner, iv = AESGCM.generate_key(256), os.urandom(12)
    sealed = AESGCM(inner).encrypt(iv, token.encode(), b"Transport Key")
    envelope = {
        "EncryptedInnerKey": b64(key.encrypt(inner, padding.PKCS1v15())),
        "EncryptionParams": {
            "BlockMode": "ChainingModeGCM",
            "BlockPadding": "PKCS7",
            "Cipher": "AES",
            "KeySizeInBits": 256,
            "Iv": b64(iv),
        },
        "AuthenticationData": b64(sealed[-_TAG:]),
        "Jwt": b64(sealed[:-_TAG]),
    }
    return b64url(msgspec.json.encode(envelope))
