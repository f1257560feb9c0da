"""RS256 compact signatures (RFC 7515), made and checked."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_simulator.certificates import Credential
from cji_simulator.encoding import PublicKey, b64, b64url, public_jwk, unb64url

__all__ = ["hs256", "sign", "sign_bytes", "split", "thumbprint", "unsigned", "verify", "x5c"]


def _compact(header: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    return ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))


def sign_bytes(header: Mapping[str, Any], payload: bytes, key: rsa.RSAPrivateKey) -> str:
    """Return the compact JWS of any payload; `header` gets `alg`."""
    first = json.dumps({"alg": "RS256", **header}, separators=(",", ":")).encode()
    text = f"{b64url(first)}.{b64url(payload)}"
    return f"{text}.{b64url(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def sign(header: Mapping[str, Any], payload: Mapping[str, Any], key: rsa.RSAPrivateKey) -> str:
    """Return the compact JWS; `header` gets `alg`."""
    return sign_bytes(header, json.dumps(payload, separators=(",", ":")).encode(), key)


def unsigned(payload: Mapping[str, Any]) -> str:
    """Return the JWS that nobody may accept."""
    return _compact({"alg": "none", "typ": "JWT"}, payload) + "."


def hs256(header: Mapping[str, Any], payload: Mapping[str, Any], key: rsa.RSAPublicKey) -> str:
    """Return an HMAC over the payload, keyed with what everybody knows: the PEM of a public key."""
    text = _compact({"alg": "HS256", **header}, payload)
    secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{text}.{b64url(hmac.digest(secret, text.encode(), 'sha256'))}"


def split(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload, unverified; raises ValueError."""
    head, body, _ = token.split(".")
    header, payload = json.loads(unb64url(head)), json.loads(unb64url(body))
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise ValueError("not a JWS of objects")
    return header, payload


def verify(token: str, key: rsa.RSAPublicKey) -> None:
    """Check an RS256 signature; raises ValueError."""
    text, _, signature = token.rpartition(".")
    try:
        key.verify(unb64url(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise ValueError("signature") from error


def x5c(credential: Credential) -> list[str]:
    """Return the chain as JOSE writes it."""
    return [b64(certificate.public_bytes(Encoding.DER)) for certificate in credential.chain]


def thumbprint(key: PublicKey) -> str:
    """Return the RFC 7638 SHA-256 thumbprint, base64url."""
    canonical = json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":"))
    return b64url(hashlib.sha256(canonical.encode()).digest())
