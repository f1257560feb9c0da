"""TLS files, address and socket of the door: nginx reads them as they are, so these checks stand before it."""

from datetime import datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_core.certs import (
    CertificateRefused,
    load_pem_chain,
    load_private_key,
    require_in_force,
    self_issued,
    signed_by,
)
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import ListenSection

_MIN_RSA_BITS: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_MAX_BYTES: Final = 1 << 20
_KEYS: Final = "Use an unencrypted PEM key: RSA with at least 2048 bits, P-256 or P-384."
_PAIR: Final = "Install certificate and private_key together, as they were issued."
_ROOTS: Final = "Put each authority and the authorities above it, up to the root, into client_roots."


def check_server_files(listen: ListenSection, *, now: datetime) -> datetime:
    """The end of the server's certificate. Raises StartupError if it is not valid now, or not that of the key."""
    certificate, key = _certificate(_read("certificate", listen.certificate)), _key(listen.private_key)
    if certificate.public_key() != key.public_key():
        raise StartupError("private_key: it does not belong to the certificate", _PAIR)
    try:
        require_in_force(certificate, now)
    except CertificateRefused as error:
        raise StartupError(f"certificate: it is {error}, not now", "Renew it.") from error
    return certificate.not_valid_after_utc


def check_client_roots(listen: ListenSection) -> None:
    """Raise StartupError unless every authority leads to a root in the file: OpenSSL verifies up to one."""
    try:
        found = load_pem_chain(_read("client_roots", listen.client_roots), limit=_MAX_BYTES)
    except CertificateRefused as error:
        raise StartupError("client_roots: it is not PEM certificates", _ROOTS) from error
    known = {each for each in found if self_issued(each) and signed_by(each, each)}
    below = set(found) - known
    while reached := {each for each in below if any(signed_by(each, issuer) for issuer in known)}:
        known |= reached
        below -= reached
    if below:
        subject = min(each.subject.rfc4514_string() for each in below)
        raise StartupError(f"client_roots: the root of {subject!a} is not in it", _ROOTS)


def listen_address(listen: ListenSection) -> str:
    """Address and port. Raises StartupError for a host's name."""
    try:
        host = ip_address(listen.host.strip("[]"))
    except ValueError as error:
        raise StartupError("listen.host is not an address", "Set host of [listen] to an address in numbers.") from error
    return f"[{host}]:{listen.port}" if host.version == 6 else f"{host}:{listen.port}"


def socket_path(text: str) -> str:
    """A path of a socket: nginx ends it at a colon, and quotes do not protect it everywhere. Raises StartupError."""
    if not text.isascii() or not text.isprintable() or any(character in text for character in "\"'\\$:; {}#"):
        raise StartupError(
            f"{text!a} cannot be written into the door's configuration",
            "Set socket of [listen] to a path of letters, digits, dots, hyphens and underscores.",
        )
    return text


def _read(key: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except FileNotFoundError as error:
        raise StartupError(f"{key}: it does not exist", f"Put a PEM file at {path!a}.") from error
    except OSError as error:
        raise StartupError(f"{key}: it cannot be read", f"Let this user and cji-door read {path!a}.") from error


def _certificate(data: bytes) -> x509.Certificate:
    try:
        return load_pem_chain(data, limit=_MAX_BYTES)[0]
    except CertificateRefused as error:
        raise StartupError("certificate: it is not a certificate chain in PEM", _PAIR) from error


def _key(path: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_private_key(_read("private_key", path))
    except CertificateRefused as error:
        raise StartupError("private_key: it is not an unencrypted PEM key", _KEYS) from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    raise StartupError("private_key: it is a key of another kind", _KEYS)
