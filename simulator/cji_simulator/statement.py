"""Release: the target's token is checked, the key is wrapped to it, and a statement about that is signed.

1. the issuer is an authority of the key's policy; its metadata and keys are fetched over TLS
2. RS256 signature by the key that `kid` names; exp and nbf
3. the claims meet the policy
4. the first RSA encryption key with a kid in x-ms-runtime.keys gets the key
"""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_simulator import jws
from cji_simulator.certificates import Credential
from cji_simulator.encoding import b64url, unb64, unb64url
from cji_simulator.errors import SimulatorError
from cji_simulator.release_policy import ReleasePolicy

__all__ = ["NOT_MET", "NOT_VERIFIED", "Denied", "Fetch", "key_hsm", "signed", "target"]

NOT_VERIFIED: Final = "Target environment attestation statement cannot be verified."
NOT_MET: Final = "Target environment attestation does not meet key release policy requirements."

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]


class Denied(SimulatorError):  # noqa: N818 - the service's answer, not a fault of this program
    """HTTP 403 with an inner code and a message."""

    code = "release-denied"
    remedy = "Compare the release policy with the token."

    def __init__(self, message: str, *, inner: str = "AccessDenied") -> None:
        super().__init__(message)
        self.inner = inner


async def _verified(token: str, policy: ReleasePolicy, fetch: Fetch) -> dict[str, Any]:
    try:
        header, claims = jws.split(token)
        issuer = str(claims["iss"])
    except (ValueError, KeyError) as error:
        raise Denied(NOT_VERIFIED) from error
    if not policy.names(issuer):
        raise Denied(NOT_MET)
    try:
        metadata = await fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        keys = (await fetch(metadata["jwks_uri"]))["keys"]
        (entry,) = [key for key in keys if key["kid"] == header["kid"] and key["kty"] == "RSA"]
        key = x509.load_der_x509_certificate(unb64(entry["x5c"][0])).public_key()
        if header["alg"] != "RS256" or not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("alg")
        jws.verify(token, key)
        if not claims["nbf"] <= time.time() < claims["exp"]:
            raise ValueError("time")
    except Exception as error:  # unreachable, malformed and false are one answer
        raise Denied(NOT_VERIFIED) from error
    return claims


def _encrypts(key: Mapping[str, Any]) -> bool:
    return key.get("use") == "enc" or key.get("key_use") == "enc" or "encrypt" in key.get("key_ops", ())


async def target(token: str, policy: ReleasePolicy, fetch: Fetch) -> tuple[str, rsa.RSAPublicKey]:
    """Return kid and key of the environment that a token proves; raises Denied."""
    claims = await _verified(token, policy, fetch)
    if not policy.allows(claims):
        raise Denied(NOT_MET)
    try:
        keys = [key for key in claims["x-ms-runtime"]["keys"] if key["kty"] == "RSA" and key["kid"] and _encrypts(key)]
        n, e = (int.from_bytes(unb64url(keys[0][part]), "big") for part in ("n", "e"))
        return keys[0]["kid"], rsa.RSAPublicNumbers(e, n).public_key()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise Denied(NOT_VERIFIED) from error


def key_hsm(*, kid: str, enc: str, ciphertext: bytes) -> str:
    """Return the member `key_hsm` of a released key."""
    header = {"kid": kid, "alg": "dir", "enc": enc}
    content = {"schema_version": "1.0", "header": header, "ciphertext": b64url(ciphertext)}
    return b64url(json.dumps(content, separators=(",", ":")).encode())


def signed(payload: Mapping[str, Any], signer: Credential) -> str:
    """Return the statement under the vault's certificate chain."""
    der = signer.certificate.public_bytes(Encoding.DER)
    sha1 = hashlib.sha1(der, usedforsecurity=False).digest()  # x5t is SHA-1 by RFC 7515
    header = {
        "kid": sha1.hex().upper(),
        "x5t": b64url(sha1),
        "typ": "JWT",
        "x5t#S256": b64url(hashlib.sha256(der).digest()),
        "x5c": jws.x5c(signer),
    }
    return jws.sign(header, payload, signer.rsa())
