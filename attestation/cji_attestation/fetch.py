"""`cji_core.https` in the faults of this package: an exchange with an endpoint of a trust, and the system's roots."""

import ssl
import warnings
from collections.abc import Mapping

from cryptography import x509

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import load_der
from cji_attestation.trust import Endpoint
from cji_core import https
from cji_core.https import Client, ExchangeError, Response


def tls_context(roots: str | None, *, check: str) -> ssl.SSLContext:
    """A client context that trusts `roots` (PEM text) or, for None, the system's store, and nothing else."""
    try:
        return https.tls_context(pem=roots)
    except (ValueError, OSError) as error:  # an SSLError is an OSError
        raise AttestationError(Fault.CONFIG_INVALID, check=check) from error


def exchange(
    target: Endpoint,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None,
    roots: str | None,
    limit: int,
    seconds: float,
    fault: Fault,
    check: str,
) -> Response:
    """Send one request and read one reply of at most `limit` bytes; any failure is AttestationError(fault, check)."""
    plain = target.scheme == "http"
    context = None if plain else tls_context(roots, check=check)
    try:
        with Client(context, seconds=seconds, limit=limit, plain=plain, path=target.socket) as client:
            return client.exchange(method, f"{target.base}{path}", headers=headers, body=body)
    except ExchangeError as error:
        raise AttestationError(fault, check=check) from error


def system_roots_file() -> str:
    """The path of a PEM bundle; CONFIG_INVALID "system-roots" where the package ca-certificates is missing."""
    try:
        return https.system_roots_file()
    except OSError as error:
        raise AttestationError(Fault.CONFIG_INVALID, check="system-roots") from error


def system_roots() -> list[x509.Certificate]:
    """Every certificate of that file that can be read; one that cannot is one that is not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        https.trust_system_roots(context)
    except (OSError, ValueError) as error:
        raise AttestationError(Fault.CONFIG_INVALID, check="system-roots") from error
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old roots with odd serial numbers
        for der in context.get_ca_certs(binary_form=True):
            try:
                found.append(load_der(der, fault=Fault.CONFIG_INVALID, check="system-roots"))
            except AttestationError:
                continue
    return found
