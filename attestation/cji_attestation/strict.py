"""The core's readers of strangers' bytes (`cji_core.strict`, `certs`, `jose`) in the faults of this package.

Each raises AttestationError(fault, check). A key never comes from the object that it is to verify; callers pass it in.
"""

import contextlib
from collections.abc import Iterator
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation.errors import AttestationError, Fault
from cji_core import certs, jose, strict
from cji_core.jose import HeaderError, UnverifiedJws
from cji_core.strict import JsonObject


@contextlib.contextmanager
def _refused_as(fault: Fault, check: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # StrictError and CertificateRefused are ValueErrors
        raise AttestationError(fault, check=check) from error


def parse_object(data: bytes, *, limit: int, fault: Fault, check: str) -> JsonObject:
    """Decode one JSON object of at most `limit` bytes."""
    with _refused_as(fault, check):
        return strict.parse_object(data, limit=limit)


def member(parent: JsonObject, name: str, *, fault: Fault, check: str) -> JsonObject:
    """The object called `name` inside `parent`."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise AttestationError(fault, check=check)
    return cast("JsonObject", value)


def text_member(parent: JsonObject, name: str, *, fault: Fault, check: str) -> str:
    """The string called `name` inside `parent`."""
    value = parent.get(name)
    if not isinstance(value, str):
        raise AttestationError(fault, check=check)
    return value


def load_der(data: bytes, *, fault: Fault, check: str) -> x509.Certificate:
    """One DER certificate, nothing behind it, a public key of a known kind, and a signature of whole bytes."""
    with _refused_as(fault, check):
        return certs.load_der(data)


def load_pem_chain(data: bytes, *, fault: Fault, check: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order; no certificate at all is an error."""
    with _refused_as(fault, check):
        return certs.load_pem_chain(data)


def split_jws(text: str, *, limit: int, fault: Fault, check: str, header_check: str) -> UnverifiedJws:
    """Take apart a compact JWS of at most `limit` characters and fix its algorithm to RS256.

    `check` names what is wrong with the three segments, `header_check` what is wrong with the header.
    """
    with _refused_as(fault, check):
        try:
            return jose.split_jws(text, limit=limit)
        except HeaderError as error:
            raise AttestationError(fault, check=header_check) from error


def verify_rs256(jws: UnverifiedJws, key: rsa.RSAPublicKey, *, fault: Fault, check: str) -> bytes:
    """Return the payload if `key` signed it with RSASSA-PKCS1-v1_5 and SHA-256."""
    with _refused_as(fault, check):
        return jose.verify_rs256(jws, key)


def rsa_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> rsa.RSAPublicKey:
    """The RSA key of a JWK. `e` is read as an integer: Key Vault writes AAEAAQ where others write AQAB."""
    with _refused_as(fault, check):
        return jose.rsa_from_jwk(jwk)


def ec_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> ec.EllipticCurvePublicKey:
    """The key of a JWK on P-256, P-384 or P-521, its point on the curve (RFC 7518 §6.2.1)."""
    with _refused_as(fault, check):
        return jose.ec_from_jwk(jwk)
