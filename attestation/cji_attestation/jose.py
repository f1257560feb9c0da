"""JOSE (`cji_core.jose`) in the faults of this package, for MAA tokens and release statements: RS256 alone.

A key never comes from the object that it is to verify; callers pass it in.
"""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation.errors import AttestationError, Fault
from cji_core import jose
from cji_core.jose import HeaderError, UnverifiedJws
from cji_core.strict import JsonObject, StrictError


def split_jws(text: str, *, limit: int, fault: Fault, check: str, header_check: str) -> UnverifiedJws:
    """Take apart a compact JWS of at most `limit` characters and fix its algorithm to RS256.

    `check` names what is wrong with the three segments, `header_check` what is wrong with the header.
    """
    try:
        return jose.split_jws(text, limit=limit)
    except HeaderError as error:
        raise AttestationError(fault, check=header_check) from error
    except StrictError as error:
        raise AttestationError(fault, check=check) from error


def verify_rs256(jws: UnverifiedJws, key: rsa.RSAPublicKey, *, fault: Fault, check: str) -> bytes:
    """Return the payload if `key` signed it with RSASSA-PKCS1-v1_5 and SHA-256."""
    try:
        return jose.verify_rs256(jws, key)
    except StrictError as error:
        raise AttestationError(fault, check=check) from error


def rsa_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> rsa.RSAPublicKey:
    """The RSA key of a JWK. `e` is read as an integer: Key Vault writes AAEAAQ where others write AQAB."""
    try:
        return jose.rsa_from_jwk(jwk)
    except ValueError as error:
        raise AttestationError(fault, check=check) from error


def ec_from_jwk(jwk: JsonObject, *, fault: Fault, check: str) -> ec.EllipticCurvePublicKey:
    """The key of a JWK on P-256, P-384 or P-521, its point on the curve (RFC 7518 §6.2.1)."""
    try:
        return jose.ec_from_jwk(jwk)
    except ValueError as error:
        raise AttestationError(fault, check=check) from error
