"""The attestation service: POST /attest/AzureGuest, the signing keys, OpenID metadata and the provider's policies.

Two signing keys, as each real provider has two kinds: one in a certificate that names the provider and signs itself,
one below a CA. Tokens are signed with the first. Providers share their keys, as the real ones do across regions: only
`iss` identifies the provider whose policy was applied. `rotate` replaces both keys; the old ones are gone at once.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_simulator import jws
from cji_simulator.certificates import Credential
from cji_simulator.claims import LIFETIME, guest_claims
from cji_simulator.encoding import b64, b64url, rsa_jwk
from cji_simulator.faults import Faults, Kind, Service
from cji_simulator.guest import AttestRefused, GuestEvidence, verify
from cji_simulator.http_faults import middleware
from cji_simulator.identity import Identities
from cji_simulator.intel import Intel
from cji_simulator.policies import Policies
from cji_simulator.roots import Roots

__all__ = ["AttestationService", "SigningKeys"]

_BODY_MAX: Final = 4 << 20  # bytes; a boot log of 1 MiB is encoded twice
_API_VERSIONS: Final = ("2020-10-01", "2025-06-01")
_TAG: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _SigningKey:
    kid: str
    key: rsa.RSAPrivateKey

    @classmethod
    def new(cls, kid: str) -> Self:
        return cls(kid=kid, key=rsa.generate_private_key(65537, 2048))

    def sign(self, claims: Mapping[str, Any], *, jku: str) -> str:
        return jws.sign({"jku": jku, "kid": self.kid, "typ": "JWT"}, claims, self.key)

    def jwk(self, credential: Credential) -> dict[str, Any]:
        key = rsa_jwk(self.key.public_key())
        return {"alg": "RS256", "use": "sig", "kid": self.kid, "x5c": jws.x5c(credential), **key}


class SigningKeys:
    """The two keys that every provider of a cloud signs with, in certificates of each provider's own."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self.rotate()

    def rotate(self) -> None:
        """Replace both."""
        self.own, self._chained = _SigningKey.new(b64(os.urandom(32))), _SigningKey.new(b64url(os.urandom(20)))
        self._published: dict[str, list[dict[str, Any]]] = {}

    @property
    def spki_sha256(self) -> tuple[str, ...]:
        """Return the SHA-256 of both SubjectPublicKeyInfos, hexadecimal."""
        found = (one.key.public_key() for one in (self.own, self._chained))
        return tuple(
            hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
            for key in found
        )

    def jwks(self, issuer: str) -> list[dict[str, Any]]:
        """Return both as one provider publishes them."""
        if issuer not in self._published:
            self._published[issuer] = [
                self.own.jwk(self._roots.maa_self_signed(issuer, self.own.key)),
                self._chained.jwk(self._roots.maa_chained(self._chained.key)),
            ]
        return self._published[issuer]


class AttestationService:
    """One provider. `issuer` is its base URL without a trailing slash; `other` is that of another provider."""

    def __init__(
        self,
        *,
        issuer: str,
        other: str,
        keys: SigningKeys,
        roots: Roots,
        intel: Intel,
        identities: Identities,
        faults: Faults,
    ) -> None:
        self.issuer = issuer
        self._other = other
        self._intel = intel
        self._keys = keys
        self._roots = roots
        self._faults = faults
        self._policies = Policies(issuer=issuer, identities=identities, sign=self._sign)

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(middlewares=[middleware(Service.MAA, self._faults)], client_max_size=_BODY_MAX)
        app.add_routes(
            [
                web.post("/attest/AzureGuest", self._attest),
                web.get("/certs", self._certs),
                web.get("/.well-known/openid-configuration", self._metadata),
                *self._policies.routes(),
            ]
        )
        return app

    async def _certs(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": self._keys.jwks(self.issuer)}, content_type="application/jwk+json")

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
            evidence = verify(await request.read(), self._roots, self._intel)
        except AttestRefused as refusal:
            body = {"error": {"code": refusal.code, "message": str(refusal)}}
            return web.json_response(body, status=400, headers={"x-ms-error-code": refusal.code})
        return web.json_response({"token": _sealed(self._token(evidence), evidence.key)})

    def _token(self, evidence: GuestEvidence) -> str:
        policy_hash = self._policies.hash("AzureGuest")
        claims = guest_claims(evidence, issuer=self.issuer, policy_hash=policy_hash, now=int(time.time()))
        for fault, change in _CHANGES.items():
            if self._faults.take(Service.MAA, fault):
                change(claims)
        if self._faults.take(Service.MAA, Kind.OTHER_ISSUER):
            claims["iss"] = self._other
        signer, jku = self._keys.own, f"{self.issuer}/certs"
        if self._faults.take(Service.MAA, Kind.UNSIGNED):
            return jws.unsigned(claims)
        if self._faults.take(Service.MAA, Kind.HS256):
            return jws.hs256({"jku": jku, "kid": signer.kid, "typ": "JWT"}, claims, signer.key.public_key())
        if self._faults.take(Service.MAA, Kind.WRONG_JKU):
            stranger = _SigningKey.new(signer.kid)
            x5c = jws.x5c(self._roots.maa_self_signed(self.issuer, stranger.key))
            header = {"jku": "https://attest.example/certs", "kid": signer.kid, "typ": "JWT", "x5c": x5c}
            return jws.sign(header, claims, stranger.key)
        return self._sign(claims)

    def _sign(self, claims: Mapping[str, Any]) -> str:
        return self._keys.own.sign(claims, jku=f"{self.issuer}/certs")


def _shift(claims: dict[str, Any], seconds: int) -> None:
    for name in ("exp", "iat", "nbf"):
        claims[name] += seconds


def _other_nonce(claims: dict[str, Any]) -> None:
    claims["x-ms-runtime"]["client-payload"]["nonce"] = b64(b64(os.urandom(32)).encode())


def _debuggable(claims: dict[str, Any]) -> None:
    tee = claims["x-ms-isolation-tee"]
    tee.update({name: True for name in ("x-ms-sevsnpvm-is-debuggable", "tdx_td_attributes_debug") if name in tee})


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
