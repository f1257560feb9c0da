"""One bounded exchange (`cji_core.https`) with an endpoint of a trust, in the faults of this package."""

import ssl
from collections.abc import Mapping

from cji_attestation.errors import AttestationError, Fault
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
        with Client(context, seconds=seconds, limit=limit, plain=plain) as client:
            return client.exchange(method, f"{target.base}{path}", headers=headers, body=body)
    except ExchangeError as error:
        raise AttestationError(fault, check=check) from error
