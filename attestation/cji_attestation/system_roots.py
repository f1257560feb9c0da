"""The system's own certificate authorities, from its own store: no environment variable can put another in its place.

OpenSSL's defaults read SSL_CERT_FILE and SSL_CERT_DIR, and HTTP libraries bring lists of their own; neither is used.
"""

import os
import ssl
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from cji_attestation.certs import load_der
from cji_attestation.errors import AttestationError, Fault

_PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/pki/tls/certs/ca-bundle.crt",  # Azure Linux
    "/etc/ssl/cert.pem",  # macOS
)
_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"  # id-kp-serverAuth, RFC 5280 §4.2.1.12


def system_roots_file() -> str:
    """The path of a PEM bundle; CONFIG_INVALID "system-roots" where the package ca-certificates is missing."""
    for place in (*_PLACES, ssl.get_default_verify_paths().openssl_cafile):
        if Path(place).is_file():
            return place
    raise AttestationError(Fault.CONFIG_INVALID, check="system-roots")


def trust_system_roots(context: ssl.SSLContext) -> None:
    """Add the system's roots to a context: Windows' store ROOT, elsewhere the file. CONFIG_INVALID without any."""
    if sys.platform == "win32":
        found = [
            der
            for der, encoding, purposes in ssl.enum_certificates("ROOT")
            if encoding == "x509_asn" and (purposes is True or _SERVER_AUTH in purposes)
        ]
        if not found:
            raise AttestationError(Fault.CONFIG_INVALID, check="system-roots")
        for der in found:
            context.load_verify_locations(cadata=der)
    else:
        context.load_verify_locations(cafile=system_roots_file())


@contextmanager
def roots_file(pem: str | None) -> Iterator[str]:
    """A path that an HTTP library can read roots from: the given PEM text, in memory, or the system's file for None."""
    if pem is None:
        yield system_roots_file()
        return
    fd = os.memfd_create("roots", os.MFD_CLOEXEC)
    try:
        os.write(fd, pem.encode("utf-8"))
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def system_roots() -> list[x509.Certificate]:
    """Every certificate of that file that can be read; one that cannot is one that is not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust_system_roots(context)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old roots with odd serial numbers
        for der in context.get_ca_certs(binary_form=True):
            try:
                found.append(load_der(der, fault=Fault.CONFIG_INVALID, check="system-roots"))
            except AttestationError:
                continue
    return found
