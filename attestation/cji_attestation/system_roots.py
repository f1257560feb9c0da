"""The system's own certificate authorities, as `cji_core.https` finds them, in the faults of this package."""

import ssl
import warnings

from cryptography import x509

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import load_der
from cji_core import https


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
